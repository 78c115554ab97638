"""Batches: full or in time, in order, one call at a time."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from serve.fakes import FakeScorer
from tagweave.serve.batcher import Batcher, Scored


def score_all(scorer: FakeScorer, count: int, batch: int, wait: float, gap: float = 0.0) -> list[Scored]:
    async def work() -> list[Scored]:
        batcher = Batcher(scorer, batch, wait, lambda size: None)
        worker = asyncio.create_task(batcher.run())
        tasks = []
        for number in range(count):
            tasks.append(asyncio.create_task(batcher.score(np.full((4, 4, 3), number, dtype=np.uint8))))
            await asyncio.sleep(gap)
        found = await asyncio.gather(*tasks)
        worker.cancel()
        return list(found)

    return asyncio.run(work())


def test_every_image_gets_its_own_answer() -> None:
    found = score_all(FakeScorer(0.001), 100, 7, 0.001)
    np.testing.assert_allclose([scored.probabilities[1] for scored in found], np.arange(100) / 255)


def test_what_waits_is_scored_together() -> None:
    scorer = FakeScorer(0.02)
    score_all(scorer, 33, 16, 0.05)
    assert scorer.batches == [16, 16, 1]


def test_a_batch_is_never_larger_than_allowed_nor_waits_for_ever() -> None:
    scorer = FakeScorer()
    began = time.monotonic()
    score_all(scorer, 1, 8, 0.05)
    assert scorer.batches == [1]
    assert 0.04 < time.monotonic() - began < 2


def test_a_failure_goes_to_those_who_wait() -> None:
    def fail(pixels: object) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match=r"^broken$"):
        score_all(fail, 2, 8, 0.001)  # type: ignore[arg-type]
