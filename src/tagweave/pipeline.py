"""The main job: check, embed, propagate, train, evaluate, report. Every step reads files and writes files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import Config, GraphConfig, parse_config, read_toml, to_toml
from tagweave.console import Console
from tagweave.data.annotations import Annotations
from tagweave.data.collection import collect
from tagweave.data.formats import read_annotations
from tagweave.data.images import find_images
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.data.quarantine import read_quarantine, write_quarantine
from tagweave.errors import InputError
from tagweave.runs import Steps, atomic, key_of, read_json, write_json, write_provenance
from tagweave.tables import write_labels, write_predictions

STEPS = ("check", "embed", "propagate", "train", "evaluate", "report")
SHOWN_IMAGES = 12  # in the report, with attention maps
STATISTICS_SAMPLE = 512  # images whose maps standardise the channels


@dataclass(frozen=True)
class Job:
    """Hold what a run folder is about.

    Attributes:
        folder: the run folder.
        images: the image folder. labels: the label file or folder, None for a collection without labels.
        format: of the labels; None guesses.
        command: what to note in the provenance; None notes the process's own.
    """

    folder: Path
    images: Path
    labels: Path | None
    format: str | None
    config: Config
    console: Console
    command: str | None = None

    def save(self) -> None:
        """Write ``job.json`` and ``config.toml``."""
        with atomic(self.folder / "config.toml") as partial:
            partial.write_text(to_toml(self.config), encoding="utf-8")
        labels = str(self.labels.resolve()) if self.labels else None
        write_json(
            self.folder / "job.json", {"images": str(self.images.resolve()), "labels": labels, "format": self.format}
        )

    @classmethod
    def load(cls, folder: Path, console: Console, command: str | None = None) -> Job:
        """Read the job of a run folder.

        Raises:
            InputError: the folder is not a run.
        """
        path = folder / "job.json"
        if not path.is_file():
            raise InputError(
                f"Expected a run folder (with job.json) at {folder}, but there is none; run 'tagweave fit'."
            )
        about = read_json(path)
        labels = Path(about["labels"]) if about["labels"] else None
        config = parse_config(read_toml(folder / "config.toml"))
        return cls(folder, Path(about["images"]), labels, about["format"], config, console, command)

    def run(self, until: str = "report") -> list[str]:
        """Run the steps up to ``until``, those only whose inputs changed; return the names of those that ran.

        Raises:
            InputError: what is wrong with the input. Nothing is written before the check has passed.
        """
        if self.labels is None and until not in ("check", "embed"):
            raise InputError("Expected labels to learn from, but got none; give some with --labels FILE (or --voc).")
        steps, key, ran = Steps(self.folder), _input_key(self), []
        _forget_lost_records(self.folder)
        for name in STEPS[: STEPS.index(until) + 1]:
            key = key_of(key, name, *(getattr(self.config, section).model_dump() for section in _SECTIONS[name]))
            if steps.run(name, key, _bind(_WORK[name], self, key)):
                ran.append(name)
            else:
                self.console.say(f"{name}: done before, nothing changed")
            if name == "check":
                self.save()
        self.note_provenance()
        return ran

    def note_provenance(self) -> None:
        """Write ``provenance.json`` from what the steps that are done say of themselves."""
        notes = [note for record in Steps(self.folder).records().values() for note in record.get("notes", [])]
        write_provenance(self.folder, self.config.seed, notes, self.command)


def _bind(work: Callable[[Job, str], Mapping[str, Any] | None], job: Job, key: str) -> Callable[[], Any]:
    return lambda: work(job, key)


def _input_key(job: Job) -> str:
    """Digest what lies in the image folder (names, sizes, times) and what the label file says."""
    found = find_images(job.images)[0] if job.images.is_dir() else []
    stamps = [(path, stat.st_size, stat.st_mtime_ns) for path in found for stat in [(job.images / path).stat()]]
    labels = [] if job.labels is None else _label_stamps(job.labels)
    return key_of(str(job.images.resolve()), stamps, labels, job.format, job.config.seed)


def _label_stamps(labels: Path) -> list[Any]:
    if labels.is_file():
        return [key_of(labels.read_text(encoding="utf-8", errors="replace"))]
    files = sorted([*labels.glob("ImageSets/Main/*.txt"), *labels.glob("Annotations/*.xml")])
    return [str(labels.resolve()), *((file.name, file.stat().st_mtime_ns) for file in files)]


def _read_labels(job: Job) -> Annotations | None:
    if job.labels is None:
        return None
    if job.labels.is_dir() and job.config.data.difficult != "positive":
        from tagweave.data.formats.voc import read_voc

        return read_voc(job.labels, job.config.data.difficult)
    return read_annotations(job.labels, job.format)


# --- check ------------------------------------------------------------------------------------------------------------


def check(job: Job, key: str) -> Mapping[str, Any]:
    """Find, inspect and account for every file and row; choose the splits."""
    from tagweave.model.word_vectors import label_vectors

    config, annotations = job.config.data, _read_labels(job)
    if annotations is not None and annotations.labels.names and job.config.model.fusion != "none":
        label_vectors(annotations.labels.names, job.config.model.word_vectors, job.config.model.label_words)
    with job.console.progress("check", "files") as progress:
        found = collect(
            job.images, annotations, val_fraction=config.val_fraction, test_fraction=config.test_fraction,
            label_budget=config.label_budget, seed=job.config.seed, strict=config.strict, progress=progress,
        )  # fmt: skip
    _save_collection(job.folder / "check", found.manifest, found.labels)
    write_quarantine(job.folder / "check" / "quarantine.csv", found.quarantine)
    write_quarantine(job.folder / "quarantine.csv", found.quarantine)
    for note in found.notes:
        job.console.say(f"check: {note}")
    return {"images": len(found.manifest), "quarantined": len(found.quarantine), "notes": list(found.notes)}


def _save_collection(folder: Path, manifest: Manifest, labels: LabelMatrix) -> None:
    with atomic(folder / "given.npz") as partial:
        np.savez_compressed(partial, values=labels.values, known=labels.known, names=np.array(labels.names, dtype=str))
    with atomic(folder / "manifest.parquet") as partial:
        manifest.save(partial)


def load_collection(folder: Path) -> tuple[Manifest, LabelMatrix]:
    """Return the manifest and the given labels of a run folder."""
    with np.load(folder / "given.npz", allow_pickle=False) as stored:
        labels = LabelMatrix(stored["values"], stored["known"], tuple(str(name) for name in stored["names"]))
    return Manifest.load(folder / "manifest.parquet"), labels


# --- embed ------------------------------------------------------------------------------------------------------------


def embed(job: Job, key: str) -> Mapping[str, Any]:
    """Compute the records that the cache lacks; images that fail after all go to quarantine."""
    from tagweave.encoders.backbones import build_encoder
    from tagweave.encoders.cache import RecordCache
    from tagweave.encoders.extract import extract
    from tagweave.encoders.runners import build_runner

    manifest, labels = load_collection(job.folder / "check")
    encoder = build_encoder(**job.config.encoder.model_dump())
    cache = RecordCache.of(encoder)
    with job.console.progress("embed", "images") as progress:
        bad = extract(manifest, encoder, build_runner(encoder, cache.folder), cache, progress)
    lost = {item.path for item in bad}
    kept = np.array([path not in lost for path in manifest.paths], dtype=bool)
    _save_collection(job.folder, manifest.take(kept), labels.take(kept))
    write_quarantine(job.folder / "quarantine.csv", [*read_quarantine(job.folder / "check" / "quarantine.csv"), *bad])
    notes = [f"{len(bad)} images could not be read while embedding; see quarantine.csv"] if bad else []
    return {"cache": str(cache.folder), "encoder_key": encoder.key, "images": int(kept.sum()), "notes": notes}


def open_records(job: Job, manifest: Manifest) -> tuple[Any, NDArray[np.int64]]:
    """Return the record cache of the run's encoder and where the manifest's images lie in it."""
    from tagweave.encoders.backbones import Layout
    from tagweave.encoders.cache import RecordCache

    folder = Path(read_json(job.folder / "steps" / "embed.json")["cache"])
    about = read_json(folder / "encoder.json")["layout"]
    layout = Layout(tuple(tuple(shape) for shape in about["maps"]), tuple(about["strides"]), about["features"])
    cache = RecordCache(folder, layout)
    return cache, cache.positions(manifest.digests)


def _forget_lost_records(folder: Path) -> None:
    """Let ``embed`` run again where the cache it filled was emptied since."""
    record = folder / "steps" / "embed.json"
    if not record.is_file() or not (folder / "manifest.parquet").is_file():
        return
    index = Path(read_json(record)["cache"]) / "index.txt"
    stored = set(index.read_text(encoding="utf-8", errors="replace").split()) if index.is_file() else set()
    if not stored.issuperset(Manifest.load(folder / "manifest.parquet").digests):
        record.unlink()


# --- propagate --------------------------------------------------------------------------------------------------------


def graph_settings(config: GraphConfig) -> Any:
    """Return the numerical core's settings of a configuration."""
    from tagweave.graph.propagation import GraphSettings

    shared = config.model_dump(exclude={"features", "precision"})
    return GraphSettings(parts=2 if config.features == "average+max" else 1, **shared)


def propagate(job: Job, key: str) -> Mapping[str, Any]:
    """Spread the known labels over the pool; test images stay outside the graph and are scored inductively.

    Twice on one graph: with the validation labels hidden, for the network's targets and for honest scores; and with
    all labels, for the labels handed to the person. Without validation images both are the same.
    """
    from tagweave.graph.propagation import build_graph
    from tagweave.graph.propagation import propagate as spread_labels
    from tagweave.graph.pseudo_labels import pseudo_labels
    from tagweave.graph.teacher import fit_linear

    manifest, labels = load_collection(job.folder)
    cache, positions = open_records(job, manifest)
    width = cache.layout.features if job.config.graph.features == "average+max" else cache.layout.features // 2
    features = cache.features(positions)[:, :width]
    pool, test = np.flatnonzero(manifest.splits != "test"), manifest.rows("test")
    job.console.say(f"propagate: graph of {len(pool):,} images, {job.config.graph.k} neighbours")
    graph = build_graph(features[pool], graph_settings(job.config.graph))
    pool_labels = labels.take(pool)
    val = np.flatnonzero(manifest.splits[pool] == "val")
    honest = spread_labels(graph, pool_labels.hide(val), job.config.seed)
    final = spread_labels(graph, pool_labels, job.config.seed) if len(val) else honest
    teacher, calibration = fit_linear(graph.unit, honest.labels)

    by_graph, by_ridge = (np.zeros(labels.values.shape, dtype=np.float32) for _ in range(2))
    by_graph[pool] = honest.probabilities
    by_ridge[pool] = calibration.apply(teacher.score(graph.unit))
    if len(test):
        by_graph[test] = honest.score_new(features[test])
        by_ridge[test] = calibration.apply(teacher.score(honest.unit_of(features[test])))
    targets = pseudo_labels(honest.probabilities, honest.labels, honest.reached, job.config.graph.precision)
    decided = targets.decided(honest.labels)
    with atomic(job.folder / "graph" / "scores.npz") as partial:
        np.savez_compressed(
            partial, pool=pool, graph=by_graph, ridge=by_ridge, reached=honest.reached,
            decided_values=decided.values, decided_known=decided.known,
        )  # fmt: skip
    accepted = pseudo_labels(final.probabilities, final.labels, final.reached, job.config.graph.precision)
    probabilities = by_graph.copy()
    probabilities[pool] = final.probabilities
    probabilities = np.where(labels.known, labels.values, probabilities)
    write_labels(
        job.folder / "labels.parquet", manifest, labels, accepted.spread_over(pool, len(labels)), probabilities
    )
    facts = _propagation_facts(pool_labels, accepted.positive, accepted.negative, final.reached)
    unreached = int((~final.reached).sum())
    notes = [f"{unreached} images were reached by no label; they stay unknown in labels.parquet"] if unreached else []
    job.console.say(
        f"propagate: graph's share {final.share:.2f}, {facts['pseudo_positive']:,} positive and "
        f"{facts['pseudo_negative']:,} negative cells accepted, {facts['unknown_cells']:,} left unknown"
    )
    choice = {"share": final.share, "penalty": final.teacher.penalty if final.teacher else None, "rounds": final.rounds}
    return {**choice, "propagation": facts, "parts": final.seconds, "notes": notes}


def _propagation_facts(
    labels: LabelMatrix, positive: NDArray[np.bool_], negative: NDArray[np.bool_], reached: NDArray[np.bool_]
) -> dict[str, Any]:
    """Count, for the report: unlabelled images that were reached, unknown cells that were decided."""
    unknown = int((~labels.known).sum())
    decided = int(positive.sum() + negative.sum())
    return {
        "images": len(labels), "unlabelled": int((~labels.labelled).sum()),
        "reached_images": int((reached & ~labels.labelled).sum()),
        "pseudo_positive": int(positive.sum()), "pseudo_negative": int(negative.sum()),
        "unknown_cells": unknown - decided, "coverage": decided / unknown if unknown else 1.0,
    }  # fmt: skip


# --- train ------------------------------------------------------------------------------------------------------------


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


# --- evaluate and report ----------------------------------------------------------------------------------------------


def evaluate(job: Job, key: str) -> Mapping[str, Any]:
    """Score every image with the final model and measure all systems on the held-out splits."""
    from tagweave.calibration import reliability
    from tagweave.metrics import evaluate as measure
    from tagweave.model.cooccurrence import conditional_probability
    from tagweave.predict import Classifier
    from tagweave.threads import limit_threads

    limit_threads()
    manifest, labels = load_collection(job.folder)
    cache, positions = open_records(job, manifest)
    classifier = Classifier.load(job.folder / "model")
    with job.console.progress("evaluate", "images") as progress:
        probabilities = _score_all(classifier, cache, positions, progress)
    with np.load(job.folder / "graph" / "scores.npz", allow_pickle=False) as stored:
        systems = {"ridge": stored["ridge"], "graph": stored["graph"], "network": probabilities}
    systems = {"linear": np.load(job.folder / "checkpoints" / "linear.npy"), **systems}
    splits: dict[str, Any] = {}
    for split in ("val", "test"):
        rows = np.flatnonzero((manifest.splits == split) & labels.labelled)
        truth = labels.take(rows)
        if truth.positives.any():
            measured = {name: measure(scores[rows].astype(np.float64), truth) for name, scores in systems.items()}
            measured["network"] = measure(probabilities[rows], truth, classifier.thresholds)
            for name, scores in systems.items():
                measured[name]["reliability"] = reliability(scores[rows].astype(np.float64), truth)
            splits[split] = {"systems": measured}
    seen = labels.take(manifest.rows("train"))
    cooccurrence = {
        "names": list(labels.names), "counts": seen.positives.tolist(),
        "conditional": np.round(conditional_probability(seen), 4).tolist(),
    }  # fmt: skip
    facts = read_json(job.folder / "steps" / "propagate.json")["propagation"]
    content = {"main": "network", "splits": splits, "cooccurrence": cooccurrence, "propagation": facts}
    write_json(job.folder / "metrics.json", content)
    write_predictions(job.folder / "predictions.parquet", manifest, labels.names, probabilities)
    _save_attention(job, classifier, manifest, labels, cache, positions)
    return {"measured": {split: len(manifest.rows(split)) for split in splits}}


def _score_all(classifier: Any, cache: Any, positions: NDArray[np.int64], progress: Any) -> NDArray[np.float64]:
    parts = []
    for start in range(0, len(positions), 64):
        parts.append(classifier.probabilities(cache.records(positions[start : start + 64])))
        progress(min(start + 64, len(positions)), len(positions))
    return np.concatenate(parts)


def _save_attention(
    job: Job, classifier: Any, manifest: Manifest, labels: LabelMatrix, cache: Any, positions: NDArray[np.int64]
) -> None:
    """Keep the attention maps of a dozen images with known labels, from the split that is measured."""
    import torch

    for split in ("test", "val", "train"):
        rows = np.flatnonzero((manifest.splits == split) & labels.labelled)
        if len(rows):
            break
    rows = np.sort(np.random.default_rng(job.config.seed).permutation(rows)[:SHOWN_IMAGES])
    maps, features = cache.layout.split(cache.records(positions[rows]).astype(np.float32))
    with torch.inference_mode():
        output = classifier.head([torch.from_numpy(m) for m in maps], torch.from_numpy(features))
    weights = [a.numpy() / a.sum(dim=(1, 2), keepdim=True).clamp(min=1e-12).numpy() for a in output.attention]
    arrays = {f"map_{number}": weight.astype(np.float32) for number, weight in enumerate(weights)}
    stages = np.array([f"stride {stride}" for stride in cache.layout.strides], dtype=str)
    with atomic(job.folder / "attention.npz") as partial:
        np.savez_compressed(partial, images=np.array([manifest.paths[r] for r in rows]), stages=stages, **arrays)


def report(job: Job, key: str) -> Mapping[str, Any]:
    """Write ``report.html``."""
    from tagweave.report import write_report

    if not read_json(job.folder / "metrics.json")["splits"]:
        (job.folder / "report.html").unlink(missing_ok=True)
        return {"notes": ["no report.html: there is no held-out labelled image to measure on"]}
    job.note_provenance()
    write_report(job.folder)
    return {}


_WORK: dict[str, Callable[[Job, str], Mapping[str, Any] | None]] = {
    "check": check, "embed": embed, "propagate": propagate, "train": train, "evaluate": evaluate, "report": report,
}  # fmt: skip
_SECTIONS: dict[str, tuple[str, ...]] = {
    "check": ("data",), "embed": ("encoder",), "propagate": ("graph",), "train": ("model", "train"),
    "evaluate": (), "report": (),
}  # fmt: skip
