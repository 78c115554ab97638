"""Train the classifier on given and propagated labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic, read_json
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records
from tagweave.trackers import open_trackers

if TYPE_CHECKING:
    from torch import nn

    from tagweave.calibration import Calibration
    from tagweave.training.batches import MapSource, TrainingSet

STATISTICS_SAMPLE = 512  # images whose maps standardise the channels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """Hold the whole collection: its manifest, given labels (N, C), and where its records lie."""

    manifest: Manifest
    labels: LabelMatrix
    source: MapSource


@dataclass(frozen=True)
class Fit:
    """Hold a trained network.

    Attributes:
        stage: ``choice`` or ``final``. data: what it was trained on.
        hidden: labelled rows of the collection that it did not see.
    """

    stage: str
    network: nn.Module
    data: TrainingSet
    hidden: NDArray[np.int64]
    history: tuple[dict[str, Any], ...]


def train(job: Job, key: str) -> Mapping[str, Any]:
    """Train the network on given and propagated labels, calibrate it, and write the model folder.

    First without the validation images, which choose calibration and thresholds; then once more on all labelled
    images, over all epochs: with few labels those held back are missed.
    """
    from tagweave.predict import Classifier
    from tagweave.threads import limit_threads
    from tagweave.training.batches import MapSource

    limit_threads()
    manifest, labels = load_collection(job.folder)
    cache, positions = open_records(job, manifest)
    images = Images(manifest, labels, MapSource(cache, positions))
    val, test = (np.flatnonzero((manifest.splits == split) & labels.labelled) for split in ("val", "test"))

    choice = _fit(job, key, "choice", images, val)
    by_network = _logits(choice.network, images, val)
    network_calibration = calibrate(by_network, labels.take(val))
    head = _joined(job, choice, network_calibration)
    by_head = _logits(head, images, val)
    calibration = calibrate(by_head, labels.take(val))
    final, final_head = choice, head
    if len(val) and job.config.train.refit:
        final = _fit(job, key, "final", images, val[:0])
        final_head = _joined(job, final, network_calibration)

    embedded = read_json(job.folder / "steps" / "embed.json")
    Classifier(
        names=labels.names, thresholds=_thresholds(calibration, by_head, labels.take(val)), calibration=calibration,
        encoder=job.config.encoder, encoder_key=embedded["encoder_key"], layout=cache.layout, model=job.config.model,
        head=final_head.eval(),
    ).save(job.folder / "model")  # fmt: skip
    scores = {name: np.zeros(labels.values.shape, dtype=np.float32) for name in ("linear", "network", "classifier")}
    scores["classifier"][val] = calibration.apply(by_head)
    scores["network"][val] = network_calibration.apply(by_network)
    scores["network"][test] = network_calibration.apply(_logits(final.network, images, test))
    linear_calibration = calibrate(_linear_logits(job, choice, images, val), labels.take(val))
    for fit, rows in ((choice, val), (final, test)):
        scores["linear"][rows] = linear_calibration.apply(_linear_logits(job, fit, images, rows))
    with atomic(job.folder / "checkpoints" / "scores.npz") as partial:
        np.savez_compressed(partial, **scores)  # type: ignore[arg-type]
    with atomic(job.folder / "history.jsonl") as partial:
        partial.write_text("".join(json.dumps(record) + "\n" for record in choice.history), encoding="utf-8")
    best = max((r["val_mAP"] for r in choice.history if r["val_mAP"] is not None), default=None)
    return {"epochs": len(final.history), "best_val_mAP": best, "images": len(final.data.names)}


def _fit(job: Job, key: str, stage: str, images: Images, hidden: NDArray[np.int64]) -> Fit:
    """Train a network with the labels of ``hidden`` unseen; they choose the epoch where there are any."""
    from tagweave.steps.policies import policy_over
    from tagweave.steps.targets import training_set
    from tagweave.training.batches import MapSource
    from tagweave.training.loop import Validation
    from tagweave.training.loop import train as run_training

    propagated = job.folder / "graph" / f"{stage}.npz"
    policy = policy_over(images.source, job.config.train.targets, job.config.seed)
    data = training_set(propagated, job.config.train, images.manifest, images.labels, images.source, hidden, policy)
    network = _build_network(job, stage, images, hidden)
    source = images.source
    validation = Validation(MapSource(source.cache, source.positions[hidden]), images.labels.take(hidden))
    with (
        job.console.progress("train" if stage == "choice" else "train again", "epochs") as progress,
        open_trackers(job.config.log_to, job.folder, stage, job.config.model_dump()) as note,
    ):

        def report(epoch: int, epochs: int, record: dict[str, Any]) -> None:
            progress(epoch, epochs)
            note(record)

        history = run_training(
            network, data, validation, job.config.train, seed=job.config.seed, key=key,
            folder=job.folder / "checkpoints" / stage, report=report,
        )  # fmt: skip
    return Fit(stage, network.eval(), data, hidden, history)


def _build_network(job: Job, stage: str, images: Images, hidden: NDArray[np.int64]) -> nn.Module:
    import torch

    from tagweave.graph.neighbours import pool_mean
    from tagweave.model.inputs import HeadInputs
    from tagweave.peers.registry import build_head
    from tagweave.steps.label_facts import label_facts

    config, pool, source = job.config.model, np.flatnonzero(images.manifest.splits != "test"), images.source
    seen = images.labels.hide(hidden).take(pool)
    facts = label_facts(config, seen, job.folder / "graph" / f"{stage}.npz", job.config.seed)
    sample = np.sort(np.random.default_rng(job.config.seed).permutation(pool)[:STATISTICS_SAMPLE])
    mean = pool_mean(source.cache.features(source.positions[pool]))  # the very one that the graph centres on
    torch.manual_seed(job.config.seed)
    inputs = HeadInputs.measure(source.cache.layout, facts, source.read(sample)[0], torch.from_numpy(mean))
    return build_head(config, inputs)


def _joined(job: Job, fit: Fit, calibration: Calibration) -> nn.Module:
    """Join the network with what propagation says of new images, from the same labels."""
    import torch

    from tagweave.model.joint import JointHead
    from tagweave.steps.inductive import load_inductive

    share = job.config.train.network_share
    if share == 1.0:
        return fit.network
    propagated = load_inductive(job.folder / "graph" / f"inductive-{fit.stage}.npz")
    slope, offset = (torch.from_numpy(part.astype(np.float32)) for part in (calibration.slope, calibration.offset))
    return JointHead(fit.network, propagated, slope, offset, torch.tensor(share)).eval()


def _pooled(network: nn.Module, source: MapSource) -> NDArray[np.float32]:
    """Return x̄ (n, D) of the images of ``source``."""
    import torch

    with torch.inference_mode():
        x: NDArray[np.float32] = network.pooled(  # type: ignore[operator]
            torch.from_numpy(source.cache.features(source.positions))
        ).numpy()
    return x


def _logits(head: nn.Module, images: Images, rows: NDArray[np.int64]) -> Floats:
    """Return logits (n, C) of rows of the collection."""
    from tagweave.training.batches import MapSource
    from tagweave.training.loop import score_images

    if not len(rows):
        return np.zeros((0, len(images.labels.names)))
    return score_images(head, MapSource(images.source.cache, images.source.positions[rows])).astype(np.float64)


def _linear_logits(job: Job, fit: Fit, images: Images, rows: NDArray[np.int64]) -> Floats:
    """Return logits (n, C) of ``rows`` by a linear layer trained on the labelled images alone."""
    import torch

    from tagweave.training.linear import train_linear

    x = _pooled(fit.network, images.source)
    labelled = images.labels.hide(fit.hidden).labelled & (images.manifest.splits != "test")
    layer = train_linear(x[labelled], images.labels.take(np.flatnonzero(labelled)), job.config.seed)
    with torch.inference_mode():
        logits: Floats = layer(torch.from_numpy(x[rows])).numpy().astype(np.float64)
    return logits


def calibrate(logits: Floats, labels: LabelMatrix) -> Calibration:
    """Fit a calibration on images that were not trained on; without positives there the logits stand as they are."""
    from tagweave.calibration import Calibration, fit_calibration

    if labels.positives.any():
        return fit_calibration(logits, labels)
    return Calibration(np.ones(len(labels.names)), np.zeros(len(labels.names)))


def _thresholds(calibration: Calibration, logits: Floats, labels: LabelMatrix) -> Floats:
    from tagweave.calibration import tune_thresholds

    if not labels.positives.any():
        return np.full(len(labels.names), 0.5)
    return tune_thresholds(calibration.apply(logits), labels)
