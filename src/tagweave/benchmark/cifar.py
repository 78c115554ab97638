"""CIFAR-10 from one Parquet file: features of its images, computed once in parts on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tagweave.benchmark.dataset import BenchmarkData, about
from tagweave.config import EncoderConfig
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.errors import ImageError, InputError
from tagweave.runs import atomic, key_of

COLUMNS = ("split", "label", "jpeg")
FILE = "cifar10.parquet"
PART = 2000  # images per file; a kill loses at most these
CHUNK = 16  # images per unit of work


def load_cifar(
    place: Path, images: int | None, encoder: EncoderConfig, folder: Path, console: Console
) -> BenchmarkData:
    """Read CIFAR-10 and compute the pooled features that ``folder`` lacks.

    Only the features are kept: the stage maps of 60,000 images would take gigabytes and nothing here reads them.

    Args:
        place: the Parquet file (columns split, label and jpeg, the bytes), or the folder it lies in as cifar10.parquet.
        images: read so many of each split, evenly spaced in the file; None reads all.

    Raises:
        InputError: no such file, columns or splits, or an image that cannot be read.
    """
    table = _read(place / FILE if place.is_dir() else place, images)
    names = tuple(sorted(set(table["label"].to_pylist())))
    classes = np.array([names.index(name) for name in table["label"].to_pylist()])
    values = classes[:, None] == np.arange(len(names))
    features, described, parts = _features(table["jpeg"].to_pylist(), encoder, folder, console)
    test = np.array(table["split"].to_pylist()) == "test"
    return BenchmarkData("CIFAR-10", described, features, LabelMatrix(values, np.ones_like(values), names), test, parts)


def _read(path: Path, images: int | None) -> pa.Table:
    if not path.is_file():
        raise InputError(f"Expected CIFAR-10 as a Parquet file at {path}, but nothing is there; give it with --data.")
    found = pq.read_schema(path).names
    if not set(COLUMNS) <= set(found):
        raise InputError(f"Expected the columns {', '.join(COLUMNS)} in {path}, but got {', '.join(found)}.")
    table = pq.read_table(path, columns=list(COLUMNS))
    splits = np.array(table["split"].to_pylist())
    rows = [_spaced(np.flatnonzero(splits == split), images) for split in ("train", "test")]
    if not all(map(len, rows)):
        raise InputError(f"Expected splits train and test in {path}, but got {', '.join(sorted(set(splits)))}.")
    return table.take(pa.array(np.concatenate(rows)))


def _spaced(rows: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """Return ``count`` of the rows, evenly spaced: files may be sorted by class."""
    return rows if count is None or count >= len(rows) else rows[np.arange(count) * len(rows) // count]


def _features(
    files: Sequence[bytes], config: EncoderConfig, folder: Path, console: Console
) -> tuple[NDArray[np.float32], str, tuple[int, ...]]:
    """Return features (N, D) of encoded images, the encoder in words, and the widths of the parts."""
    from tagweave.encoders.backbones import build_encoder
    from tagweave.encoders.cache import cache_folder
    from tagweave.encoders.runners import build_runner

    encoder = build_encoder(**config.model_dump())
    runner, width = build_runner(encoder, cache_folder(encoder)), encoder.layout.features

    def encode(chunk: Sequence[bytes]) -> NDArray[np.float16]:
        return _encode(chunk, encoder.preprocessing.size, lambda pixels: runner(pixels)[:, -width:])

    found: list[NDArray[np.float16]] = []
    with console.progress("embed", "images") as progress:
        for start in range(0, len(files), PART):
            part = files[start : start + PART]
            key = key_of(encoder.key, [file.hex() for file in part])
            found.append(_stored(folder / "features" / f"{key}.npy", partial(encode, part)))
            progress(start + len(part), len(files))
    return np.concatenate(found).astype(np.float32), about(encoder), encoder.layout.parts


def _stored(path: Path, compute: Callable[[], NDArray[np.float16]]) -> NDArray[np.float16]:
    """Return the array of a file, which is computed and written where it is not there."""
    if not path.is_file():
        computed = compute()
        with atomic(path) as unfinished:
            np.save(unfinished, computed)
    stored: NDArray[np.float16] = np.load(path, allow_pickle=False)
    return stored


def _encode(
    files: Sequence[bytes], size: int, run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
) -> NDArray[np.float16]:
    """Return what ``run`` makes of images, in the precision of the record cache, on all threads."""
    from tagweave.encoders.cache import to_half
    from tagweave.encoders.extract import load_pixels
    from tagweave.threads import available_threads

    def encode(chunk: Sequence[bytes]) -> NDArray[np.float16]:
        return to_half(run(np.stack([load_pixels(file, size) for file in chunk])))

    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    try:
        with ThreadPoolExecutor(available_threads()) as threads:
            return np.concatenate(list(threads.map(encode, chunks)))
    except ImageError as error:
        raise InputError(f"Expected readable images in the jpeg column, but one is not: {error}.") from error
