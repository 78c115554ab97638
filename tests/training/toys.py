"""A toy whose labels can be read off the maps: label c is there where channel c of the first stage is bright."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagweave.config import ModelConfig, TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import Layout
from tagweave.encoders.cache import RecordCache, to_half
from tagweave.model.build import build_mscnn_lce
from tagweave.model.cooccurrence import conditional_probability
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.training.batches import MapSource, TrainingSet
from tagweave.training.loop import Validation

LAYOUT = Layout(maps=((4, 3, 3), (5, 2, 2)), strides=(8, 16), parts=(6, 6))
NAMES = ("a", "b", "c")


def config(**changes: Any) -> TrainConfig:
    """Settings that do not follow the defaults."""
    fixed = {
        "epochs": 4, "batch": 16, "optimiser": "adamw", "learning_rate": 0.01, "weight_decay": 0.0, "warm_up": 0.1,
        "clip": 10.0, "ema": 0.5, "loss": "bce", "auxiliary": 0.5, "labelled_share": 0.25, "patience": 100,
    }  # fmt: skip
    return TrainConfig(**{**fixed, **changes})


def toy(folder: Path, images: int = 80, seed: int = 0) -> tuple[MapSource, LabelMatrix]:
    """Write records into a cache below ``folder``; return where they lie and the truth."""
    rng = np.random.default_rng(seed)
    values = rng.random((images, len(NAMES))) < 0.4
    maps = [rng.normal(size=(images, *shape)).astype(np.float32) for shape in LAYOUT.maps]
    maps[0][:, :3] += 3 * values[:, :, None, None]
    features = rng.normal(size=(images, LAYOUT.features)).astype(np.float32)
    records = np.concatenate([*(stage.reshape(images, -1) for stage in maps), features], axis=1)
    cache = RecordCache(folder, LAYOUT)
    digests = [f"{number:04x}" for number in range(images)]
    with cache.writer() as writer:
        writer.append(digests, to_half(records))
    return MapSource(cache, cache.positions(digests)), LabelMatrix(values, np.ones_like(values), NAMES)


def toy_head(source: MapSource, labels: LabelMatrix, **changes: Any) -> MSCNNLCE:
    """Build a small head, always the same."""
    torch.manual_seed(0)
    small = {"width": 16, "m": 16, "g": 2, "gcn_widths": (8, 8), "dropout": 0.2, "fusion_dropout": 0.1, **changes}
    facts = LabelFacts(conditional_probability(labels), labels.rates(), np.eye(len(NAMES), dtype=np.float32))
    maps, features = source.read(np.arange(len(source)))
    return build_mscnn_lce(ModelConfig(**small), HeadInputs.measure(LAYOUT, facts, [maps], features.mean(dim=0)))


def part(source: MapSource, rows: NDArray[np.int64]) -> MapSource:
    return MapSource(source.cache, source.positions[rows])


def parts(
    source: MapSource, labels: LabelMatrix, trained: int = 60, known: NDArray[np.bool_] | None = None
) -> tuple[TrainingSet, Validation]:
    """Return the first images to train on, their ``known`` cells with weight 1, and the others to validate on."""
    rows = np.arange(trained)
    known = np.ones((trained, len(NAMES)), dtype=bool) if known is None else known
    data = TrainingSet(
        part(source, rows), labels.values[rows].astype(np.float32), known.astype(np.float32), known.any(axis=1),
        tuple(f"{row}.png" for row in rows),
    )  # fmt: skip
    rest = np.arange(trained, len(source))
    return data, Validation(part(source, rest), labels.take(rest))
