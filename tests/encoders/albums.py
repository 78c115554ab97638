"""Small image folders, and an encoder of a few numbers that needs no network, for the tests of cache and extraction."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagweave.data.manifest import Manifest
from tagweave.encoders.backbones import Encoder, Layout, Preprocessing

SIDE = 8
BLOCKS = Encoder(
    name="test/blocks",
    preprocessing=Preprocessing(SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    layout=Layout(maps=((3, 2, 2), (3, 1, 1)), strides=(4, 8), parts=(3, 3)),
    module=None,  # type: ignore[arg-type]  # the runner below stands in for it
    key="k0",
)


def block_runner(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours averaged in quarters and over the whole; then mean and maximum per colour."""
    assert pixels.dtype == np.uint8
    assert pixels.shape[1:] == (SIDE, SIDE, 3)
    rows = []
    for image in pixels.astype(np.float32):
        quarters = [image[y : y + 4, x : x + 4, c].mean() for c in range(3) for y in (0, 4) for x in (0, 4)]
        means = [image[..., c].mean() for c in range(3)]
        rows.append([*quarters, *means, *means, *(image[..., c].max() for c in range(3))])
    return np.array(rows, dtype=np.float32)


def digest_of(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def manifest_of(root: Path) -> Manifest:
    """Name every file below ``root`` as it is now, readable or not."""
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    digests = tuple(digest_of(root / path) for path in paths)
    sizes = np.full((len(paths), 2), SIDE, dtype=np.int32)
    return Manifest(root, tuple(paths), digests, sizes, np.full(len(paths), "train"))


def noise(seed: int, side: int = 12) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_album(root: Path, images: int, side: int = 12) -> Manifest:
    """Write distinct PNGs of noise and return their manifest."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        Image.fromarray(noise(number, side)).save(root / f"{number:03}.png")
    return manifest_of(root)
