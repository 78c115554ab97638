"""One network, trained with some labels hidden; and again, where rounds are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.steps.collection import Images
from tagweave.steps.finetuned import build_end_to_end, encoded, keep_trunk, pixels_of
from tagweave.steps.head import build_untrained_head
from tagweave.steps.job import Job
from tagweave.steps.respread import respread
from tagweave.trackers import open_trackers

if TYPE_CHECKING:
    from torch import nn

    from tagweave.encoders.backbones import Encoder
    from tagweave.training.batches import Source, TrainingSet
    from tagweave.training.loop import Report


@dataclass(frozen=True)
class Task:
    """Say what a network is trained for.

    Attributes:
        stage: ``choice`` or ``final``. key: of the step.
        hidden: labelled rows of the collection that it must not see.
    """

    stage: str
    key: str
    hidden: NDArray[np.int64]

    def folder(self, job: Job, number: int) -> Path:
        """Return where a round's checkpoints lie; rounds count from 1."""
        return job.folder / "checkpoints" / (self.stage if number == 1 else f"{self.stage}-{number}")


@dataclass(frozen=True)
class Fit:
    """Hold a trained network.

    Attributes:
        network: the head. encoder: the backbone that was trained with it, None where it is frozen.
        data: what they were trained on. history: of all rounds. rounds: what each round came to.
    """

    task: Task
    network: nn.Module
    encoder: Encoder | None
    folder: Path
    data: TrainingSet
    history: tuple[dict[str, Any], ...]
    rounds: tuple[dict[str, Any], ...] = ()

    def records(self, images: Images, rows: NDArray[np.int64]) -> Source:
        """Return what the network sees of some rows of the collection."""
        if self.encoder is None:
            return images.maps(rows)
        return encoded(images.manifest.take(rows), self.encoder, keep=False)

    def logits(self, job: Job, head: nn.Module, images: Images, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return logits (n, C) of some rows by a head that reads what the network does."""
        from tagweave.training.loop import score_images

        if not len(rows):
            return np.zeros((0, len(images.labels.names)))
        slow = self.encoder is not None
        with job.console.progress("score", "images") if slow else nullcontext() as progress:
            return score_images(head, self.records(images, rows), progress).astype(np.float64)


def fit(job: Job, task: Task, images: Images) -> Fit:
    """Train on given and propagated labels, ``rounds`` times.

    Each further round propagates the same labels over the features of the network trained before, and trains a new
    network from the same start: errors of an earlier round live on in its targets only.
    """
    from tagweave.training.ranks import current

    propagated = job.folder / "graph" / f"{task.stage}.npz"
    done = _fit_once(job, task, images, propagated, 1)
    for number in range(2, job.config.train.rounds + 1):
        propagated = task.folder(job, number) / "propagated.npz"
        facts = respread(job, done, images, propagated) if current().is_first else {}
        current().wait()
        after = _fit_once(job, task, images, propagated, number)
        done = replace(
            after, history=(*_numbered(done, number - 1), *_continued(done, after, number)),
            rounds=(*done.rounds, {**after.rounds[0], **facts}),
        )  # fmt: skip
    return done


def _numbered(done: Fit, number: int) -> list[dict[str, Any]]:
    return [{"round": number, **record} for record in done.history]


def _continued(done: Fit, after: Fit, number: int) -> list[dict[str, Any]]:
    """Return a round's records, its epochs counted on from those before."""
    return [{"round": number, **record, "epoch": len(done.history) + record["epoch"]} for record in after.history]


@contextmanager
def _reporting(job: Job, title: str, stage: str) -> Iterator[Report]:
    """Yield what shows each epoch and tells it the trackers; only the first process's."""
    from tagweave.training.ranks import current

    trackers = job.config.log_to if current().is_first else ()
    with (
        job.console.progress(title, "epochs") as progress,
        open_trackers(trackers, job.folder, stage, job.config.model_dump()) as note,
    ):

        def report(epoch: int, epochs: int, record: dict[str, Any]) -> None:
            progress(epoch, epochs)
            note(record)

        yield report


def _fit_once(job: Job, task: Task, images: Images, propagated: Path, number: int) -> Fit:
    """Train a network with the labels of ``hidden`` unseen; they choose the epoch where there are any."""
    from tagweave.steps.policies import policy_over
    from tagweave.steps.targets import training_set
    from tagweave.training.batches import lengthened
    from tagweave.training.loop import Validation
    from tagweave.training.loop import train as run_training
    from tagweave.training.ranks import current

    config, folder, hidden = job.config.train, task.folder(job, number), task.hidden
    head = build_untrained_head(job, images, hidden, propagated)
    network, read = _network(job, head, images)
    policy = policy_over(images.source, config.targets, job.config.seed)
    data = training_set(propagated, config, images.manifest, images.labels, read, hidden, policy)
    if config.regime == "frozen":
        config, passes = lengthened(config, int(data.labelled.sum()), int((~data.labelled).sum()))
        data = replace(data, passes=passes)
    title = " ".join(["train" if task.stage == "choice" else "train all", *([f"{number}"] if number > 1 else [])])
    with _reporting(job, title, folder.name) as report:
        history = run_training(
            network, data, Validation(read(hidden), images.labels.take(hidden)), config, seed=job.config.seed,
            key=task.key, folder=folder, report=report, ranks=current(),
        )  # fmt: skip
    encoder = keep_trunk(job, network, folder) if network is not head and current().is_first else None
    best = max((r["val_mAP"] for r in history if r["val_mAP"] is not None), default=None)
    facts = {"round": number, "epochs": len(history), "val_mAP": best}
    return Fit(task, head.eval(), encoder, folder, data, history, (facts,))


def _network(job: Job, head: nn.Module, images: Images) -> tuple[nn.Module, Callable[[NDArray[np.int64]], Source]]:
    """Return what is trained, and the function that gives what it sees of some rows."""
    if job.config.train.regime == "frozen":
        return head, images.maps
    network, size = build_end_to_end(job, head)
    config = job.config.train
    return network, lambda rows: pixels_of(images.manifest, rows, size, config.augment, config.targets == "fixmatch")
