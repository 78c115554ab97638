"""What travels with an exported model: names, thresholds, preprocessing, measures."""

from __future__ import annotations

from typing import Any

from tagweave import __version__
from tagweave.export.source import Source

FORMAT = 1
RESIZE = (
    "outside: JPEG decoded at 1/2, 1/4 or 1/8 where the shorter side keeps size pixels; turned upright as EXIF says; "
    "transparency on white; RGB; the whole image to size x size by Pillow's bicubic"
)


def describe(source: Source) -> dict[str, Any]:
    """Return what a user of the exported model needs besides its numbers, JSON-ready."""
    classifier = source.classifier
    prepared = classifier.built_encoder.preprocessing
    return {
        "format": FORMAT,
        "tagweave": __version__,
        "names": list(classifier.names),
        "thresholds": classifier.thresholds.tolist(),
        "rule": "a label is predicted where its probability is at or above its threshold",
        "input": f"pixels (B, {prepared.size}, {prepared.size}, 3) uint8, RGB, 0 to 255",
        "output": f"probabilities (B, {len(classifier.names)}) float32, calibrated, in the order of names",
        "preprocessing": {
            "size": prepared.size,
            "resize": RESIZE,
            "mean": list(prepared.mean),
            "std": list(prepared.std),
            "normalisation": "(x - mean) / std, in the file",
        },
        "encoder": {"name": classifier.encoder.name, "key": classifier.encoder_key},
        "measures": headline(source),
    }


def headline(source: Source) -> dict[str, Any] | None:
    """Return the main measures on held-out images with their counts; None when nothing was held out."""
    split = source.measured_split
    if split is None:
        return None
    measured = source.measures["splits"][split]["systems"][source.measures["main"]]
    counts = ("images", "cells", "mAP", "labels_with_positives", "mAP_10", "labels_with_10_positives", "at_tuned")
    return {"split": split, **{name: measured[name] for name in counts}}
