"""Blocks of rows, and work shared out to threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from graph_cases import threads
from threadpoolctl import threadpool_info

from tagweave.graph.blocks import in_threads, one_blas_thread, row_blocks


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (4, 4), (9, 4), (12, 4), (3, 100)])
def test_blocks_cover_all_rows_once_and_in_order(count: int, size: int) -> None:
    blocks = row_blocks(count, size)
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(count))
    assert all(block.stop - block.start <= size for block in blocks)


class TestInThreads:
    @pytest.mark.parametrize("count", [1, 2])
    def test_works_on_every_item_and_reports_each(self, count: int) -> None:
        squares, reports, used = np.zeros(20), [], set()

        def work(item: int) -> None:
            squares[item] = item**2
            used.add(threading.get_ident())

        with threads(count):
            in_threads(work, range(20), lambda done, total: reports.append((done, total)))
        assert squares.tolist() == [item**2 for item in range(20)]
        assert reports == [(done, 20) for done in range(1, 21)]
        assert len(used) <= count

    def test_gives_each_item_one_thread_of_the_libraries(self) -> None:
        np.ones((2, 2)) @ np.ones((2, 2))
        seen: list[set[int]] = []
        before = blas_threads()
        in_threads(lambda _: seen.append(blas_threads()), range(3))
        assert seen == [{1}] * 3
        assert blas_threads() == before

    def test_an_error_reaches_the_caller(self) -> None:
        def work(item: int) -> None:
            if item == 3:
                raise ValueError("third")

        with pytest.raises(ValueError, match="third"):
            in_threads(work, range(10))


def test_one_blas_thread_gives_back_what_was_there() -> None:
    before = blas_threads()
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == before
