"""Blocks of rows, and work on blocks in parallel whose result does not depend on the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from tagweave.threads import available_threads

Item = TypeVar("Item")
Progress = Callable[[int, int], None]


def row_blocks(count: int, size: int) -> list[slice]:
    """Return slices of at most ``size`` that cover ``count`` rows in order."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def one_blas_thread() -> AbstractContextManager[Any]:
    """Give products and decompositions a single thread for a while.

    Products then have the same bits whatever the number of threads, and eigenvectors come sooner: of 1,280 columns in
    0.3 s, against 0.6 s with two threads at best, and up to 20 s when another process competes for one.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1, user_api="blas")


def in_threads(work: Callable[[Item], object], items: Sequence[Item], progress: Progress | None = None) -> None:
    """Call ``work`` on every item, each in one thread of its own, with native libraries single-threaded inside.

    A library that splits a product over threads rounds it differently with another number of them; here threads
    share out whole items, so that every item has the same bits on any machine load.

    Args:
        progress: called with the number of finished items and of all.
    """
    with one_blas_thread(), ThreadPoolExecutor(available_threads(), initializer=_one_thread) as pool:
        for done, _ in enumerate(pool.map(work, items), start=1):
            if progress is not None:
                progress(done, len(items))


def _one_thread() -> None:
    """Limit the libraries whose number of threads belongs to the calling thread; the pool ends with its threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
