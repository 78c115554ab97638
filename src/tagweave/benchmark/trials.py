"""The main job's own steps, run once per budget, seed and setting: the cells of the tables of trained systems."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tagweave.benchmark.cells import finished
from tagweave.benchmark.dataset import Held
from tagweave.benchmark.fitted import ALL, Budget, fit_and_measure
from tagweave.benchmark.tuning import Search
from tagweave.config import Config
from tagweave.console import Console
from tagweave.data.splits import label_budget
from tagweave.training.batches import epoch_length, lengthened

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
        fitted = partial(
            fit_and_measure, self.held, trial.config, trial.budget, trial.search, work, own_loss=trial.own_loss
        )
        return finished(self.folder / "cells", about, fitted)

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
