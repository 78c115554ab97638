"""One cell of the tables of trained systems: search, fit with the main job's own steps, measure on the test images."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from tagweave.benchmark.dataset import Held
from tagweave.benchmark.memory import PeakMemory
from tagweave.benchmark.tuning import Search, Try, tune
from tagweave.config import NETWORK_ALONE, Config
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.data.splits import SplitPlan, assign_splits
from tagweave.pipeline import advance
from tagweave.runs import Steps, key_of, read_json, write_json
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records, save_collection

ALL = "all"  # the budget that hides nothing

Budget = float | str
Systems = dict[str, Any]
Epochs = list[dict[str, Any]]


def fit_and_measure(
    held: Held, config: Config, budget: Budget, search: Search | None, work: Path, *, own_loss: bool
) -> dict[str, Any]:
    """Search where there is something to search, fit, and return the measures on the test images.

    A network that stands alone is measured alone; of one that is joined all parts of the main job are.
    """
    began = time.perf_counter()
    manifest, labels = drawn(held, budget, config)
    found: list[dict[str, Any]] = []
    if search:
        config, found = tune(_try(held, work / "search"), manifest, labels, config, search, own_loss)
    searched, began = time.perf_counter() - began, time.perf_counter()
    alone = config.train.shares == NETWORK_ALONE
    systems, trainings, peak = (_fit_alone if alone else _fit_whole)(held, manifest, labels, config, work)
    return {
        "chosen": config.train.model_dump(include={"learning_rate", "epochs", "loss"}), "searched": found,
        "search_seconds": round(searched, 3), "cell_seconds": round(time.perf_counter() - began, 3),
        "seconds": round(sum(epoch["seconds"] for training in trainings for epoch in training), 3), "peak_mib": peak,
        "names": list(labels.names), "labelled": int((labels.labelled & (manifest.splits != "test")).sum()),
        "pool": int((manifest.splits != "test").sum()),
        "systems": {name: _slim(measures) for name, measures in systems.items()}, "history": trainings[0],
    }  # fmt: skip


def _try(held: Held, folder: Path) -> Try:
    """Return the function that trains once on a part of the collection and says what validation reaches."""

    def run(manifest: Manifest, labels: LabelMatrix, config: Config) -> float | None:
        from tagweave.steps.beside import choose
        from tagweave.steps.collection import open_images
        from tagweave.steps.fitting import fit

        job = place(held, manifest, labels, config, folder)
        key = _propagated(job, key_of(held.digest, manifest.paths, labels.known.tolist(), config.seed))
        images = open_images(job)
        best: float | None = fit(job, choose(job, key, images), images).rounds[-1]["val_mAP"]
        return best

    return run


def drawn(held: Held, budget: Budget, config: Config) -> tuple[Manifest, LabelMatrix]:
    """Return manifest and labels as ``check`` makes them of files whose test images are given."""
    plan = SplitPlan(
        config.data.val_fraction, config.data.test_fraction, None if budget == ALL else float(budget), config.seed
    )
    labels, splits, _ = assign_splits(held.labels, held.manifest.splits, held.groups, plan)
    return replace(held.manifest, splits=splits), labels


def _fit_alone(
    held: Held, manifest: Manifest, labels: LabelMatrix, config: Config, folder: Path
) -> tuple[Systems, list[Epochs], float | None]:  # fmt: skip
    """Propagate and train; return what the network reaches on the test images, its trainings, and their peak memory.

    It is calibrated and decides as ``fit``'s does, by the one that never saw the validation images. Neither is given
    a test label.
    """
    from tagweave.metrics import evaluate
    from tagweave.steps.collection import open_images
    from tagweave.steps.judged import calibrate, choose_thresholds
    from tagweave.steps.train import fit_both

    job = place(held, manifest, spoiled(labels, manifest), config, folder)
    key = _propagated(job, _key(held, manifest, labels, config))
    images = open_images(job)
    with PeakMemory() as memory:
        choice, final = fit_both(job, key, images)
    val, test = images.labelled("val"), images.labelled("test")
    by_choice, truth = choice.logits(job, choice.network, images, val), labels.take(val)
    calibration = calibrate(by_choice, truth)
    thresholds = choose_thresholds(calibration, by_choice, truth)
    probabilities = calibration.apply(final.logits(job, final.network, images, test))
    fits = (choice,) if choice is final else (choice, final)
    measures = evaluate(probabilities, labels.take(test), thresholds)
    return {"classifier": measures}, [list(one.history) for one in fits], memory.mib


def _propagated(job: Job, key: str) -> str:
    """Propagate unless it was done from the same input; return the key of a training on what it left."""
    advance(job, key, ("propagate",))
    config = job.config
    return key_of(str(Steps(job.folder).key("propagate")), config.model.model_dump(), config.train.model_dump())


def _key(held: Held, manifest: Manifest, labels: LabelMatrix, config: Config) -> str:
    """Return the key of what the steps are given."""
    return key_of(held.digest, labels.values.tolist(), labels.known.tolist(), manifest.splits.tolist(), config.seed)


def _fit_whole(
    held: Held, manifest: Manifest, labels: LabelMatrix, config: Config, folder: Path
) -> tuple[Systems, list[Epochs], float | None]:  # fmt: skip
    """Propagate, train and evaluate with the main job's own steps; return all systems that it measures.

    While anything is learned every test label reads "absent": what the steps are given cannot hold the answer.
    """
    job = place(held, manifest, spoiled(labels, manifest), config, folder)
    advance(job, _key(held, manifest, labels, config), ("propagate",))
    with PeakMemory() as memory:
        ran = advance(job, str(Steps(folder).key("propagate")), ("train",))
    save_collection(folder, manifest, labels)
    advance(job, str(Steps(folder).key("train")), ("evaluate",))
    return _measured(job), _histories(job, manifest, labels), memory.mib if ran else None


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


def _histories(job: Job, manifest: Manifest, labels: LabelMatrix) -> list[Epochs]:
    """Return the epochs of each training of a run: of the choice and, where there was one, of the final one."""
    again = job.config.train.refit and ((manifest.splits == "val") & labels.labelled).any()
    rounds = ["", *(f"-{number}" for number in range(2, job.config.train.rounds + 1))]
    names = [stage + number for stage in ("choice", "final")[: 1 + again] for number in rounds]
    paths = [job.folder / "checkpoints" / name / "history.jsonl" for name in names]
    return [[json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in paths]


def _measured(job: Job) -> Systems:
    """Return what the run's systems reach on the test images."""
    metrics = read_json(job.folder / "metrics.json")
    systems: Systems = metrics["splits"]["test"]["systems"]
    return {**systems, "student": _student(job)} if metrics["joined"] else systems


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
    head: Any = Classifier.load(job.folder / "model").head
    head.shares, head.untaught = torch.tensor(STUDENT), torch.zeros_like(head.untaught)
    cache, positions = open_records(job, manifest)
    return evaluate(expit(score_images(head, MapSource(cache, positions[rows])).astype(np.float64)), labels.take(rows))


def _slim(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Return measures as a cell keeps them: per label only AP and count."""
    rows = measures["per_label"]
    kept = {name: value for name, value in measures.items() if name not in ("per_label", "reliability")}
    return {**kept, "AP": [row["AP"] for row in rows], "positives": [row["positives"] for row in rows]}
