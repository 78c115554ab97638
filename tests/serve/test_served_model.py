"""With a trained model: the numbers of predict, attention, pixels."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from drawn import NAMES, Drawn
from serve.fakes import part
from tagweave.api import Run
from tagweave.encoders.extract import load_pixels
from tagweave.serve.attention import overlay
from tagweave.serve.pictures import read_picture
from tagweave.serve.scorer import Scorer

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def scorer(finished: Run) -> Scorer:
    return Scorer(finished.classifier)


def test_concurrent_requests_get_the_numbers_of_predict(ask: Ask, drawn: Drawn, finished: Run, scorer: Scorer) -> None:
    files = sorted(drawn.images.iterdir())[:32]
    expected = finished.predict(files)

    async def rush(client: httpx.AsyncClient) -> list[Any]:
        posts = [client.post("/predict", files=[part(file.name, file.read_bytes())]) for file in files]
        return [answer.json()["results"][0] for answer in await asyncio.gather(*posts)]

    results = ask(rush, scorer)
    got = np.array([[result["probabilities"][name] for name in NAMES] for result in results])
    np.testing.assert_allclose(got, expected.probabilities, rtol=0, atol=1e-6)
    assert [result["labels"] for result in results] == expected.labels()


def test_pixels_are_those_of_predict(drawn: Drawn, tmp_path: Path) -> None:
    Image.open(drawn.images / "000.png").resize((900, 400)).save(tmp_path / "large.jpg")
    for file in (drawn.images / "000.png", tmp_path / "large.jpg"):
        np.testing.assert_array_equal(read_picture(file.read_bytes(), 64, 10**6).pixels, load_pixels(file, 64))


def test_attention_on_request(ask: Ask, drawn: Drawn, scorer: Scorer) -> None:
    image = drawn.images / "003.png"

    async def look(client: httpx.AsyncClient) -> list[Any]:
        files = [part("a.png", image.read_bytes())]
        answers = [await client.post("/predict", files=files, params={"attention": f}) for f in ("array", "overlay")]
        return [answer.json()["results"][0]["attention"] for answer in answers]

    # The fixture's scorer was closed with the application of another test: each application owns its scorer.
    arrays, overlays = ask(look, Scorer(scorer.classifier))
    shapes = scorer.classifier.layout.maps
    strides = scorer.classifier.layout.strides
    for number, (stage, shape, stride) in enumerate(zip(arrays, shapes, strides, strict=True), start=1):
        weights = np.array(stage["weights"])
        assert (stage["stage"], stage["stride"]) == (number, stride)
        assert weights.shape == shape[1:]
        assert weights.sum() == pytest.approx(1, abs=1e-5)
    for stage in overlays:
        assert Image.open(io.BytesIO(base64.b64decode(stage["png"]))).size == Image.open(image).size


def test_the_overlay_glows_where_the_weight_is() -> None:
    weights = np.zeros((2, 2), dtype=np.float32)
    weights[0, 1] = 1
    glowing = np.asarray(overlay(Image.new("RGB", (20, 20), (100, 100, 100)), weights)).astype(int)
    assert glowing[0, 19, 0] > 190
    assert (glowing[19, 0] == 60).all()
