"""A run folder as the steps leave it, made of random numbers: what the report's tests read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from tagweave.data.manifest import Manifest

WORDS = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining_table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted_plant",
    "sheep",
    "sofa",
    "train",
    "tv_monitor",
]
SHOWN = 12


def label_names(labels: int) -> list[str]:
    """Return the twenty words, then numbered ones, one of them long."""
    more = [f"word {number}" for number in range(labels - len(WORDS))]
    if more:
        more[0] = "a very long name of a label that no column can hold"
    return (WORDS + more)[:labels]


def make_run(folder: Path, labels: int = 20, images: int = 40, names: list[str] | None = None) -> Path:
    """Write a whole run folder below ``folder`` and return it."""
    rng = np.random.default_rng(0)
    names = names or label_names(labels)
    run = folder / "runs" / "holiday"
    run.mkdir(parents=True)
    manifest = _write_images(folder / "photos", images, rng)
    manifest.save(run / "manifest.parquet")
    truth = rng.random((images, len(names))) < np.linspace(0.5, 0.02, len(names))
    probabilities = np.clip(0.15 + 0.6 * truth + rng.normal(0, 0.15, truth.shape), 0.001, 0.999).astype(np.float32)
    _write_labels(run, manifest, names, truth, probabilities)
    _write_predictions(run, manifest, names, probabilities)
    _write_attention(run, manifest, rng)
    _write_doubts(run, manifest, names, truth, probabilities)
    _write_examples(run, manifest, names)
    _write_json(run / "metrics.json", make_metrics(names, rng))
    _write_json(run / "provenance.json", PROVENANCE)
    _write_json(run / "job.json", {"images": "/my photos", "labels": "/labels.csv", "format": None})
    _write_history(run, rng)
    (run / "steps").mkdir()
    _write_json(run / "steps" / "train.json", {**TRAINED, "images": images})
    (run / "config.toml").write_text(CONFIG)
    with (run / "quarantine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("path", "reason"),
                *((f"broken/a folder with a long name/{number:03d}.jpg", "is truncated") for number in range(73)),
            ]
        )
    return run


CONFIG = """# how the run was made
[graph]
folds = 5
[train]
epochs = 25
loss = "weighted"
refit = true
"""

TRAINED = {
    "epochs": 25, "best_val_mAP": 0.66, "shares": [1 / 3, 1 / 3, 1 / 3],
    "mixtures": {
        "images": 40, "best": 1, "ahead": [-0.01, 0.02],
        "tried": [{"shares": [1 / 3, 1 / 3, 1 / 3], "mAP": 0.6}, {"shares": [0.5, 0.5, 0.0], "mAP": 0.605}],
    },
}  # fmt: skip

PROVENANCE: dict[str, Any] = {
    "tagweave": "0.1.0",
    "command": "tagweave fit photos/ --labels labels.csv --seed 3",
    "seed": 3,
    "python": "3.11.9",
    "packages": {"numpy": "2.1.0", "torch": "2.6.0"},
    "steps": {step: {"seconds": seconds} for step, seconds in (("embed", 12.34), ("propagate", 1.5), ("train", 83.0))},
    "started": "2025-03-01T12:00:00+00:00",
    "notes": ["One label file row was repeated."],
}


def make_metrics(names: list[str], rng: np.random.Generator) -> dict[str, Any]:
    """Return ``metrics.json``: three systems on test and val, co-occurrence and propagation."""
    counts = np.linspace(900, 4, len(names)).astype(int)
    group = np.arange(len(names)) % 6
    conditional = np.where(group[:, None] == group, 0.5, 0.08) * rng.random((len(names), len(names)))
    np.fill_diagonal(conditional, 1.0)
    systems = {"linear": 0.55, "graph": 0.5, "network": 0.68}
    splits = {
        split: {"systems": {key: _measures(names, level, rng) for key, level in systems.items()}}
        for split in ("test", "val")
    }
    for key, bounds in BOUNDS.items():
        splits["val"]["systems"][key].update(bounds)
    return {
        "main": "network",
        "splits": splits,
        "cooccurrence": {"names": names, "conditional": conditional.tolist(), "counts": counts.tolist()},
        "propagation": {
            "images": 1234,
            "unlabelled": 1000,
            "reached_images": 937,
            "pseudo_positive": 1400,
            "pseudo_negative": 11800,
            "unknown_cells": 5540,
            "coverage": 0.7043,
            **CHOSEN,
        },
    }


# Of validation images, as there are enough of them.
BOUNDS = {
    "linear": {"mAP_interval": [0.501, 0.598], "main_ahead": [0.093, 0.171]},
    "graph": {"mAP_interval": [0.452, 0.549], "main_ahead": [-0.012, 0.211]},
    "network": {"mAP_interval": [0.631, 0.729], "main_ahead": [0.0, 0.0]},
}

CHOSEN: dict[str, Any] = {
    "graph_share": 0.75, "ridge_penalty": 0.3,
    "blends": [
        {"share": share, "log_loss": loss, "mAP": area}
        for share, loss, area in (
            (0.0, 0.21344, 0.611), (0.25, 0.20151, 0.632), (0.5, 0.19987, 0.644), (0.75, 0.19012, 0.641),
            (1.0, 0.20013, 0.602),
        )
    ],
    "penalties": [{"penalty": penalty, "squared_error": 0.1} for penalty in (0.1, 0.3, 1.0, 3.0, 10.0)],
}  # fmt: skip


def _measures(names: list[str], level: float, rng: np.random.Generator) -> dict[str, Any]:
    precisions = np.clip(rng.normal(level, 0.18, len(names)), 0.02, 1.0)
    per_label = [
        {
            "label": name,
            "positives": int(rng.integers(1, 400)),
            "negatives": 300,
            "AP": float(precision),
            "threshold": 0.4,
            "precision": 0.5,
            "recall": 0.6,
            "F1": 0.55,
        }
        for name, precision in zip(names, precisions, strict=True)
    ]
    per_label[-1].update(positives=0, AP=None)
    edges = np.linspace(0, 1, 11)
    means = (edges[1:] + edges[:-1]) / 2
    return {
        "images": 482,
        "cells": 482 * len(names),
        "mAP": float(precisions[:-1].mean()),
        "labels_with_positives": len(names) - 1,
        "mAP_10": 0.7321,
        "labels_with_10_positives": len(names) - 2,
        "at_half": _decisions(level - 0.1, rng),
        "at_tuned": _decisions(level, rng),
        "top3": _decisions(level - 0.05, rng),
        "top3_at_half": _decisions(level - 0.15, rng),
        "hamming_error": 0.0712,
        "one_error": 0.2134,
        "ece": 0.0345,
        "per_label": per_label,
        "reliability": {
            "edges": edges.tolist(),
            "mean_probability": [None, *means[1:].tolist()],
            "positive_share": [None, *(means[1:] ** 1.4).tolist()],
            "cells": [0, 6000, 2000, 900, 500, 400, 300, 250, 200, 260],
        },
    }


def _decisions(level: float, rng: np.random.Generator) -> dict[str, float]:
    return {key: level + float(rng.uniform(-0.05, 0.05)) for key in ("CP", "CR", "CF1", "OP", "OR", "OF1")}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _write_images(root: Path, images: int, rng: np.random.Generator) -> Manifest:
    root.mkdir()
    sizes = [((200, 150), (150, 200), (240, 110))[number % 3] for number in range(images)]
    for number, size in enumerate(sizes):
        _scene(size, rng).save(root / f"IMG_{number:04d}.jpg", quality=90)
    splits = np.array(["train", "train", "val", "test"])[np.arange(images) % 4]
    paths = tuple(f"IMG_{number:04d}.jpg" for number in range(images))
    return Manifest(root, paths, tuple(f"{n:032x}" for n in range(images)), np.array(sizes, np.int32), splits)


def _scene(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    sky, ground, thing = (tuple(int(v) for v in rng.integers(40, 230, 3)) for _ in range(3))
    image = Image.new("RGB", size, sky)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, size[1] * 2 // 3, *size), fill=ground)
    x, y = rng.uniform(0.2, 0.6, 2) * size
    draw.ellipse((x, y, x + 50, y + 50), fill=thing)
    return image


def _long(manifest: Manifest, names: list[str]) -> dict[str, pa.Array]:
    images = np.repeat(np.array(manifest.paths), len(names))
    return {"image": pa.array(images), "label": pa.array(np.tile(np.array(names), len(manifest)))}


def _write_labels(
    run: Path, manifest: Manifest, names: list[str], truth: np.ndarray, probabilities: np.ndarray
) -> None:
    """Label every fourth training image not at all, and let propagation decide where it is sure."""
    source = np.full(truth.shape, "given", dtype="<U10")
    unlabelled = np.arange(len(truth)) % 4 == 1
    sure = np.abs(probabilities - 0.5) > 0.2
    source[unlabelled] = np.where(sure[unlabelled], "propagated", "unknown")
    known = (source != "unknown").ravel()
    value = pa.array([bool(v) if k else None for v, k in zip(truth.ravel(), known, strict=True)], pa.bool_())
    columns = {"value": value, "known": pa.array(known), "probability": pa.array(probabilities.ravel())}
    table = {**_long(manifest, names), **columns, "source": pa.array(source.ravel())}
    pq.write_table(pa.table(table), run / "labels.parquet")


def _write_predictions(run: Path, manifest: Manifest, names: list[str], probabilities: np.ndarray) -> None:
    split = pa.array(np.repeat(manifest.splits, len(names)))
    table = {**_long(manifest, names), "split": split, "probability": pa.array(probabilities.ravel())}
    pq.write_table(pa.table(table), run / "predictions.parquet")


def _write_attention(run: Path, manifest: Manifest, rng: np.random.Generator) -> None:
    maps = {}
    for number, side in enumerate((28, 14, 7)):
        rows, columns = np.mgrid[0:side, 0:side] / side
        centres = rng.uniform(0.2, 0.8, (SHOWN, 2, 1, 1))
        bumps = np.exp(-((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2) * 20)
        maps[f"map_{number}"] = (bumps / bumps.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    images = np.array(manifest.paths[:SHOWN])
    errors = np.repeat([0, 2], SHOWN // 2)
    np.savez(
        run / "attention.npz",
        images=images,
        errors=errors,
        stages=np.array(["stride 8", "stride 16", "stride 32"]),
        **maps,
    )


def _write_doubts(
    run: Path, manifest: Manifest, names: list[str], truth: np.ndarray, probabilities: np.ndarray
) -> None:
    rows = np.flatnonzero(np.arange(len(truth)) % 4 != 1)
    np.savez(run / "unseen.npz", rows=rows, probabilities=probabilities[rows].astype(np.float16), names=np.array(names))
    with (run / "doubtful.csv").open("w", newline="") as file:
        lines = [(manifest.paths[1 + 4 * (n % 9)], f"{4 - n / 10:.3f}", "train") for n in range(20)]
        csv.writer(file).writerows([("image", "expected_errors", "split"), *lines])
    with (run / "suspects.csv").open("w", newline="") as file:
        lines = [
            (manifest.paths[4 * (n % 9)], names[n % len(names)], n % 2, f"{n % 2 or 0.97:.4f}", "train", "propagation")
            for n in range(30)
        ]
        csv.writer(file).writerows([("image", "label", "given", "probability", "split", "judged_by"), *lines])


def _write_examples(run: Path, manifest: Manifest, names: list[str]) -> None:
    found = [
        {
            "image": manifest.paths[1 + 4 * (number % 9)], "label": names[number % len(names)], "probability": 0.83,
            "accepted": True, "agreement": 0.91,
            "givers": [{"image": manifest.paths[4 * k], "share": 0.2 + k / 10} for k in range(min(number, 3))],
        }
        for number in range(10)
    ]  # fmt: skip
    (run / "graph").mkdir()
    _write_json(run / "graph" / "examples.json", {"graph_share": 0.75, "examples": found})


def _write_history(run: Path, rng: np.random.Generator) -> None:
    rows = [
        {
            "epoch": epoch,
            "loss": 0.2 + float(np.exp(-epoch / 6)),
            "val_mAP": 0.66
            - 0.4 * float(np.exp(-epoch / 5))
            - 0.002 * max(epoch - 18, 0)
            + float(rng.normal(0, 0.004)),
            "learning_rate": 0.001,
            "seconds": 1.7,
        }
        for epoch in range(1, 26)
    ]
    (run / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
