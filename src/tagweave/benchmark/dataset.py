"""A data set of a benchmark: features of the frozen encoder, what is known, and which images are the test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.config import Config
from tagweave.console import Console
from tagweave.data.collection import Collection, collect
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.steps.check import read_labels

if TYPE_CHECKING:
    from tagweave.encoders.backbones import Encoder


@dataclass(frozen=True)
class BenchmarkData:
    """Hold N images.

    Attributes:
        name: for titles. encoder: name, size and key of the encoder, for titles and keys.
        features: (N, D) pooled. parts: widths of its parts, see ``Layout``.
        labels: (N, C) all that is known, the test's included.
        test: (N,) images that are scored and that nothing is learned from.
    """

    name: str
    encoder: str
    features: NDArray[np.float32]
    labels: LabelMatrix
    test: NDArray[np.bool_]
    parts: tuple[int, ...]

    def pooled(self, parts: tuple[int, ...]) -> BenchmarkData:
        """Return the data with the first ``parts`` of the pooled features, all of them without any."""
        if parts in ((), self.parts):
            return self
        return replace(self, features=self.features[:, : sum(parts)], parts=parts)

    @property
    def digest(self) -> str:
        """A digest of all numbers: two data sets with the same one give the same table."""
        digest = hashlib.blake2b(f"{self.encoder} {self.labels.names}".encode(), digest_size=12)
        for numbers in (self.features, self.labels.values, self.labels.known, self.test):
            digest.update(np.ascontiguousarray(numbers).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Held:
    """Hold a whole collection whose records are cached: what the main job's steps work on.

    Attributes:
        name: for titles. encoder: name, size and key of the encoder, for titles and keys.
        images, source: the image folder and the label file or folder.
        manifest: its images; ``test`` is fixed, whatever is drawn later. labels: (N, C) all that is known.
        groups: (N,) near-duplicates share a number.
        cache: the folder of their records. encoder_key: of the encoder that made them.
    """

    name: str
    encoder: str
    images: Path
    source: Path
    manifest: Manifest
    labels: LabelMatrix
    groups: NDArray[np.int64]
    cache: Path
    encoder_key: str

    @property
    def digest(self) -> str:
        """A digest of images, labels and splits."""
        digest = hashlib.blake2b(f"{self.encoder} {self.labels.names} {self.manifest.digests}".encode(), digest_size=12)
        for part in (self.labels.values, self.labels.known, self.manifest.splits == "test", self.groups):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def pooled(self) -> BenchmarkData:
        """Return the pooled features of all images, with their labels."""
        from tagweave.encoders.cache import RecordCache
        from tagweave.steps.stored import stored_layout

        cache = RecordCache(self.cache, stored_layout(self.cache))
        features = cache.features(cache.positions(self.manifest.digests))
        test = self.manifest.splits == "test"
        return BenchmarkData(self.name, self.encoder, features, self.labels, test, cache.layout.parts)


def load_data(
    images: Path | None, labels: Path | None, voc: Path | None, format: str | None, config: Config, console: Console
) -> BenchmarkData:
    """Return the pooled features of a collection, see ``hold``."""
    return hold(images, labels, voc, format, config, console).pooled()


def hold(
    images: Path | None, labels: Path | None, voc: Path | None, format: str | None, config: Config, console: Console
) -> Held:
    """Read a folder of images with its labels and compute what the record cache lacks of its images.

    Args:
        images: the folder; None for that of the VOC folder.
        labels: a label file. voc: a VOC folder instead. format: of the labels; guessed when None.
        config: its encoder, its share of test images where the labels name none, drawn with its seed.

    Raises:
        InputError: what is wrong with the input, or no labelled test image.
    """
    if voc is not None:
        images, labels, format = images or voc / "JPEGImages", voc, format or "voc"
    if images is None or labels is None:
        raise InputError("Expected --data FOLDER with --labels FILE, or --voc FOLDER, but got neither.")
    with console.progress("check", "files") as progress:
        found = collect(
            images, read_labels(labels, format, config.data), val_fraction=0.0,
            test_fraction=config.data.test_fraction, seed=config.seed, progress=progress,
        )  # fmt: skip
    place = (voc or images).resolve()
    name = place.parent.name if place.name.lower() in ("images", "jpegimages") else place.name
    held = _embed(name, images.resolve(), labels.resolve(), found, config, console)
    if not held.labels.take(held.manifest.splits == "test").positives.any():
        raise InputError(
            f"Expected test images with a known positive label in {labels}, but got none; add a split column or labels."
        )
    return held


def _embed(name: str, images: Path, source: Path, found: Collection, config: Config, console: Console) -> Held:
    from tagweave.encoders.backbones import build_encoder
    from tagweave.encoders.cache import RecordCache
    from tagweave.encoders.extract import extract
    from tagweave.encoders.runners import build_runner

    encoder = build_encoder(**config.encoder.model_dump())
    cache = RecordCache.of(encoder)
    with console.progress("embed", "images") as progress:
        bad = extract(found.manifest, encoder, build_runner(encoder, cache.folder), cache, progress)
    lost = {item.path for item in bad}
    kept = np.array([path not in lost for path in found.manifest.paths], dtype=bool)
    if len(found.quarantine) + len(lost):
        console.say(f"{len(found.quarantine) + len(lost)} files or rows are not used")
    return Held(
        name, about(encoder), images, source, found.manifest.take(kept), found.labels.take(kept),
        found.duplicates[kept], cache.folder, encoder.key,
    )  # fmt: skip


def about(encoder: Encoder) -> str:
    """Return name, size and key of an encoder."""
    return f"{encoder.name} at {encoder.preprocessing.size} px ({encoder.key})"
