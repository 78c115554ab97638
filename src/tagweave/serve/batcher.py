"""Images of concurrent requests, scored together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagweave.serve.scorer import Scores


@dataclass(frozen=True)
class Scored:
    """Hold one image's record (R,) and probabilities (C,)."""

    record: NDArray[np.float16]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class _Waiting:
    pixels: NDArray[np.uint8]
    answer: asyncio.Future[Scored]


class Batcher:
    """Collect images until a batch is full or its first image has waited long enough, and score them.

    While one batch is scored the next one collects. How many images may wait is the caller's to bound.

    Args:
        score: from pixels (B, S, S, 3) to records and probabilities; runs in a thread, one call at a time.
        batch: the most images of a call.
        wait_seconds: how long the first image waits for others.
        observe: is told the size of every batch.
    """

    def __init__(
        self, score: Callable[[NDArray[np.uint8]], Scores], batch: int, wait_seconds: float,
        observe: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._score, self._batch, self._wait, self._observe = score, batch, wait_seconds, observe
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def score(self, pixels: NDArray[np.uint8]) -> Scored:
        """Score one image (S, S, 3) together with whatever else waits."""
        waiting = _Waiting(pixels, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return await waiting.answer

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="score") as thread:
            while True:
                batch = await self._collect()
                self._observe(len(batch))
                try:
                    pixels = np.stack([item.pixels for item in batch])
                    records, probabilities = await loop.run_in_executor(thread, self._score, pixels)
                except Exception as error:  # whatever went wrong goes to those who wait, and the next batch is tried
                    _fail(batch, error)
                else:
                    _answer(batch, records, probabilities)

    async def _collect(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        deadline = asyncio.get_running_loop().time() + self._wait
        while len(batch) < self._batch:
            try:
                async with asyncio.timeout_at(deadline):
                    batch.append(await self._queue.get())
            except TimeoutError:
                break
        while len(batch) < self._batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch


def _answer(batch: list[_Waiting], records: NDArray[np.float16], probabilities: NDArray[np.float64]) -> None:
    for item, record, row in zip(batch, records, probabilities, strict=True):
        if not item.answer.done():  # a client that left has cancelled its answer
            item.answer.set_result(Scored(record, row))


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for item in batch:
        if not item.answer.done():
            item.answer.set_exception(error)
