"""One number of threads for every library."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from tagweave.threads import available_threads, limit_threads, one_torch_thread, subnormals_as_zero


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pretend that this process may use four processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    return 4


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("", 4), ("1", 1), ("3", 3), ("4", 4), ("64", 4), ("0", 1), ("-2", 4), ("two", 4), ("²", 4), ("1.5", 4)],
)
def test_the_environment_lowers_but_never_raises(
    monkeypatch: pytest.MonkeyPatch, allowed: int, wanted: str, got: int
) -> None:
    monkeypatch.setenv("TAGWEAVE_THREADS", wanted)
    assert available_threads() == got


def test_all_processors_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    monkeypatch.delenv("TAGWEAVE_THREADS", raising=False)
    assert available_threads() == allowed
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_threads() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


LIMITED = """
import sys
from tagweave.threads import limit_threads
assert limit_threads() == 1
assert not {"torch", "faiss", "numba"} & set(sys.modules)  # nothing is imported for it
import faiss, numba, torch
torch.set_num_threads(2), faiss.omp_set_num_threads(2)
assert limit_threads() == 1
print(torch.get_num_threads(), faiss.omp_get_max_threads(), numba.get_num_threads())
"""


def test_every_imported_library_gets_the_number() -> None:
    environment = {**os.environ, "TAGWEAVE_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LIMITED], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 1 1\n", "")


NEEDED = """
import os, sys
from tagweave.threads import limit_threads
os.environ.pop("OMP_NUM_THREADS", None)
assert limit_threads("torch") == 1
print(sys.modules["torch"].get_num_threads())
"""


def test_a_library_that_is_needed_gets_the_number_though_it_was_not_imported() -> None:
    environment = {**os.environ, "TAGWEAVE_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", NEEDED], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_more_than_numba_started_with_is_not_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    before = numba.get_num_threads()
    most = numba.config.NUMBA_NUM_THREADS
    monkeypatch.setattr("tagweave.threads.available_threads", lambda: most + 5)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    try:
        assert limit_threads() == most + 5
        assert numba.get_num_threads() == most
    finally:
        numba.set_num_threads(before)


def test_subnormal_numbers_are_zero_inside_only() -> None:
    tiny = torch.finfo(torch.float64).tiny

    def half() -> float:
        return float(torch.tensor(tiny, dtype=torch.float64) / 2)

    assert half() > 0
    with subnormals_as_zero():
        assert half() == 0
        with subnormals_as_zero():
            assert half() == 0
        assert half() == 0
    assert half() > 0


def test_one_torch_thread_and_then_as_many_as_before() -> None:
    before = torch.get_num_threads()
    with one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
