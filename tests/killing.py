"""Run a part of the job in a process that is killed with SIGKILL at a chosen moment."""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
from collections.abc import Callable
from typing import Any
from unittest import mock

# One server imports the heavy libraries; every process is a fork of it and starts at once.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["torch", "timm", "onnxruntime", "faiss", "numba", "tagweave.api"])


def run_killed(target: str, call: int, after: bool, cache: str, work: Callable[..., Any], *arguments: Any) -> int:
    """Do ``work(*arguments)`` in a process of its own that dies at the given call of the function ``target``.

    Args:
        target: the dotted name that the caller looks the function up by.
        call: counted from 1. after: die when the call has done its work instead of before.
        cache: the folder for ``TAGWEAVE_CACHE``.

    Returns:
        The process's exit code, -9 when it was killed.
    """
    process = _SERVER.Process(target=_work_with_bomb, args=(target, call, after, cache, work, arguments))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the process neither died nor ended"
    return process.exitcode


def _work_with_bomb(
    target: str, call: int, after: bool, cache: str, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ["TAGWEAVE_CACHE"] = cache
    real, calls = pkgutil.resolve_name(target), 0

    def bomb(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*given, **named)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with mock.patch(target, bomb):
        work(*arguments)
