"""The number of threads, said once: torch, faiss, numba and ONNX Runtime each start their own and fight when nested."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

# Idle OpenMP threads sleep instead of spinning: with anything else running on the machine, spinning ones made
# training six times slower and more. It is read once, when the first OpenMP library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def available_threads() -> int:
    """Return the processors this process may use; ``TAGWEAVE_THREADS`` lowers it."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("TAGWEAVE_THREADS", "")
    return max(1, min(allowed, int(wanted))) if wanted.isdecimal() else allowed


def limit_threads(*needed: str) -> int:
    """Give every library already imported, and those ``needed``, the same number of threads and return it.

    A library that is imported later starts as many as it likes, and its sums come out otherwise in their last bits.
    """
    for name in needed:
        import_module(name)
    threads = available_threads()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(threads)
    if "numba" in sys.modules:
        numba = sys.modules["numba"]
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    return threads


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute on one thread: products of matrices come out the same to the bit on any number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Let numbers below the normal range (1e-38 in single precision) be 0, as processors are slow with them.

    In this thread, and in those that it starts meanwhile, which keep it so; threads that were there before do not.

    A softmax over many positions leaves them in gradients: SRN's training on 374 labels took 445 s with them, 65 s
    without.
    """
    import torch

    smallest = torch.finfo(torch.float64).tiny
    before = float(torch.tensor(smallest, dtype=torch.float64) / 2) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
