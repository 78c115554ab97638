"""One streaming pass over the images: decode, encode, store."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagweave.data.images import decode
from tagweave.data.manifest import Manifest, Quarantined
from tagweave.encoders.backbones import Encoder
from tagweave.encoders.cache import RecordCache
from tagweave.encoders.runners import Runner
from tagweave.errors import ImageError
from tagweave.threads import available_threads

Unit = TypeVar("Unit")
Result = TypeVar("Result")

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

    Memory is bounded by a few units of work per thread. An interrupted pass continues where it stopped.
    """
    wanted = {digest: row for row, digest in reversed(list(enumerate(manifest.digests)))}
    quarantined: list[Quarantined] = []
    with cache.writer() as writer:
        missing = sorted(row for digest, row in wanted.items() if digest not in cache)
        cache.require_space(len(missing))
        units = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
        done = 0
        for rows, bad, records in _in_order(units, lambda rows: _encode(manifest, rows, encoder, runner)):
            writer.append([manifest.digests[row] for row in rows], records)
            quarantined += bad
            done += len(rows) + len(bad)
            if progress:
                progress(done, len(missing))
    return quarantined


def _encode(
    manifest: Manifest, rows: list[int], encoder: Encoder, runner: Runner
) -> tuple[list[int], list[Quarantined], NDArray[np.float32]]:
    good: list[int] = []
    bad: list[Quarantined] = []
    pixels: list[NDArray[np.uint8]] = []
    for row in rows:
        try:
            pixels.append(_load_checked(manifest, row, encoder.preprocessing.size))
            good.append(row)
        except ImageError as error:
            bad.append(Quarantined(manifest.paths[row], str(error)))
    width = encoder.layout.map_values + encoder.layout.features
    return good, bad, runner(np.stack(pixels)) if pixels else np.zeros((0, width), dtype=np.float32)


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
