"""Train the network on given and propagated labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic, read_json
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records

STATISTICS_SAMPLE = 512  # images whose maps standardise the channels


def train(job: Job, key: str) -> Mapping[str, Any]:
    """Train the network on given and propagated labels, calibrate it, and write the model folder."""
    import torch

    from tagweave.predict import Classifier
    from tagweave.threads import limit_threads
    from tagweave.training.batches import MapSource
    from tagweave.training.loop import Validation, score_images
    from tagweave.training.loop import train as run_training

    limit_threads()
    manifest, labels = load_collection(job.folder)
    cache, positions = open_records(job, manifest)
    source = MapSource(cache, positions)
    data = _training_set(job, manifest, labels, source)
    head = _build_head(job, manifest, labels, source)
    val = np.flatnonzero((manifest.splits == "val") & labels.labelled)
    validation = Validation(MapSource(cache, positions[val]), labels.take(val))
    folder = job.folder / "checkpoints"
    with job.console.progress("train", "epochs") as progress:

        def report(epoch: int, epochs: int, record: dict[str, Any]) -> None:
            progress(epoch, epochs)

        history = run_training(
            head, data, validation, job.config.train, seed=job.config.seed, folder=folder, key=key, report=report
        )
    torch.manual_seed(job.config.seed)
    logits = score_images(head, validation.source) if len(val) else np.zeros((0, len(labels.names)), np.float32)
    calibration, thresholds = _calibrate(logits, validation.labels)
    embedded = read_json(job.folder / "steps" / "embed.json")
    Classifier(
        names=labels.names, thresholds=thresholds, calibration=calibration, encoder=job.config.encoder,
        encoder_key=embedded["encoder_key"], layout=cache.layout, model=job.config.model, head=head.eval(),
    ).save(job.folder / "model")  # fmt: skip
    with atomic(folder / "linear.npy") as partial:
        np.save(partial, _linear_baseline(manifest, labels, head, source, job.config.seed))
    with atomic(job.folder / "history.jsonl") as partial:
        partial.write_text("".join(json.dumps(record) + "\n" for record in history), encoding="utf-8")
    best = max((r["val_mAP"] for r in history if r["val_mAP"] is not None), default=None)
    return {"epochs": len(history), "best_val_mAP": best, "images": len(data.names)}


def _training_set(job: Job, manifest: Manifest, labels: LabelMatrix, source: Any) -> Any:
    """Give every pool image outside validation its targets: given cells, then what propagation says of the rest."""
    from tagweave.training.batches import MapSource, TrainingSet

    with np.load(job.folder / "graph" / "scores.npz", allow_pickle=False) as stored:
        pool, probabilities = stored["pool"], stored["graph"][stored["pool"]]
        reached, values, known = stored["reached"], stored["decided_values"], stored["decided_known"]
    given = labels.take(pool)
    kind = job.config.train.targets
    if kind == "soft":
        targets, trusted = probabilities, given.known | reached[:, None]
    elif kind == "decided":
        targets, trusted = values.astype(np.float32), known
    else:
        targets, trusted = given.values.astype(np.float32), given.known
    weights = np.where(given.known, 1.0, np.maximum(probabilities, 1 - probabilities) if kind == "decided" else 1.0)
    weights = np.where(trusted, weights, 0.0).astype(np.float32)
    trained = manifest.splits[pool] == "train"
    weights[:, given.take(trained).positives == 0] = 0.0  # without a known positive nothing can be learned
    use = np.flatnonzero(trained & (weights > 0).any(axis=1))
    rows = pool[use]
    return TrainingSet(
        source=MapSource(source.cache, source.positions[rows]),
        targets=np.where(given.known, given.values, targets)[use].astype(np.float32),
        weights=weights[use],
        labelled=given.labelled[use],
        names=tuple(manifest.paths[row] for row in rows),
    )


def _build_head(job: Job, manifest: Manifest, labels: LabelMatrix, source: Any) -> Any:
    import torch

    from tagweave.model.build import LabelFacts, build_head
    from tagweave.model.cooccurrence import conditional_probability
    from tagweave.model.word_vectors import label_vectors

    config, seen = job.config.model, labels.take(manifest.rows("train"))
    vectors = (
        label_vectors(labels.names, config.word_vectors, config.label_words, job.config.seed)
        if config.fusion != "none"
        else np.zeros((len(labels.names), 1), dtype=np.float32)
    )
    facts = LabelFacts(conditional_probability(seen), seen.rates(), vectors)
    rows = np.random.default_rng(job.config.seed).permutation(np.flatnonzero(manifest.splits != "test"))
    torch.manual_seed(job.config.seed)
    return build_head(config, source.cache.layout, facts, *source.read(np.sort(rows[:STATISTICS_SAMPLE])))


def _linear_baseline(manifest: Manifest, labels: LabelMatrix, head: Any, source: Any, seed: int) -> NDArray[np.float32]:
    """Return probabilities (N, C) of a linear layer trained on the labelled training images alone.

    Calibrated on the validation images as the network is, so that thresholds treat both alike.
    """
    import torch

    from tagweave.training.linear import train_linear

    with torch.inference_mode():
        x = head.pooled(torch.from_numpy(source.cache.features(source.positions))).numpy()
    rows = np.flatnonzero((manifest.splits == "train") & labels.labelled)
    layer = train_linear(x[rows], labels.take(rows), seed)
    with torch.inference_mode():
        logits = layer(torch.from_numpy(x)).numpy()
    val = np.flatnonzero((manifest.splits == "val") & labels.labelled)
    return _calibrate(logits[val], labels.take(val))[0].apply(logits.astype(np.float64)).astype(np.float32)


def _calibrate(logits: NDArray[np.float32], labels: LabelMatrix) -> tuple[Any, NDArray[np.float64]]:
    """Fit calibration and thresholds on validation images; without positives there the logits stand as they are."""
    from tagweave.calibration import Calibration, fit_calibration, tune_thresholds

    count = len(labels.names)
    if not labels.positives.any():
        return Calibration(np.ones(count), np.zeros(count)), np.full(count, 0.5)
    calibration = fit_calibration(logits.astype(np.float64), labels)
    return calibration, tune_thresholds(calibration.apply(logits.astype(np.float64)), labels)
