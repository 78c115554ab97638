"""Image files: find them, decode them, and say why one cannot be used."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tagweave.data.manifest import Quarantined
from tagweave.errors import ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
RUN_FILES = {"job.json", "config.toml"}  # a folder below with both is a run
MAX_PIXELS = 100_000_000
MAX_BYTES = 1 << 30  # a stray slide scan or video must not fill the memory before its header is read

_FORMATS = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_WIDE_GRAY = ("I", "F")  # 16 and 32 bits a pixel: "I;16", "I;16B", "I", "F"
_WHITE_16 = 65535
_FINGERPRINT_SIDE = 32  # the shorter side that is decoded for a fingerprint

# The size is checked from the header here; Pillow's warning is about a lower limit of its own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Inspection:
    """Hold what one pass over a file's bytes tells.

    Attributes:
        digest: BLAKE2b of the bytes, 32 hexadecimal digits.
        width: pixels, orientation honoured.
        height: pixels, orientation honoured.
        fingerprint: 64-bit difference hash of the picture; near-duplicates differ in few bits.
    """

    digest: str
    width: int
    height: int
    fingerprint: int


def find_images(folder: Path) -> tuple[list[str], list[Quarantined]]:
    """Return the image files below a folder, and what could not be looked at.

    Paths are relative to the folder, with forward slashes, sorted. Hidden entries, files with other suffixes and run
    folders, whose pictures are not the user's, are passed over. Linked folders are followed after all others; a folder
    that was read already is not read again.
    """
    walk = _Walk()
    walk.folders.append(("", os.path.realpath(folder)))
    seen: set[str] = set()
    while walk.folders or walk.links:
        relative, real = walk.folders.pop() if walk.folders else walk.links.pop(0)
        if real in seen:
            walk.quarantine(relative, "is a link to a folder that was read already")
            continue
        seen.add(real)
        _read_folder(relative, real, walk)
    return sorted(walk.images), sorted(walk.quarantined, key=lambda item: item.path)


@dataclass(frozen=True)
class _Walk:
    images: list[str] = field(default_factory=list)
    folders: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def quarantine(self, path: str, reason: str) -> None:
        printable = os.fsencode(path).decode("utf-8", "backslashreplace")
        self.quarantined.append(Quarantined(printable or ".", reason))


def _read_folder(relative: str, real: str, walk: _Walk) -> None:
    try:
        with os.scandir(real) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        walk.quarantine(relative, f"folder could not be read: {error.strerror}")
        return
    if relative and {entry.name for entry in entries} >= RUN_FILES:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{relative}/{entry.name}" if relative else entry.name
        try:
            _sort_entry(entry, path, walk)
        except OSError as error:
            walk.quarantine(path, f"could not be looked at: {error.strerror}")


def _sort_entry(entry: os.DirEntry[str], path: str, walk: _Walk) -> None:
    is_folder = entry.is_dir()
    if not is_folder and not entry.is_symlink() and not entry.name.lower().endswith(SUFFIXES):
        return
    if not _is_text(entry.name):
        walk.quarantine(path, "has a name that is not UTF-8; rename it")
    elif is_folder and entry.is_symlink():
        walk.links.append((path, os.path.realpath(entry.path)))
    elif is_folder:
        walk.folders.append((path, entry.path))
    elif not entry.is_file():
        walk.quarantine(path, "is a link to nothing" if entry.is_symlink() else "is not a regular file")
    elif entry.name.lower().endswith(SUFFIXES):
        walk.images.append(path)


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def decode(source: Path | bytes, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> Image.Image:
    """Decode the first frame of an image to upright 8-bit RGB, transparency on white.

    Args:
        source: a file, or a file's bytes.
        max_pixels: the most pixels that the header may announce; more are refused before they are decoded.
        at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as its shorter side keeps this many
            pixels. None decodes at full size.

    16-bit gray is scaled so that 65535 is white; wider integers and floats from their least to their greatest value.

    Raises:
        ImageError: the file is unreadable, empty, not an image, damaged or too large, with the reason.
    """
    content = source if isinstance(source, bytes) else _read(source)
    return _pixels(_open(content, max_pixels), at_least)[0]


def inspect(path: Path) -> Inspection:
    """Read a file once, decode it to its end, and return its digest, size and fingerprint.

    Raises:
        ImageError: the image cannot be used, with the reason.
    """
    content = _read(path)
    opened = _open(content, MAX_PIXELS)
    size = opened.size
    image, turned = _pixels(opened, _FINGERPRINT_SIDE)
    width, height = reversed(size) if turned else size
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Inspection(digest, width, height, fingerprint(image))


def fingerprint(image: Image.Image) -> int:
    """Return the difference hash of an image: 64 bits, 1 where a cell of an 8 x 9 grid is darker than the next.

    A flat image gives 0.
    """
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(cells[:, :-1] < cells[:, 1:]).tobytes(), "big")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"is larger than the limit of {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"could not be read: {error.strerror or error}") from error


def _open(content: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header only. ``Image.open`` is passed by: its own size check warns, and it hides what is wrong."""
    if not content:
        raise ImageError("is empty (0 bytes)")
    name = next((name for name in _FORMATS if _accepts(name, content[:16])), None)
    if name is None:
        raise ImageError(f"is not an image: expected {', '.join(str(name) for name in _FORMATS)}")
    try:
        opened = Image.OPEN[name][0](io.BytesIO(content), "")
    except Image.DecompressionBombError as error:
        raise ImageError(f"has more pixels than the limit of {max_pixels:,}") from error
    except (SyntaxError, IndexError, TypeError, struct.error) as error:
        if "not identified" in str(error):
            raise ImageError(f"has a {name} header without a size above zero") from error
        raise ImageError(f"has a damaged {name} header: {error}") from error
    except Exception as error:  # a parser that is fed hostile bytes may raise anything
        raise ImageError(f"has a damaged {name} header: {error}") from error
    width, height = opened.size
    if width * height > max_pixels:
        raise ImageError(f"has {width} x {height} pixels, more than the limit of {max_pixels:,}")
    return opened


def _accepts(name: str, prefix: bytes) -> bool:
    accept = Image.OPEN[name][1]
    return accept is not None and accept(prefix) is True


def _pixels(opened: ImageFile.ImageFile, at_least: int | None) -> tuple[Image.Image, bool]:
    """Decode; return the upright RGB image and whether width and height changed places."""
    try:
        if at_least is not None:
            opened.draft(None, (at_least, at_least))
        opened.load()
        orientation = _orientation(opened)
        image = _rgb(opened)
        upright = image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
    except ImageError:
        raise
    except Exception as error:  # a decoder that is fed hostile bytes may raise anything
        raise ImageError(f"is truncated or damaged: {error}") from error
    return upright, orientation >= 5


def _orientation(opened: ImageFile.ImageFile) -> int:
    try:
        value = opened.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata does not make a picture unusable
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(_WIDE_GRAY):
        return _narrow(image).convert("RGB")
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """Scale gray of more than 8 bits to 8."""
    values = np.asarray(image, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("holds values that are not finite numbers")
    if image.mode != "F" and low >= 0 and high <= _WHITE_16:
        low, high = 0.0, float(_WHITE_16)
    scaled = (values - low) * (255 / (high - low or 1.0))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
