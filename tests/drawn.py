"""A small collection of drawn pictures whose labels can be seen, for tests of the whole job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from tagweave.api import Run, fit

NAMES = ("house", "moon", "sea", "tree")
# Everything the tests rely on is said here: the presets' own numbers are free to change.
SETTINGS: dict[str, Any] = {
    "encoder": {"name": "efficientnet_lite0", "size": 64, "map_side": 4},
    "graph": {"features": "average"},  # half as wide, an eighth of the time
    "train": {"epochs": 3, "updates": 0, "batch": 16, "patience": 3},
}


@dataclass(frozen=True)
class Drawn:
    """Name the files of a drawn collection; ``values`` (N, C) is the truth in the order of the sorted file names."""

    images: Path
    labels: Path
    values: NDArray[np.bool_]


def draw(shown: Sequence[str], seed: int, side: int = 72) -> Image.Image:
    """Draw one picture on noisy ground."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(90, 150, (side, side, 3), dtype=np.uint8))
    pen = ImageDraw.Draw(image)
    shift = int(rng.integers(0, 8))
    if "sea" in shown:
        pen.rectangle((0, side * 3 // 4 - shift, side, side), fill=(20, 60, 220))
    if "moon" in shown:
        pen.ellipse((6 + shift, 4, 26 + shift, 24), fill=(250, 240, 60))
    if "house" in shown:
        pen.rectangle((10, 34 - shift, 32, 54 - shift), fill=(200, 30, 30))
    if "tree" in shown:
        pen.polygon(((52, 16 + shift), (40, 50), (66, 50)), fill=(10, 140, 30))
    return image


def names_of(row: NDArray[np.bool_]) -> list[str]:
    return [name for name, value in zip(NAMES, row, strict=True) if value]


def write_list(path: Path, images: Sequence[str], values: NDArray[np.bool_], splits: Sequence[str] = ()) -> Path:
    """Write the list form, with a split column where splits are given."""
    rows = ["image,labels,split" if splits else "image,labels"]
    for number, (image, row) in enumerate(zip(images, values, strict=True)):
        rows.append(",".join([image, ";".join(names_of(row)), *splits[number : number + 1]]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_collection(folder: Path, images: int = 60, labelled: int = 46, seed: int = 0) -> Drawn:
    """Write pictures and the labels of the first ``labelled`` of them."""
    values = np.random.default_rng(seed).random((images, len(NAMES))) < 0.45
    files = [f"{number:03d}.png" for number in range(images)]
    (folder / "pictures").mkdir(parents=True)
    for number, file in enumerate(files):
        draw(names_of(values[number]), 1000 * seed + number).save(folder / "pictures" / file)
    labels = write_list(folder / "labels.csv", files[:labelled], values[:labelled])
    return Drawn(folder / "pictures", labels, values)


def quick_fit(images: Path, labels: Path | None, out: Path, **changes: Any) -> Run:
    """Do the job with ``SETTINGS`` on one thread; ``changes`` are arguments of ``fit`` and go over them."""
    sections = {name: {**SETTINGS.get(name, {}), **changes.pop(name, {})} for name in SETTINGS}
    with mock.patch.dict(os.environ, {"TAGWEAVE_THREADS": "1"}), threadpool_limits(1):
        return fit(images, labels, out=out, quiet=True, **{"preset": "tiny", **changes}, **sections)
