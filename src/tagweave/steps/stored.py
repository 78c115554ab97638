"""What the steps leave for each other: the collection and the records of its images."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.runs import atomic, read_json
from tagweave.steps.job import Job

COLLECTION = ("given.npz", "manifest.parquet")


def save_collection(folder: Path, manifest: Manifest, labels: LabelMatrix) -> None:
    """Write the manifest and the given labels of a run folder."""
    with atomic(folder / "given.npz") as partial:
        np.savez_compressed(partial, values=labels.values, known=labels.known, names=np.array(labels.names, dtype=str))
    with atomic(folder / "manifest.parquet") as partial:
        manifest.save(partial)


def load_collection(folder: Path) -> tuple[Manifest, LabelMatrix]:
    """Return the manifest and the given labels of a run folder.

    Raises:
        InputError: the folder is no run, or its files are damaged.
    """
    if not (folder / "given.npz").is_file() or not (folder / "manifest.parquet").is_file():
        raise InputError(
            f"Expected a run folder (with given.npz and manifest.parquet) at {folder}, but there is none; run "
            "'tagweave fit' first."
        )
    try:
        with np.load(folder / "given.npz", allow_pickle=False) as stored:
            labels = LabelMatrix(stored["values"], stored["known"], tuple(str(name) for name in stored["names"]))
        return Manifest.load(folder / "manifest.parquet"), labels
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"Expected the images and labels of a run in {folder}, but got: {error}; remove the run's steps folder and "
            "run 'tagweave fit' on it again."
        ) from error


def open_records(job: Job, manifest: Manifest) -> tuple[Any, NDArray[np.int64]]:
    """Return the record cache of the run's encoder and where the manifest's images lie in it."""
    from tagweave.encoders.cache import RecordCache

    folder = Path(read_json(job.folder / "steps" / "embed.json")["cache"])
    cache = RecordCache(folder, stored_layout(folder))
    return cache, cache.positions(manifest.digests)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file."""
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def stored_layout(folder: Path) -> Any:
    """Return the layout of the records in a cache folder."""
    from tagweave.encoders.backbones import Layout

    about = read_json(folder / "encoder.json")["layout"]
    return Layout(tuple(tuple(shape) for shape in about["maps"]), tuple(about["strides"]), tuple(about["parts"]))
