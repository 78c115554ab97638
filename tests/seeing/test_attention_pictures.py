"""Attention on an image's own pixels: as large as the image, hot where the weights are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawn import Drawn
from tagweave.api import Run
from tagweave.errors import InputError
from tagweave.predict import Classifier, Look
from tagweave.seeing.attention import _safe, write_attention


def write(classifier: Classifier, files: list[Path], folder: Path) -> list[tuple[str, list[Path], str]]:
    return list(write_attention(classifier, [file.name for file in files], files, folder))


def test_pictures_have_the_image_s_own_sides_and_the_heat_where_the_weights_are(
    drawn: Drawn, finished: Run, tmp_path: Path
) -> None:
    wide = tmp_path / "wide.png"
    Image.open(drawn.images / "000.png").resize((200, 50)).save(wide)
    classifier = finished.classifier
    looks = [Look(3, 32, np.zeros((1, 8, 8), np.float32)), Look(6, 32, np.full((1, 2, 2), 0.25, np.float32))]
    looks[0].weights[0, 1, 6] = 1.0  # high up on the right
    seen = replace(classifier)
    object.__setattr__(seen, "attention", lambda _: looks)
    ((name, pictures, reason),) = write(seen, [wide], tmp_path / "out")
    assert (name, reason) == ("wide.png", "")
    assert [path.name for path in pictures] == [
        "wide.png.stage-3.stride-32.png", "wide.png.stage-6.stride-32.png",  # of two encoders side by side
    ]  # fmt: skip
    fine = np.asarray(Image.open(pictures[0]).convert("RGB")).astype(float)
    assert fine.shape == (50, 200, 3)
    colour = fine.max(axis=2) - fine.min(axis=2)
    row, column = np.unravel_index(colour.argmax(), colour.shape)
    assert abs(row - 1.5 * 50 / 8) < 50 / 8
    assert abs(column - 6.5 * 200 / 8) < 200 / 8


def test_from_the_command_line(drawn: Drawn, finished: Run, tagweave: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "album" / "sub").mkdir(parents=True)
    Image.open(drawn.images / "003.png").save(tmp_path / "album" / "sub" / "a.png")
    (tmp_path / "album" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    said = tagweave("attention", finished.folder, tmp_path / "album", "-o", tmp_path / "out")
    assert said.code == 0
    names = [f"sub/a.png.stage-{stage}.stride-{stride}.png" for stage, stride in enumerate((8, 16, 32), start=1)]
    assert said.out.split() == [str(tmp_path / "out" / name) for name in names]
    assert "not shown: broken.png: " in said.err
    assert Image.open(tmp_path / "out" / names[0]).size == (72, 72)


def test_a_network_without_attention(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    blind = replace(finished.classifier)
    object.__setattr__(blind, "attention", lambda _: [])
    with pytest.raises(InputError, match=r"^Expected a network with attention, but got the head 'mscnn_lce' with"):
        write(blind, [drawn.images / "000.png"], tmp_path)


def test_where_a_label_is_seen(drawn: Drawn, finished: Run, tagweave: Callable[..., Any], tmp_path: Path) -> None:
    first, second = finished.classifier.names[:2]
    out = tmp_path / "out"
    said = tagweave("attention", finished.folder, drawn.images / "003.png", "-l", second, "-l", first, "-o", out)
    assert said.code == 0
    assert said.out.split() == [str(out / f"003.png.label-{name}.png") for name in (second, first)]
    assert Image.open(said.out.split()[0]).size == Image.open(drawn.images / "003.png").size


def test_weights_of_a_label_are_where_its_map_is(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    seen = replace(finished.classifier)
    places = np.zeros((1, len(seen.names), 4, 4), np.float32)
    places[0, 1, 3, 0] = 1.0  # low on the left
    object.__setattr__(seen, "places", lambda _: places)
    file = drawn.images / "000.png"
    ((_, (picture,), _),) = write_attention(seen, ["a.png"], [file], tmp_path, [seen.names[1]])
    fine = np.asarray(Image.open(picture).convert("RGB")).astype(float)
    row, column = np.unravel_index((fine.max(axis=2) - fine.min(axis=2)).argmax(), fine.shape[:2])
    assert row > 0.6 * len(fine)
    assert column < 0.4 * fine.shape[1]


def test_a_label_that_is_not_there_and_a_network_alone(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    file, classifier = drawn.images / "000.png", finished.classifier
    name = classifier.names[0]
    with pytest.raises(InputError, match=rf"^Expected labels of the classifier, .* but got '{name}x'; did you mean"):
        list(write_attention(classifier, ["a"], [file], tmp_path, [f"{name}x"]))
    alone = replace(classifier, head=classifier.head.network)
    with pytest.raises(InputError, match=r"^Expected a classifier in which the ridge of places"):
        list(write_attention(alone, ["a"], [file], tmp_path, [name]))


@pytest.mark.parametrize(("label", "name"), [("a/b", "a%2Fb"), ("50%", "50%25"), ("crème brûlée", "crème brûlée")])
def test_names_of_files_stay_apart(label: str, name: str) -> None:
    assert _safe(label) == name
