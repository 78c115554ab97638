"""Records of one encoder on disk: float16, memory-mapped, keyed by the digest of the image's bytes.

Three append-only files: ``features.f16``, ``maps.f16`` and ``index.txt``. A record counts once its digest stands in the
index with a line end, and its numbers are on disk before that: whatever is killed, what the index names is whole.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tagweave.encoders.backbones import Encoder, Layout
from tagweave.errors import InputError
from tagweave.runs import write_json

FLOAT16_MAX = 65504.0


def default_cache_folder() -> Path:
    """Return ``TAGWEAVE_CACHE`` or the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("TAGWEAVE_CACHE") or platformdirs.user_cache_dir("tagweave"))


def cache_folder(encoder: Encoder, folder: Path | None = None) -> Path:
    """Return the folder of one encoder's records below ``folder``, by default the user's cache."""
    return (folder or default_cache_folder()) / "maps" / f"{encoder.name.replace('/', '-')}-{encoder.key}"


def to_half(records: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return records in the precision they are stored in; what float16 cannot hold becomes its largest number."""
    return np.clip(records, -FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)


class RecordCache:
    """Read and append the records of one encoder."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self._positions: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    @classmethod
    def of(cls, encoder: Encoder, folder: Path | None = None) -> RecordCache:
        """Open the cache of an encoder below ``folder``, making it where it is not there."""
        place = cache_folder(encoder, folder)
        cache = cls(place, encoder.layout)
        about = {
            "encoder": encoder.name,
            "preprocessing": asdict(encoder.preprocessing),
            "layout": asdict(encoder.layout),
        }
        write_json(place / "encoder.json", about)
        return cache

    def refresh(self) -> None:
        """Read the index anew, up to the first line that is torn or names numbers that are not on disk."""
        index = self.folder / "index.txt"
        lines = index.read_bytes().split(b"\n")[:-1] if index.exists() else []
        widths = {"features.f16": self.layout.features, "maps.f16": self.layout.map_values}
        held = min(_size(self.folder / name) // (2 * width) for name, width in widths.items() if width)
        self._positions = {}
        for line in lines[:held]:
            digest = line.decode("ascii", "replace")
            if digest in self._positions or not digest.isalnum():
                break
            self._positions[digest] = len(self._positions)
        self._length = len(self._positions)

    def __contains__(self, digest: str) -> bool:
        return digest in self._positions

    def positions(self, digests: Iterable[str]) -> NDArray[np.int64]:
        """Return where the records of ``digests`` lie; KeyError where one is missing."""
        return np.array([self._positions[digest] for digest in digests], dtype=np.int64)

    def features(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return pooled features (N, D)."""
        return self._open("features.f16", self.layout.features)[positions].astype(np.float32)

    def records(self, positions: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return whole records (N, map_values + D) as stored."""
        maps = self._open("maps.f16", self.layout.map_values)[positions]
        return np.concatenate([maps, self._open("features.f16", self.layout.features)[positions]], axis=1)

    def maps(self, positions: NDArray[np.int64]) -> list[NDArray[np.float16]]:
        """Return the stage maps of a batch, one (B, channels, height, width) array per stage."""
        return self.layout.split(self.records(positions))[0]

    def _open(self, name: str, width: int) -> NDArray[np.float16]:
        if not self._length or not width:
            return np.zeros((self._length, width), dtype=np.float16)
        return np.memmap(self.folder / name, dtype=np.float16, mode="r", shape=(self._length, width))

    def require_space(self, records: int) -> None:
        """Refuse before the start what the disk cannot hold.

        Raises:
            InputError: the free space is smaller than ``records`` need.
        """
        needed = 2 * records * (self.layout.map_values + self.layout.features)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"Expected {needed / 1e9:.1f} GB of free disk for the records of {records} images, but {self.folder} "
                f"has {free / 1e9:.1f} GB. Free some, or set TAGWEAVE_CACHE to a folder on a larger disk."
            )

    @contextmanager
    def writer(self) -> Iterator[RecordWriter]:
        """Open the cache for appending; other processes wait their turn."""
        import filelock

        with filelock.FileLock(str(self.folder / "lock")):
            self.refresh()
            writer = RecordWriter(self)
            try:
                yield writer
            finally:
                writer.close()
                self.refresh()


class RecordWriter:
    """Append records so that a kill at any moment leaves a readable cache."""

    def __init__(self, cache: RecordCache) -> None:
        self._layout, self._folder = cache.layout, cache.folder
        length = cache._length
        index_bytes = sum(len(line) + 1 for line in cache._positions)
        # What was written after the last whole index line is cut off, so that positions and records agree.
        self._features = _open_at(self._folder / "features.f16", 2 * length * self._layout.features)
        self._maps = _open_at(self._folder / "maps.f16", 2 * length * self._layout.map_values)
        self._index = _open_at(self._folder / "index.txt", index_bytes)

    def append(self, digests: Sequence[str], records: NDArray[np.float16]) -> None:
        """Store records (B, map_values + D) under their digests, which the cache must not hold yet.

        Raises:
            InputError: the disk is full. What was stored before stays valid and is continued.
        """
        if not len(digests):
            return
        cut = self._layout.map_values
        try:
            for file, part in ((self._features, records[:, cut:]), (self._maps, records[:, :cut])):
                file.write(np.ascontiguousarray(part).tobytes())
                file.flush()
                os.fsync(file.fileno())
            self._index.write("".join(f"{digest}\n" for digest in digests).encode())
            self._index.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InputError(
                f"The disk is full: {self._folder} took no more records. Free some space or set TAGWEAVE_CACHE to "
                "another disk, then run the same command: it continues where it stopped."
            ) from error

    def close(self) -> None:
        """Close the files; a full disk was already reported by ``append``."""
        for file in (self._features, self._maps, self._index):
            try:
                file.close()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _open_at(path: Path, length: int) -> BinaryIO:
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(length)
    file.seek(length)
    return file
