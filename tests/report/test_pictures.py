"""Thumbnails and attention over an image."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tagweave.report.pictures import DIMMING, data_uri, heat_colours, heat_of, overlay, thumbnail


def spike(side: int, row: int, column: int) -> np.ndarray:
    weights = np.zeros((side, side), dtype=np.float32)
    weights[row, column] = 1
    return weights


@pytest.mark.parametrize(("size", "small"), [((800, 400), (320, 160)), ((300, 3000), (32, 320)), ((90, 50), (90, 50))])
def test_thumbnails_keep_the_shape_and_never_grow(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert thumbnail(Image.new("RGB", size)).size == small


def test_the_ramp_gets_lighter_all_the_way() -> None:
    colours = heat_colours(np.linspace(0, 1, 256))
    light = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    assert colours.min() >= 0
    assert colours.max() <= 255


def test_even_attention_is_not_shown_as_hot() -> None:
    assert heat_of(np.full((7, 7), 1 / 49)).max() == pytest.approx(1 / 3)
    assert heat_of(spike(7, 2, 3)).max() == 1


def test_heat_lies_where_the_weight_is_on_an_oblong_image() -> None:
    result = np.asarray(overlay(Image.new("RGB", (140, 70), (200, 30, 30)), spike(7, 1, 5))).astype(float)
    assert result.shape == (70, 140, 3)
    row, column = np.unravel_index(result.sum(axis=2).argmax(), (70, 140))
    assert (row // 10, column // 20) == (1, 5)
    grey = np.asarray(Image.new("RGB", (1, 1), (200, 30, 30)).convert("L"))[0, 0] * DIMMING
    np.testing.assert_allclose(result[-1, 0], grey, atol=1)


def test_data_uris_hold_a_jpeg_of_the_same_size() -> None:
    head, body = data_uri(Image.new("RGB", (30, 20), "navy")).split(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert (image.format, image.size) == ("JPEG", (30, 20))
