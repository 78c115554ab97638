"""Seconds an epoch of the default head on cached maps, which are random numbers in the default encoder's shapes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
from measure import peak_mib, print_json, say

from tagweave.config import ModelConfig, TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import Layout
from tagweave.encoders.cache import RecordCache

LITE0 = Layout(
    maps=((40, 12, 12), (112, 9, 9), (320, 9, 9)), strides=(8, 16, 32), parts=(1280, 1280, 112, 112, 320, 320)
)
WORDS = 50  # width of a word vector
LABELS_EACH = 3.4  # mean number of labels of an image
CHUNK = 100  # records written at once


@dataclass(frozen=True)
class Size:
    """Say how much is measured: images, numbers of labels, and epochs (the median counts)."""

    images: int = 2_000
    labels: tuple[int, ...] = (20, 260)
    epochs: int = 3


FULL = Size()
QUICK = Size(images=192)


def write_cache(folder: Path, images: int, layout: Layout = LITE0) -> RecordCache:
    """Write records of half-normal numbers, as after a ReLU."""
    generator = np.random.default_rng(0)
    cache = RecordCache(folder, layout)
    with cache.writer() as writer:
        for start in range(0, images, CHUNK):
            rows = range(start, min(start + CHUNK, images))
            drawn = generator.standard_normal((len(rows), layout.map_values + layout.features), dtype=np.float32)
            writer.append([f"{row:08d}" for row in rows], np.maximum(drawn, 0).astype(np.float16))
    return cache


def draw_labels(images: int, count: int) -> LabelMatrix:
    """Draw fully known labels, independent of the images."""
    values = np.random.default_rng(1).random((images, count)) < LABELS_EACH / count
    return LabelMatrix(values, np.ones_like(values), tuple(f"label{column}" for column in range(count)))


def measure_epochs(cache: RecordCache, images: int, labels: int, epochs: int) -> dict[str, Any]:
    """Train the default head for a few epochs and return seconds an epoch and images per second."""
    import torch

    from tagweave.model.build import build_mscnn_lce
    from tagweave.model.cooccurrence import conditional_probability
    from tagweave.model.inputs import HeadInputs, LabelFacts
    from tagweave.threads import limit_threads
    from tagweave.training.batches import MapSource, TrainingSet
    from tagweave.training.loop import Validation, train

    limit_threads()
    torch.manual_seed(0)
    truth, source = draw_labels(images, labels), MapSource(cache, np.arange(images))
    vectors = np.random.default_rng(2).standard_normal((labels, WORDS), dtype=np.float32)
    facts = LabelFacts(conditional_probability(truth), truth.rates(), vectors)
    maps, features = source.read(np.arange(min(images, 512)))
    head = build_mscnn_lce(ModelConfig(), HeadInputs.measure(cache.layout, facts, [maps], features.mean(dim=0)))
    data = TrainingSet(
        source, truth.values.astype(np.float32), truth.known.astype(np.float32), truth.labelled,
        tuple(f"image{row}" for row in range(images)),
    )  # fmt: skip
    nothing = Validation(MapSource(cache, np.zeros(0, dtype=np.int64)), truth.take(np.zeros(0, dtype=np.int64)))
    config = TrainConfig(epochs=epochs, patience=epochs)
    began = process_time()
    with TemporaryDirectory() as folder:
        history = train(head, data, nothing, config, seed=0, folder=Path(folder), key="benchmark")
    cpu_seconds = (process_time() - began) / epochs
    seconds = median(record["seconds"] for record in history)
    parameters = sum(parameter.numel() for parameter in head.parameters())
    return {
        "labels": labels, "images": images, "batch": config.batch, "epochs": epochs, "parameters": parameters,
        "seconds_per_epoch": round(seconds, 3), "images_per_second": round(images / seconds, 1),
        "cpu_seconds_per_epoch": round(cpu_seconds, 3), "images_per_cpu_second": round(images / cpu_seconds, 1),
        "peak_mib": peak_mib(),
    }  # fmt: skip


def compare(size: Size) -> dict[str, Any]:
    """Measure each number of labels on the same cached maps."""
    with TemporaryDirectory() as folder:
        say(f"training: writing {size.images:,} records")
        cache = write_cache(Path(folder), size.images)
        sizes = []
        for labels in size.labels:
            say(f"training: {labels} labels")
            sizes.append(measure_epochs(cache, size.images, labels, size.epochs))
    return {"sizes": sizes, "peak_mib": peak_mib()}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images")
    print_json(compare(QUICK if parser.parse_args().quick else FULL))


if __name__ == "__main__":
    main()
