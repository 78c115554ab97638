"""The main job's own steps, run once per budget, seed and setting: the cells of the tables of trained systems."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from tagweave.benchmark.cells import finished
from tagweave.benchmark.dataset import Held
from tagweave.benchmark.memory import PeakMemory
from tagweave.benchmark.tuning import Search, Try, tune
from tagweave.config import Config
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.data.splits import SplitPlan, assign_splits, label_budget
from tagweave.pipeline import advance
from tagweave.runs import Steps, key_of, read_json, write_json
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records, save_collection
from tagweave.training.batches import epoch_length, lengthened

ALL = "all"  # the budget that hides nothing
LABELLED = "labelled"  # of train.targets: no propagation
FIXED_SECONDS = 5e-4  # of an image in one epoch of our head on two cores, see docs/benchmarks.md
LABEL_SECONDS = 5e-6  # and of each label
EVEN = (
    "a network on the labelled images alone gets as many steps as one on the whole pool: its epochs are as many times "
    "more as an epoch over the pool, with its repeated labelled images, is longer"
)
COST = (
    "s: the network's training, both times, its scoring of validation images included; MiB: resident memory at its "
    "highest during it above that at the start (Linux only)"
)

Budget = float | str


@dataclass(frozen=True)
class Trial:
    """Name one cell.

    Attributes:
        name: of the system, for the table. config: of its run, the seed in it.
        budget: labelled share or number; ``all`` keeps every label and every given split.
        search: what is chosen on validation data before; None takes the configuration as it is.
        own_loss: the head brings its own loss.
    """

    name: str
    config: Config
    budget: Budget = ALL
    search: Search | None = None
    own_loss: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What the cell depends on besides the data."""
        return {
            "method": self.name, "budget": self.budget, "seed": self.config.seed, "config": self.config.model_dump(),
            "search": self.search.about if self.search else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """Hold the data of all cells and where they are kept."""

    held: Held
    folder: Path
    console: Console
    started: float = field(default_factory=time.monotonic)

    def run(self, trials: Iterable[Trial]) -> list[dict[str, Any]]:
        """Return the cells of the trials; those in the folder are not computed again.

        Trials with the same budget and seed share one work folder, so that propagation runs once for all of them.
        """
        cells: list[dict[str, Any]] = []
        tasks = sorted(trials, key=lambda trial: (str(trial.budget), trial.config.seed))
        estimate = spoken(self.estimate(tasks))
        self.console.say(
            f"benchmark: {len(tasks)} cells, {estimate} by our head's speed on two cores; done ones are kept"
        )
        for (budget, seed), group in groupby(tasks, key=lambda trial: (trial.budget, trial.config.seed)):
            work = self.folder / "work" / f"{budget}-{seed}"
            for trial in group:
                cells.append(self._cell(trial, work))
                self._tell(cells, len(tasks))
            shutil.rmtree(work, ignore_errors=True)
        return cells

    def estimate(self, trials: Sequence[Trial]) -> float:
        """Return about how many seconds the trials take, what lies in the folder included."""
        image = FIXED_SECONDS + LABEL_SECONDS * len(self.held.labels.names)
        total = 0.0
        for trial in trials:
            train, images = trial.config.train, learned_from(self.held, trial.budget, trial.config)
            labelled = labelled_images(self.held, trial.budget)
            longer, passes = lengthened(train, labelled, images - labelled)
            epochs = longer.epochs * passes * (1 + train.refit)
            total += image * images * (epochs + (trial.search.share(images, train.epochs) if trial.search else 0.0))
        return total

    def _cell(self, trial: Trial, work: Path) -> dict[str, Any]:
        about = {**trial.about, "data": self.held.digest}
        return finished(self.folder / "cells", about, partial(fit_and_measure, self.held, trial, work))

    def _tell(self, cells: Sequence[Mapping[str, Any]], total: int) -> None:
        cell, spent = cells[-1], time.monotonic() - self.started
        left = f", {spoken(spent / len(cells) * (total - len(cells)))} left" if len(cells) < total else ""
        self.console.say(
            f"[{len(cells)} of {total}] {cell['method']}, labels {cell['budget']}, seed {cell['seed']}: "
            f"mAP {100 * cell['systems']['classifier']['mAP']:.1f}, {cell['seconds']:.0f} s{left}"
        )


def labelled_images(held: Held, budget: Budget) -> int:
    """Return how many pool images a budget leaves labelled."""
    rows = np.flatnonzero(held.labels.labelled & (held.manifest.splits != "test"))
    return len(rows) if budget == ALL else len(label_budget(rows, float(budget), seed=0))


def learned_from(held: Held, budget: Budget, config: Config) -> int:
    """Return how many images an epoch goes over."""
    pool = int((held.manifest.splits != "test").sum())
    return labelled_images(held, budget) if config.train.targets == LABELLED else pool


def even_steps(held: Held, budget: Budget, config: Config) -> Config:
    """Give a network that learns from the labelled images alone as many steps as one that learns from the whole pool.

    Its epochs, and its patience, are as many times more as an epoch over the pool is longer; that one repeats labelled
    images until they make up their least share.
    """
    if config.train.targets != LABELLED:
        return config
    labelled = max(labelled_images(held, budget), 1)
    others = int((held.manifest.splits != "test").sum()) - labelled
    times = max(1, round(epoch_length(labelled, others, config.train.labelled_share) / labelled))
    more = {"epochs": config.train.epochs * times, "patience": config.train.patience * times}
    return config.model_copy(update={"train": config.train.model_copy(update=more)})


def spoken(seconds: float) -> str:
    """Write a duration as people say it."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def fit_and_measure(held: Held, trial: Trial, work: Path) -> dict[str, Any]:
    """Search where there is something to search, fit, and return the measures on the test images."""
    began = time.perf_counter()
    config, found = trial.config, list[dict[str, Any]]()
    manifest, labels = drawn(held, trial.budget, config)
    if trial.search:
        config, found = tune(_try(held, work / "search"), manifest, labels, config, trial.search, trial.own_loss)
    searched, began = time.perf_counter() - began, time.perf_counter()
    job, peak = fit(held, manifest, labels, config, work)
    trainings = histories(job, manifest, labels)
    return {
        "chosen": config.train.model_dump(include={"learning_rate", "epochs", "loss"}), "searched": found,
        "search_seconds": round(searched, 3), "cell_seconds": round(time.perf_counter() - began, 3),
        "seconds": round(sum(epoch["seconds"] for training in trainings for epoch in training), 3), "peak_mib": peak,
        "names": list(labels.names), "labelled": int((labels.labelled & (manifest.splits != "test")).sum()),
        "pool": int((manifest.splits != "test").sum()), "systems": measured(job), "history": trainings[0],
    }  # fmt: skip


def _try(held: Held, folder: Path) -> Try:
    """Return the function that trains once on a part of the collection and says what validation reaches."""

    def run(manifest: Manifest, labels: LabelMatrix, config: Config) -> float | None:
        job = place(held, manifest, labels, config, folder)
        advance(job, key_of(held.digest, manifest.paths, labels.known.tolist(), config.seed), ("propagate", "train"))
        best: float | None = read_json(folder / "steps" / "train.json")["best_val_mAP"]
        return best

    return run


def drawn(held: Held, budget: Budget, config: Config) -> tuple[Manifest, LabelMatrix]:
    """Return manifest and labels as ``check`` makes them of files whose test images are given."""
    plan = SplitPlan(
        config.data.val_fraction, config.data.test_fraction, None if budget == ALL else float(budget), config.seed
    )
    labels, splits, _ = assign_splits(held.labels, held.manifest.splits, held.groups, plan)
    return replace(held.manifest, splits=splits), labels


def fit(held: Held, manifest: Manifest, labels: LabelMatrix, config: Config, folder: Path) -> tuple[Job, float | None]:
    """Propagate, train and evaluate with the main job's own steps; return the run and the training's peak memory.

    While anything is learned every test label reads "absent": what the steps are given cannot hold the answer.
    """
    job = place(held, manifest, spoiled(labels, manifest), config, folder)
    key = key_of(held.digest, labels.values.tolist(), labels.known.tolist(), manifest.splits.tolist(), config.seed)
    advance(job, key, ("propagate",))
    with PeakMemory() as memory:
        ran = advance(job, str(Steps(folder).key("propagate")), ("train",))
    save_collection(folder, manifest, labels)
    advance(job, str(Steps(folder).key("train")), ("evaluate",))
    return job, memory.mib if ran else None


def spoiled(labels: LabelMatrix, manifest: Manifest) -> LabelMatrix:
    """Return the labels with every known cell of a test image absent."""
    return LabelMatrix(labels.values & (manifest.splits != "test")[:, None], labels.known, labels.names)


def place(held: Held, manifest: Manifest, labels: LabelMatrix, config: Config, folder: Path) -> Job:
    """Make a run folder as ``check`` and ``embed`` leave it."""
    save_collection(folder, manifest, labels)
    write_json(
        folder / "steps" / "embed.json",
        {"key": held.digest, "started": "", "seconds": 0.0, "cache": str(held.cache), "encoder_key": held.encoder_key},
    )
    return Job(folder, held.images, held.source, None, config, Console(quiet=True), beside=False)


def histories(job: Job, manifest: Manifest, labels: LabelMatrix) -> list[list[dict[str, Any]]]:
    """Return the epochs of each training of a run: of the choice and, where there was one, of the final one."""
    again = job.config.train.refit and ((manifest.splits == "val") & labels.labelled).any()
    rounds = ["", *(f"-{number}" for number in range(2, job.config.train.rounds + 1))]
    names = [stage + number for stage in ("choice", "final")[: 1 + again] for number in rounds]
    paths = [job.folder / "checkpoints" / name / "history.jsonl" for name in names]
    return [[json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in paths]


def measured(job: Job) -> dict[str, Any]:
    """Return what the run's systems reach on the test images, per label only AP and count."""
    metrics = read_json(job.folder / "metrics.json")
    systems = metrics["splits"]["test"]["systems"]
    if metrics["joined"]:
        systems["student"] = _student(job)
    return {name: _slim(measures) for name, measures in systems.items()}


def _student(job: Job) -> dict[str, Any]:
    """Return the measures of what learned from propagated labels, network and ridge of places, without the graph."""
    import torch

    from tagweave.metrics import evaluate
    from tagweave.predict import Classifier
    from tagweave.steps.joining import STUDENT
    from tagweave.training.batches import MapSource
    from tagweave.training.loop import score_images

    manifest, labels = load_collection(job.folder)
    rows = np.flatnonzero((manifest.splits == "test") & labels.labelled)
    head = Classifier.load(job.folder / "model").head
    head.shares = torch.tensor(STUDENT)
    cache, positions = open_records(job, manifest)
    return evaluate(expit(score_images(head, MapSource(cache, positions[rows])).astype(np.float64)), labels.take(rows))


def _slim(measures: Mapping[str, Any]) -> dict[str, Any]:
    rows = measures["per_label"]
    kept = {name: value for name, value in measures.items() if name not in ("per_label", "reliability")}
    return {**kept, "AP": [row["AP"] for row in rows], "positives": [row["positives"] for row in rows]}
