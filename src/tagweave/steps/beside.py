"""The training that validation images judge, in a process of its own beside the final one.

A step of a head keeps one core busy and hardly gains from a second: two trainings on half of the threads each take
little longer together than one of them alone on all.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tagweave.console import Console
from tagweave.steps.collection import Images, open_images
from tagweave.steps.fitting import Task, fit
from tagweave.steps.job import Job
from tagweave.threads import available_threads

WORTH = 15_000  # images times epochs of a training; with fewer the process's start takes longer than is saved


def choose(job: Job, key: str, images: Images) -> Task:
    """Return the task of the network that never sees the validation images."""
    return Task("choice", key, images.labelled("val"))


def pays(job: Job, images: Images) -> bool:
    """Tell whether the two trainings should run at once: frozen, on a CPU, in one process so far, and long enough."""
    from tagweave.training.device import choose_device
    from tagweave.training.ranks import current

    train = job.config.train
    return (
        job.beside
        and bool(sys.executable)  # empty in a program that embeds Python
        and train.regime == "frozen"
        and choose_device(train.device).type == "cpu"
        and current().world == 1
        and available_threads() > 1
        and max(int(images.is_pool.sum()) * train.epochs, train.updates * train.batch) >= WORTH
    )


@contextmanager
def choosing_beside(job: Job, key: str) -> Iterator[None]:
    """Train ``choice`` in a process of its own, on half of the threads, while the body runs on the others.

    What the process leaves is a finished checkpoint: training the same network then finds it done. If it fails, that
    training does the work, and tells what is wrong.
    """
    import torch

    threads, before = available_threads(), torch.get_num_threads()
    process = _start(job, key, threads // 2)
    torch.set_num_threads(threads - threads // 2)
    try:
        yield
        if process.wait():
            job.console.say("train: the process beside ended early; its part is trained now")
    finally:
        torch.set_num_threads(before)
        process.kill()
        process.communicate()


def _start(job: Job, key: str, threads: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tagweave.steps.beside"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "TAGWEAVE_THREADS": str(threads)},
    )  # fmt: skip
    assert process.stdin is not None
    try:
        process.stdin.write(pickle.dumps((replace(job, console=Console(quiet=True)), key)))
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it ended at once; its exit status says so
    return process


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: the pipe between them closes, whatever killed it."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Train what the parent process sends."""
    from tagweave.threads import limit_threads

    job, key = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads("torch")
    images = open_images(job)
    fit(job, choose(job, key, images), images)


if __name__ == "__main__":
    main()
