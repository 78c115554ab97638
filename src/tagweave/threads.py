"""The number of threads, said once: torch, faiss, numba and ONNX Runtime each start their own and fight when nested."""

from __future__ import annotations

import os
import sys
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
