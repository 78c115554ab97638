"""From a request's images to its answer: places, decoding, scoring, one error per bad image."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tagweave.errors import ImageError
from tagweave.serve.attention import Form, describe_attention
from tagweave.serve.batcher import Batcher, Scored
from tagweave.serve.gauges import Gauges
from tagweave.serve.limits import Limits
from tagweave.serve.pictures import Given, Picture, read_picture
from tagweave.serve.refusal import Refusal
from tagweave.serve.scorer import Scorer
from tagweave.tables import chosen
from tagweave.threads import available_threads


class Service:
    """Answer requests within limits.

    Args:
        scorer: of the model.
        limits: what is accepted.
    """

    def __init__(self, scorer: Scorer, limits: Limits) -> None:
        self.scorer, self.limits = scorer, limits
        self.requests = self.waiting = 0
        self.gauges = Gauges(lambda: self.waiting)
        self.batcher = Batcher(scorer, limits.batch, limits.wait_seconds, self.gauges.batches.observe)
        threads = available_threads()
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._seats = asyncio.Semaphore(threads)

    def enter(self) -> None:
        """Count a request in; ``leave`` counts it out.

        Raises:
            Refusal: there are too many.
        """
        if self.requests >= self.limits.requests:
            raise _busy(f"{self.limits.requests} requests are being answered")
        self.requests += 1

    def leave(self) -> None:
        """Count a request out."""
        self.requests -= 1

    async def answer(self, given: list[Given], form: Form) -> list[dict[str, Any]]:
        """Return one result per image, in their order; a bad image has an error, the others are scored.

        Raises:
            Refusal: there is no place for so many images now.
        """
        if self.waiting + len(given) > self.limits.waiting:
            raise _busy(f"{self.waiting} images are waiting and at most {self.limits.waiting} may")
        self.waiting += len(given)
        return list(await asyncio.gather(*(self._answer_one(image, form) for image in given)))

    def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self.scorer.close()

    async def _answer_one(self, given: Given, form: Form) -> dict[str, Any]:
        try:
            picture = await self._decode(given, form == "overlay")
            scored = await self.batcher.score(picture.pixels)
            result = await self._describe(given.name, picture, scored, form)
        except TimeoutError:
            return self._bad(given, "decode_timeout", f"took longer than {self.limits.decode_seconds:g} s to decode")
        except ImageError as error:
            return self._bad(given, "bad_image", str(error))
        finally:
            self.waiting -= 1
        self.gauges.images.labels("scored").inc()
        return result

    async def _decode(self, given: Given, show: bool) -> Picture:
        if given.problem is not None:
            raise ImageError(given.problem)
        loop, size = asyncio.get_running_loop(), self.scorer.size
        await self._seats.acquire()
        work = loop.run_in_executor(self._decoders, read_picture, given.content, size, self.limits.pixels, show)
        # A decoder cannot be stopped: it keeps its seat until it ends, however long its client waits.
        work.add_done_callback(lambda _: self._seats.release())
        return await asyncio.wait_for(asyncio.shield(work), self.limits.decode_seconds)

    async def _describe(self, name: str, picture: Picture, scored: Scored, form: Form) -> dict[str, Any]:
        classifier = self.scorer.classifier
        row = scored.probabilities
        result: dict[str, Any] = {
            "name": name,
            "labels": chosen(row, classifier.names, classifier.thresholds),
            "probabilities": dict(zip(classifier.names, map(float, row), strict=True)),
        }
        if form != "none":
            draw = partial(describe_attention, classifier, scored.record, picture.shown)
            result["attention"] = await asyncio.get_running_loop().run_in_executor(self._decoders, draw)
        return result

    def _bad(self, given: Given, code: str, reason: str) -> dict[str, Any]:
        self.gauges.images.labels(code).inc()
        return {"name": given.name, "error": {"code": code, "message": reason}}


def _busy(why: str) -> Refusal:
    return Refusal(503, "busy", f"Expected a free place, but {why}; try again in a moment.")
