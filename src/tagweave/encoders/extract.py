"""One streaming pass over the images: decode, encode, store."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagweave.data.images import decode
from tagweave.data.manifest import Manifest, Quarantined
from tagweave.encoders.backbones import Encoder
from tagweave.encoders.cache import RecordCache, to_half
from tagweave.encoders.runners import Runner
from tagweave.errors import ImageError
from tagweave.threads import available_threads

Unit = TypeVar("Unit")
Result = TypeVar("Result")

Encoded = tuple[list[int], dict[int, str], NDArray[np.float16]]
"""Row numbers encoded, reasons of the rows that could not be, and the records (B, R) of the former."""

CHUNK = 16  # images per unit of work and per write; a kill loses at most these and the units in flight


def load_pixels(source: Path | bytes, size: int) -> NDArray[np.uint8]:
    """Decode one image and resize the whole of it to (size, size, 3) uint8.

    Raises:
        ImageError: the image cannot be read.
    """
    image = decode(source, at_least=size)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.uint8)


def extract(
    manifest: Manifest,
    encoder: Encoder,
    runner: Runner,
    cache: RecordCache,
    progress: Callable[[int, int], None] | None = None,
) -> list[Quarantined]:
    """Compute and store the records that the cache lacks; return the images that could not be read after all.

    Identical files share one record, which any readable copy gives. Memory is bounded by a few units of work per
    thread. An interrupted pass continues where it stopped.
    """
    copies: dict[str, list[int]] = {}
    for row, digest in enumerate(manifest.digests):
        copies.setdefault(digest, []).append(row)
    size = encoder.preprocessing.size
    quarantined: list[Quarantined] = []
    with cache.writer() as writer:
        missing = [digest for digest in copies if digest not in cache]
        cache.require_space(len(missing))
        done = 0
        load = partial(_load_any, manifest, [copies[digest] for digest in missing], size)
        for numbers, reasons, records in _encode_all(range(len(missing)), load, runner):
            writer.append([missing[number] for number in numbers], records)
            for number, reason in reasons.items():
                quarantined += [Quarantined(manifest.paths[row], reason) for row in copies[missing[number]]]
            done += len(numbers) + len(reasons)
            if progress:
                progress(done, len(missing))
    return quarantined


def encode_files(files: Sequence[Path], encoder: Encoder, runner: Runner) -> Iterator[Encoded]:
    """Encode files in one streaming pass without storing; yield units in order.

    The records are what a cache would give back, so that an image scores the same from the cache and from its file.
    """
    return _encode_all(range(len(files)), lambda row: load_pixels(files[row], encoder.preprocessing.size), runner)


def encode_rows(manifest: Manifest, rows: Sequence[int], encoder: Encoder, runner: Runner) -> Encoded:
    """Encode images of a manifest without storing; one that changed since it was checked has a reason too."""
    return _encode(rows, lambda row: _load_checked(manifest, row, encoder.preprocessing.size), runner)


def _encode_all(rows: Sequence[int], load: Callable[[int], NDArray[np.uint8]], runner: Runner) -> Iterator[Encoded]:
    units = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return _in_order(units, lambda unit: _encode(unit, load, runner))


def _encode(rows: Sequence[int], load: Callable[[int], NDArray[np.uint8]], runner: Runner) -> Encoded:
    good: list[int] = []
    reasons: dict[int, str] = {}
    pixels: list[NDArray[np.uint8]] = []
    for row in rows:
        try:
            pixels.append(load(row))
            good.append(row)
        except ImageError as error:
            reasons[row] = str(error)
    records = to_half(runner(np.stack(pixels))) if pixels else np.zeros((0, 0), dtype=np.float16)
    return good, reasons, records


def _load_any(manifest: Manifest, copies: Sequence[Sequence[int]], size: int, number: int) -> NDArray[np.uint8]:
    """Load the first of identical files that can be read; the reason given is the first one's."""
    failures: list[ImageError] = []
    for row in copies[number]:
        try:
            return _load_checked(manifest, row, size)
        except ImageError as error:
            failures.append(error)
    raise failures[0]


def _load_checked(manifest: Manifest, row: int, size: int) -> NDArray[np.uint8]:
    try:
        content = manifest.file(row).read_bytes()
    except OSError as error:
        raise ImageError(f"could not be read: {error.strerror}") from error
    # A file that changed since it was checked would be stored under another file's digest.
    if hashlib.blake2b(content, digest_size=16).hexdigest() != manifest.digests[row]:
        raise ImageError("changed since it was checked; run again")
    return load_pixels(content, size)


def _in_order(units: list[Unit], work: Callable[[Unit], Result]) -> Iterator[Result]:
    """Run units in threads, at most two per thread under way, and yield results in the order of the units."""
    threads = available_threads()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for unit in units:
            waiting.append(pool.submit(work, unit))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
