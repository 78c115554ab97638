"""What clients see: answers, one error per bad image, refusals, counters."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from serve.fakes import FakeScorer, part, picture
from tagweave.serve import service as module

Ask = Callable[..., Any]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_form_of_images(ask: Ask) -> None:
    files = [part("a.png", picture(255)), part("b.png", picture(0)), part("c.png", picture(51))]
    answer = ask(lambda client: client.post("/predict", files=files))
    assert answer.status_code == 200
    assert answer.json() == {
        "results": [
            {"name": "a.png", "labels": ["red"], "probabilities": {"dark": 0.0, "red": 1.0}},
            {"name": "b.png", "labels": ["dark"], "probabilities": {"dark": 1.0, "red": 0.0}},
            {"name": "c.png", "labels": ["dark"], "probabilities": {"dark": 0.8, "red": 0.2}},
        ]
    }


def test_json_says_the_same(ask: Ask) -> None:
    images = [{"name": "a.png", "data": encoded(picture(51))}, {"data": encoded(picture(255))}]
    results = ask(lambda client: client.post("/predict", json={"images": images})).json()["results"]
    assert [result["name"] for result in results] == ["a.png", "1"]
    assert results[0]["probabilities"] == {"dark": 0.8, "red": 0.2}


def test_one_error_per_bad_image_and_the_others_are_scored(ask: Ask) -> None:
    files = [part("good.png", picture()), part("notes.txt", b"no picture"), part("cut.png", picture(9, 90)[:80])]
    answer = ask(lambda client: client.post("/predict", files=files))
    good, text, cut = answer.json()["results"]
    assert answer.status_code == 200
    assert good["labels"] == ["dark"]
    assert text["error"]["code"] == cut["error"]["code"] == "bad_image"
    assert text["error"]["message"].startswith("is not an image: expected JPEG, PNG")
    assert cut["error"]["message"].startswith("is truncated or damaged")


def test_no_good_image_is_an_error_with_reasons(ask: Ask) -> None:
    images = ["x", {"name": "b", "data": "?"}, {"name": "c", "data": encoded(b"x")}]
    answer = ask(lambda client: client.post("/predict", json={"images": images}))
    assert answer.status_code == 422
    first, second, third = (result["error"]["message"] for result in answer.json()["results"])
    assert first == 'has no "data" with the file in base64'
    assert second.startswith("is not base64: ")
    assert third.startswith("is not an image")


def test_too_many_pixels_are_refused_from_the_header(ask: Ask) -> None:
    files = [part("a.png", picture(0, 20)), part("b.png", picture(0, 5))]
    large, small = ask(lambda client: client.post("/predict", files=files), pixels=100).json()["results"]
    assert large["error"]["message"] == "has 20 x 20 pixels, more than the limit of 100"
    assert "labels" in small


@pytest.mark.parametrize(
    ("request_", "status", "code", "told"),
    [
        ({"content": b"x" * 999}, 415, "unsupported_type", "Expected multipart/form-data or application/json, but got"),
        ({"json": {"images": []}}, 400, "number_of_images", "Expected 1 to 3 images, but got 0."),
        ({"json": {"images": ["a"] * 4}}, 400, "number_of_images", "Expected 1 to 3 images, but got 4."),
        ({"json": {"pictures": 1}}, 400, "bad_json", 'Expected {"images": [{"name": "a.jpg", "data": "BASE64"}]}.'),
        ({"files": [part("a", b"1")] * 4}, 400, "bad_form", "Expected a form with 1 to 3 image files, but got: Too"),
        ({"json": {"images": ["a" * 2000]}}, 413, "too_large", "Expected a body of at most 1,000 bytes, but got more"),
        ({"json": {}, "params": {"attention": "much"}}, 400, "bad_request", "attention: Input should be 'none', "),
    ],
)
def test_refusals(ask: Ask, request_: dict[str, Any], status: int, code: str, told: str) -> None:
    answer = ask(lambda client: client.post("/predict", **request_), images=3, body_bytes=1000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"].startswith(told)


def test_a_body_without_a_length_is_counted_as_it_comes(ask: Ask) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 100

    head = {"content-type": "application/json"}
    answer = ask(lambda client: client.post("/predict", content=endless(), headers=head), body_bytes=1000)
    assert answer.status_code == 413


def test_a_body_that_takes_too_long(ask: Ask) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    head = {"content-type": "application/json"}
    began = time.monotonic()
    answer = ask(lambda client: client.post("/predict", content=slow(), headers=head), body_seconds=0.1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "too_slow")
    assert time.monotonic() - began < 4


def test_a_decoder_that_takes_too_long(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    read = module.read_picture

    def slow(content: bytes, *rest: Any) -> Any:
        time.sleep(0.5 if content == b"slow" else 0)
        return read(content, *rest)

    monkeypatch.setattr(module, "read_picture", slow)
    files = [part("a", b"slow"), part("b.png", picture())]
    late, good = ask(lambda client: client.post("/predict", files=files), decode_seconds=0.1).json()["results"]
    assert late["error"] == {"code": "decode_timeout", "message": "took longer than 0.1 s to decode"}
    assert "labels" in good


def test_what_finds_no_place_gets_503_and_the_rest_is_answered(ask: Ask) -> None:
    async def rush(client: httpx.AsyncClient) -> list[httpx.Response]:
        posts = [client.post("/predict", files=[part("a.png", picture())] * 2) for _ in range(6)]
        answers = await asyncio.gather(*posts)
        return [*answers, await client.post("/predict", files=[part("a.png", picture())])]

    *answers, later = ask(rush, FakeScorer(0.1), waiting=4, images=4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503, 503]
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert busy.headers["retry-after"] == "1"
    assert busy.json()["error"]["code"] == "busy"
    assert later.status_code == 200


def test_too_many_requests_get_503(ask: Ask) -> None:
    async def rush(client: httpx.AsyncClient) -> list[int]:
        posts = [client.post("/predict", files=[part("a.png", picture())]) for _ in range(5)]
        return sorted(answer.status_code for answer in await asyncio.gather(*posts))

    assert ask(rush, FakeScorer(0.1), requests=3) == [200, 200, 200, 503, 503]


def test_a_scorer_that_fails_fails_its_requests_only(ask: Ask) -> None:
    class Failing(FakeScorer):
        def __call__(self, pixels: Any) -> Any:
            if pixels[0, 0, 0, 0] == 13:
                raise RuntimeError("no")
            return super().__call__(pixels)

    async def both(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.post("/predict", files=[part("a.png", picture(red))]) for red in (13, 14)]

    failed, good = ask(both, Failing())
    assert (failed.status_code, failed.json()["error"]["code"]) == (500, "failed")
    assert good.status_code == 200


def test_health_and_counters(ask: Ask) -> None:
    async def look(client: httpx.AsyncClient) -> tuple[Any, str]:
        await client.post("/predict", files=[part("a.png", picture()), part("b.png", b"x")])
        await client.post("/predict", json={})
        return (await client.get("/health")).json(), (await client.get("/metrics")).text

    health, metrics = ask(look)
    assert health["status"] == "ok"
    assert health["names"] == ["dark", "red"]
    assert health["waiting_images"] == 0
    for line in (
        'tagweave_requests_total{status="200"} 1.0', 'tagweave_requests_total{status="400"} 1.0',
        'tagweave_images_total{outcome="scored"} 1.0', 'tagweave_images_total{outcome="bad_image"} 1.0',
        "tagweave_batch_images_count 1.0", "tagweave_request_seconds_count 2.0", "tagweave_waiting_images 0.0",
    ):  # fmt: skip
        assert line in metrics.splitlines()


def test_unknown_paths_have_the_same_form_of_error(ask: Ask) -> None:
    answer = ask(lambda client: client.get("/nothing"))
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "GET /nothing: Not Found.")


def test_the_description_has_examples(ask: Ask) -> None:
    post = ask(lambda client: client.get("/openapi.json")).json()["paths"]["/predict"]["post"]
    assert post["requestBody"]["content"].keys() == {"multipart/form-data", "application/json"}
    assert "example" in post["requestBody"]["content"]["application/json"]
    assert post["responses"]["200"]["content"]["application/json"]["example"]["results"]
    assert {"400", "408", "413", "415", "422", "503"} <= post["responses"].keys()
