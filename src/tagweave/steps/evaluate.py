"""Score every image with the final model and measure all systems on the held-out splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic, read_json, write_json
from tagweave.steps.certainty import intervals
from tagweave.steps.doubts import Unseen, right_and_wrong, unseen_probabilities, write_doubts
from tagweave.steps.finetuned import encoded
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records
from tagweave.tables import write_predictions

Floats = NDArray[np.float64]

SHOWN_IMAGES = 6  # in the report with attention maps, of those decided rightly and of those not


def evaluate(job: Job, key: str) -> Mapping[str, Any]:
    """Score every image with the final model and measure all systems on the held-out splits."""
    from tagweave.model.joint import JointHead
    from tagweave.predict import Classifier
    from tagweave.threads import limit_threads
    from tagweave.training.batches import MapSource
    from tagweave.training.loop import score_images

    limit_threads("torch")
    manifest, labels = load_collection(job.folder)
    classifier = Classifier.load(job.folder / "model")
    source = (
        encoded(manifest, classifier.built_encoder)
        if classifier.is_finetuned
        else MapSource(*open_records(job, manifest))
    )
    with job.console.progress("evaluate", "images") as progress:
        logits = score_images(classifier.head, source, progress)
    probabilities = classifier.calibration.apply(logits.astype(np.float64))
    splits = _measure_splits(job.folder, manifest, labels, probabilities, classifier.thresholds)
    content = {
        "main": "classifier", "joined": isinstance(classifier.head, JointHead), "splits": splits,
        "cooccurrence": _cooccurrence(labels.take(manifest.rows("train"))),
        "propagation": read_json(job.folder / "steps" / "propagate.json")["propagation"],
    }  # fmt: skip
    rounds = read_json(job.folder / "steps" / "train.json").get("rounds")
    write_json(job.folder / "metrics.json", content | ({"rounds": rounds} if rounds else {}))
    write_predictions(job.folder / "predictions.parquet", manifest, labels.names, probabilities)
    held_out = unseen_probabilities(job.folder, manifest, labels, probabilities)
    suspected = write_doubts(job.folder, manifest, labels, probabilities, held_out)
    _save_attention(job, classifier, manifest, labels, held_out, source)
    return {
        "measured": {split: len(manifest.rows(split)) for split in splits}, "suspected_errors": suspected,
        "outputs": ["metrics.json", "predictions.parquet", "attention.npz"],
    }  # fmt: skip


def _measure_splits(
    folder: Path, manifest: Manifest, labels: LabelMatrix, probabilities: Floats, thresholds: Floats
) -> dict[str, Any]:
    """Return the measures of every system on validation and test images, where those have a known positive.

    The systems' scores were left by the steps; of the classifier, validation images are scored by the one trained
    without them.
    """
    from tagweave.calibration import reliability
    from tagweave.metrics import evaluate as measure

    with np.load(folder / "graph" / "scores.npz", allow_pickle=False) as stored:
        ridge, graph = stored["ridge"], stored["graph"]
    with np.load(folder / "checkpoints" / "scores.npz", allow_pickle=False) as stored:
        systems = {"linear": stored["linear"], "ridge": ridge, "graph": graph, "network": stored["network"]}
        if "places" in stored:
            systems["places"] = stored["places"]
        classifier = {"val": stored["classifier"], "test": probabilities}
    splits: dict[str, Any] = {}
    for split in ("val", "test"):
        rows = np.flatnonzero((manifest.splits == split) & labels.labelled)
        truth = labels.take(rows)
        if truth.positives.any():
            measured = {}
            given = {**systems, "classifier": classifier[split]}
            here = {name: scores[rows].astype(np.float64) for name, scores in given.items()}
            for name, scores in here.items():
                measured[name] = measure(scores, truth, thresholds if name == "classifier" else None)
                measured[name]["reliability"] = reliability(scores, truth)
            for name, sure in intervals(here, truth, "classifier").items() if split == "val" else ():
                measured[name].update(sure)
            splits[split] = {"systems": measured}
    return splits


def _cooccurrence(seen: LabelMatrix) -> dict[str, Any]:
    from tagweave.model.cooccurrence import conditional_probability

    conditional = np.round(conditional_probability(seen), 4).tolist()
    return {"names": list(seen.names), "counts": seen.positives.tolist(), "conditional": conditional}


def _save_attention(
    job: Job, classifier: Any, manifest: Manifest, labels: LabelMatrix, held_out: Unseen, source: Any
) -> None:  # fmt: skip
    """Keep the attention maps of images of the measured split: some decided rightly, some not."""
    for split in ("test", "val", "train"):
        rows = np.flatnonzero((manifest.splits == split) & labels.labelled)
        if len(rows):
            break
    decided = held_out.of(rows) >= classifier.thresholds
    chosen, errors = right_and_wrong(labels.take(rows), decided, SHOWN_IMAGES, job.config.seed)
    rows = rows[chosen]
    looks = classifier.attention(source.records(rows))
    arrays: dict[str, Any] = {f"map_{number}": look.weights for number, look in enumerate(looks)}
    stages = np.array([f"stage {look.stage}, stride {look.stride}" for look in looks], dtype=str)
    with atomic(job.folder / "attention.npz") as partial:
        names = np.array([manifest.paths[row] for row in rows], dtype=str)
        np.savez_compressed(partial, images=names, errors=errors, stages=stages, **arrays)
