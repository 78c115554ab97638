"""A toy of pixels: a few drawn pictures, a small backbone with random weights, a small head on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from drawn import NAMES, write_collection
from tagweave.config import ModelConfig, TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.model.build import build_mscnn_lce
from tagweave.model.cooccurrence import conditional_probability
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.training.batches import TrainingSet
from tagweave.training.end_to_end import EndToEnd
from tagweave.training.loop import Validation, train
from tagweave.training.pixels import PixelSource
from tagweave.training.ranks import ALONE, Ranks

SIDE, IMAGES, TRAINED = 64, 24, 18


def small_encoder() -> Encoder:
    return build_encoder("mobilenetv3_small_050", SIDE, "random", 4)


def pictures(folder: Path) -> tuple[PixelSource, LabelMatrix]:
    """Draw pictures below ``folder``, once; return them and the truth."""
    if not (folder / "labels.csv").is_file():
        write_collection(folder, IMAGES, IMAGES)
    values = np.random.default_rng(0).random((IMAGES, len(NAMES))) < 0.45
    files = tuple(sorted((folder / "pictures").iterdir()))
    return PixelSource(files, SIDE, "crop", 2), LabelMatrix(values, np.ones_like(values), NAMES)


def small_network(source: PixelSource, labels: LabelMatrix, **options: Any) -> EndToEnd:
    """Build a trunk and a head, always the same; dropout is 0 unless ``dropout`` says otherwise.

    ``rate``: at which every label starts, its own when absent.
    """
    encoder = small_encoder()
    torch.manual_seed(0)
    dropout, rate = options.pop("dropout", 0.0), options.pop("rate", None)
    rates = labels.rates() if rate is None else np.full(len(NAMES), rate)
    small: dict[str, Any] = {"width": 16, "m": 16, "g": 2, "gcn_widths": (8, 8)}
    facts = LabelFacts(conditional_probability(labels), rates, np.eye(len(NAMES), dtype=np.float32))
    with torch.inference_mode():
        records = encoder.module(source.read(np.arange(len(source)))[0]).numpy()
    maps, features = encoder.layout.split(records)
    inputs = HeadInputs.measure(
        encoder.layout, facts, [[torch.from_numpy(stage.copy()) for stage in maps]],
        torch.from_numpy(features.mean(axis=0)),
    )  # fmt: skip
    head = build_mscnn_lce(ModelConfig(**small, dropout=dropout, fusion_dropout=dropout), inputs)
    return EndToEnd(encoder.module, head, encoder.layout, **options)


def settings(**changes: Any) -> TrainConfig:
    fixed: dict[str, Any] = {
        "regime": "finetune", "device": "cpu", "epochs": 2, "batch": 6, "learning_rate": 0.005, "ema": 0.5,
        "labelled_share": 0.0, "patience": 9, "checkpoint_minutes": 0.0,
    }  # fmt: skip
    return TrainConfig(**{**fixed, **changes})


def train_small(
    pictures_at: Path, folder: Path, ranks: Ranks = ALONE, options: dict[str, Any] | None = None, **changes: Any
) -> EndToEnd:
    """Train the small network on the first pictures; the others choose.

    By FixMatch every third picture has no label and another third half of them.
    """
    source, labels = pictures(pictures_at)
    network = small_network(source, labels, **{"dropout": 0.2, **(options or {})})
    known, fills_in = np.ones((TRAINED, len(NAMES)), dtype=bool), changes.get("targets") == "fixmatch"
    if fills_in:
        known[::3], known[1::3, ::2] = False, False
    data = TrainingSet(
        PixelSource(source.files[:TRAINED], SIDE, "crop", 2, strong=fills_in),
        (labels.values[:TRAINED] & known).astype(np.float32),
        known.astype(np.float32), known.any(axis=1), tuple(file.name for file in source.files[:TRAINED]),
        ~known if fills_in else None,
    )  # fmt: skip
    rest = Validation(PixelSource(source.files[TRAINED:], SIDE), labels.take(np.arange(TRAINED, IMAGES)))
    torch.set_num_threads(1)
    train(network, data, rest, settings(**changes), seed=0, folder=folder, key="k", ranks=ranks)
    return network


if __name__ == "__main__":  # as torchrun starts it: pictures, folder of the results, options and changes as JSON
    import json
    import sys

    from tagweave.training.ranks import join_ranks

    with join_ranks("cpu") as joined:
        train_small(Path(sys.argv[1]), Path(sys.argv[2]), joined, json.loads(sys.argv[3]), **json.loads(sys.argv[4]))
