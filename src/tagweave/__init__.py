"""Semi-supervised multi-label image classification: few labels in, propagated labels and a classifier out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tagweave import threads as threads  # before any library that starts threads

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tagweave.api import Predictions, Run, fit
    from tagweave.data.labels import LabelMatrix
    from tagweave.estimator import TagWeaveClassifier
    from tagweave.image_dataset import ImageDataset

__all__ = ["ImageDataset", "LabelMatrix", "Predictions", "Run", "TagWeaveClassifier", "__version__", "fit"]

_HOMES = {
    "Predictions": "tagweave.api",
    "Run": "tagweave.api",
    "fit": "tagweave.api",
    "LabelMatrix": "tagweave.data.labels",
    "TagWeaveClassifier": "tagweave.estimator",
    "ImageDataset": "tagweave.image_dataset",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for, so that ``import tagweave`` stays fast."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tagweave' has no attribute '{name}'")
