"""Where the records of the training go beside the run folder: experiment trackers, each only when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tagweave.errors import InputError

Record = Mapping[str, Any]
"""What one epoch left: ``epoch``, and numbers by name; what could not be measured is None."""
Write = Callable[[Record], None]
Tracker = Callable[[Path, str, Mapping[str, Any]], AbstractContextManager[Write]]
"""From the run folder, the training's name and its settings to a writer of records, closed at the end."""


@contextmanager
def open_trackers(names: Sequence[str], folder: Path, stage: str, settings: Mapping[str, Any]) -> Iterator[Write]:
    """Yield a function that sends one epoch's record to every named tracker; without names it does nothing.

    Args:
        names: keys of ``TRACKERS``.
        folder: the run folder. stage: the training in it, ``choice`` or ``final``.
        settings: nested configuration to note with it.

    Raises:
        InputError: a tracker is unknown, or its package is not installed.
    """
    require_trackers(names)
    with ExitStack() as stack:
        writers = [stack.enter_context(TRACKERS[name](folder, stage, settings)) for name in names]

        def write(record: Record) -> None:
            for writer in writers:
                writer(record)

        yield write


def require_trackers(names: Sequence[str]) -> None:
    """Check that all trackers can be used, before any work is done.

    Raises:
        InputError: one is unknown, or its package is not installed; all such are told.
    """
    unknown = [name for name in names if name not in TRACKERS]
    problems = [f"Expected log_to to name {', '.join(TRACKERS)}, but got '{name}'." for name in unknown]
    problems += [
        f"Expected {name} to log the training to, but it is not installed; pip install 'tagweave[{name}]'."
        for name in names
        if name in TRACKERS and find_spec(name) is None
    ]
    if problems:
        raise InputError(problems)


@contextmanager
def _tensorboard(folder: Path, stage: str, settings: Mapping[str, Any]) -> Iterator[Write]:
    """Write event files below ``tensorboard/`` of the run folder; ``tensorboard --logdir runs`` shows them."""
    with ExitStack() as stack:
        board: Any = None

        def write(record: Record) -> None:
            nonlocal board
            if board is None:  # a training that is done again, or goes on, takes the place of what was there
                summary = import_module("torch.utils.tensorboard").SummaryWriter
                board = summary(str(folder / "tensorboard" / stage), purge_step=record["epoch"])
                stack.callback(board.close)
                board.add_text("settings", "\n".join(f"    {key} = {value}" for key, value in flat(settings).items()))
            for name, value in numbers(record).items():
                board.add_scalar(name, value, record["epoch"])
            board.flush()

        yield write


@contextmanager
def _mlflow(folder: Path, stage: str, settings: Mapping[str, Any]) -> Iterator[Write]:
    """Write a run of the experiment ``tagweave``, or ``MLFLOW_EXPERIMENT_NAME``, to ``MLFLOW_TRACKING_URI``."""
    client = import_module("mlflow").MlflowClient()
    title = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tagweave")
    experiment = client.get_experiment_by_name(title)
    identity = experiment.experiment_id if experiment else client.create_experiment(title)
    run = client.create_run(identity, run_name=f"{folder.name}-{stage}").info.run_id
    for key, value in flat(settings).items():
        client.log_param(run, key, value)

    def write(record: Record) -> None:
        for name, value in numbers(record).items():
            client.log_metric(run, name, value, step=record["epoch"])

    status = "FAILED"
    try:
        yield write
        status = "FINISHED"
    finally:
        client.set_terminated(run, status)


@contextmanager
def _project(package: str, folder: Path, stage: str, settings: Mapping[str, Any]) -> Iterator[Write]:
    """Write a run of the project ``tagweave`` by a package that has W&B's ``init`` and ``log``."""
    run = import_module(package).init(project="tagweave", name=f"{folder.name}-{stage}", config=flat(settings))
    try:
        yield lambda record: run.log(numbers(record), step=record["epoch"])
    finally:
        run.finish()


TRACKERS: dict[str, Tracker] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "trackio": partial(_project, "trackio"),
    "wandb": partial(_project, "wandb"),
}


def numbers(record: Record) -> dict[str, float]:
    """Return the numbers of a record but its epoch; what could not be measured is left out."""
    return {
        name: float(value)
        for name, value in record.items()
        if name != "epoch" and isinstance(value, int | float) and not isinstance(value, bool)
    }


def flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings as ``section.key``, in the words of ``--set``."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: value}
    return found
