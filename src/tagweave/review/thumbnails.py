"""Small versions of the run's images: made when asked for, kept on disk up to a limit."""

from __future__ import annotations

import hashlib
import io
import threading
import uuid
from pathlib import Path

from PIL import Image

from tagweave.data.images import decode
from tagweave.data.manifest import Manifest
from tagweave.errors import ImageError
from tagweave.threads import available_threads

SIDES = {"thumb": 256, "large": 1280}
QUALITY = 82
LIMIT_BYTES = 1 << 30
KEPT_SHARE = 0.8  # of the limit, after the oldest were removed


def image_ids(manifest: Manifest) -> tuple[str, ...]:
    """Return N opaque names that stay while an image's path and content stay."""
    pairs = zip(manifest.paths, manifest.digests, strict=True)
    return tuple(hashlib.blake2b(f"{path}\0{digest}".encode(), digest_size=10).hexdigest() for path, digest in pairs)


class Thumbnails:
    """Make and keep re-encoded images of a manifest.

    Args:
        folder: of the kept files. limit: bytes on disk.
    """

    def __init__(self, folder: Path, manifest: Manifest, limit: int = LIMIT_BYTES) -> None:
        self.folder, self.manifest, self.limit = folder, manifest, limit
        self._root = manifest.root.resolve()
        self._decoders = threading.Semaphore(available_threads())  # bounds the memory of full-size images
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._bytes = sum(path.stat().st_size for path in folder.rglob("*.jpg"))

    def jpeg(self, row: int, name: str, size: str) -> bytes:
        """Return an image as JPEG, at most ``SIDES[size]`` pixels wide and high.

        Args:
            name: the image's opaque name.

        Raises:
            ImageError: the file is gone, damaged, or lies outside the image folder.
        """
        path = self.folder / size / name[:2] / f"{name}.jpg"
        try:
            content = path.read_bytes()
            path.touch()  # the oldest files go first
            return content
        except OSError:
            content = self._encode(row, SIDES[size])
        self._keep(path, content)
        return content

    def _encode(self, row: int, side: int) -> bytes:
        file = (self._root / self.manifest.paths[row]).resolve()
        if not file.is_relative_to(self._root):
            raise ImageError("lies outside the image folder")
        with self._decoders:
            image = decode(file, at_least=side)
            image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        return buffer.getvalue()

    def _keep(self, path: Path, content: bytes) -> None:
        partial = path.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError:  # a full disk does not stop the review
            partial.unlink(missing_ok=True)
            return
        with self._lock:
            self._bytes += len(content)
            if self._bytes > self.limit:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        files = sorted(((path.stat(), path) for path in self.folder.rglob("*.jpg")), key=lambda item: item[0].st_mtime)
        self._bytes = sum(stat.st_size for stat, _ in files)
        for stat, path in files:
            if self._bytes <= KEPT_SHARE * self.limit:
                return
            path.unlink(missing_ok=True)
            self._bytes -= stat.st_size
