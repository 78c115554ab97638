"""COCO instances JSON, read and written at the level of images."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.annotations import Annotations, label_name
from tagweave.data.formats.gathering import NO_ROW, SPLIT_WORDS, Gathering
from tagweave.data.formats.json_stream import Member, stream_members, write_document
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

LAYOUT = "labels.json"
OFFICIAL = re.compile(r"instances_(train|val)(2014|2017)\.json")
# The official test labels are not public, and published results are on val.
_OFFICIAL_SPLITS = {"train": "train", "val": "test"}


def read_coco(path: Path) -> Annotations:
    """Read an instances file, or a COCO folder with ``annotations/instances_{train,val}{2014,2017}.json``.

    A folder with ``labels.json`` beside ``data/``, as FiftyOne writes COCO, is read too, and one whose files
    ``annotations/instances_NAME.json`` have names of their own: ``train``, ``val`` and ``test`` are then the splits.

    A label is present where an image has an annotation of it, a crowd (``iscrowd`` 1) as well as a single object, and
    absent otherwise: listed images are fully labelled. Two exceptions: a file without ``annotations`` (such as
    ``image_info_test2017.json``) says nothing, and an image with ``neg_category_ids`` (LVIS) is known at its
    annotations and at these labels only. Official ``train`` files are ``train``, official ``val`` files ``test``;
    other files may give each image a ``split``.

    Raises:
        InputError: not JSON or no ``images``; problems of records are in the result.
    """
    gathering = Gathering(path.name, "image")
    if path.is_dir():
        for file, folder, split in _files(path):
            gathering.file = file.name
            _read_file(file, gathering, folder, split)
        beside = (path / "images").is_dir() and not (path / LAYOUT).is_file()
        return gathering.finish(image_folder=path / "images" if beside else path)
    _read_file(path, gathering, "")
    return gathering.finish()


def _files(root: Path) -> list[tuple[Path, str, str]]:
    """Return the instances files of a folder, each with the folder of its images and its split."""
    if official_files(root):
        found = _official_files(root)
        names = [(file, year, match[1]) for file, year in found if (match := OFFICIAL.fullmatch(file.name))]
        return [(file, f"{name}{year}/", _OFFICIAL_SPLITS[name]) for file, year, name in names]
    if (root / LAYOUT).is_file():
        return [(root / LAYOUT, "data/", "")]
    parts = [(file, file.stem.removeprefix("instances_")) for file in instance_files(root)]
    if not parts:
        raise InputError(f"Expected annotations/instances_*.json in {root}, but there is none; give one file.")
    return [
        (file, f"{name}/" if (root / "images" / name).is_dir() else "", SPLIT_WORDS.get(name, ""))
        for file, name in parts
    ]


def _official_files(root: Path) -> list[tuple[Path, str]]:
    found = [(file, name[2]) for file in official_files(root) if (name := OFFICIAL.fullmatch(file.name))]
    years = sorted({year for _, year in found})
    if len(years) != 1:
        names = ", ".join(file.name for file, _ in found) or "none"
        raise InputError(
            f"Expected annotations/instances_train2017.json or its like of one year in {root}, but found {names}; "
            "give one file"
        )
    return found


def instance_files(root: Path) -> list[Path]:
    """Return the instances files of a COCO folder, whatever they are of."""
    return sorted((root / "annotations").glob("instances_*.json"))


def official_files(root: Path) -> list[Path]:
    """Return the official instances files of a COCO folder, train first."""
    return [file for file in instance_files(root) if OFFICIAL.fullmatch(file.name)]


@dataclass
class _Found:
    """Hold what a file says, in its own ids, which may be used before they are explained."""

    stated: bool = False
    images: dict[Any, int] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)
    partial: dict[int, list[Any]] = field(default_factory=dict)
    codes: dict[Any, int] = field(default_factory=dict)
    pairs: array[int] = field(default_factory=lambda: array("i"))

    def code(self, identity: Any) -> int:
        return self.codes.setdefault(identity, len(self.codes))


def _read_file(path: Path, gathering: Gathering, folder: str, split: str = "") -> None:
    found = _Found()
    official = OFFICIAL.fullmatch(path.name)
    split = _OFFICIAL_SPLITS[official[1]] if official else split
    if official and split != official[1]:
        gathering.notes.append(f"{path.name} is read as {split}: COCO's own test labels are not public")
    for member in stream_members(path):
        if member.container == "annotations":
            found.stated = True
        if member.number and isinstance(member.value, dict):
            _take(member, found, gathering, folder, split)
        elif member.number and member.container in ("images", "annotations", "categories"):
            gathering.wrong(member.number, f"expected an object, but got {member.value!r}", _ONE[member.container])
    if not found.images:
        raise InputError(f"{path.name}: expected COCO's images, annotations and categories, but found no images")
    _say(found, gathering)


_ONE = {"images": "image", "annotations": "annotation", "categories": "category"}


def _take(member: Member, found: _Found, gathering: Gathering, folder: str, split: str) -> None:
    record, number = member.value, member.number
    wanted = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
    keys = wanted.get(member.container)
    if keys is None:
        return
    first, second = (record.get(key) for key in keys)
    if not isinstance(first, int | str) or not isinstance(second, int | str):
        gathering.wrong(number, f"expected {' and '.join(keys)}, but got {str(record)[:60]}", _ONE[member.container])
        first = second = None
    if member.container == "annotations":
        # Faulty ones too: the place of a pair is the number of its annotation.
        found.pairs.extend((found.code(("image", first)), found.code(("category", second))))
    elif first is not None and member.container == "categories":
        _take_category(first, label_name(str(second)), number, found, gathering)
    elif first is not None:
        _take_image(record, number, found, gathering, folder, split)


def _take_category(identity: Any, name: str, number: int, found: _Found, gathering: Gathering) -> None:
    if identity in found.categories or name in found.categories.values():
        gathering.wrong(number, f"category '{name}' (id {identity}) is listed again; keep one", "category")
    else:
        gathering.label(name, number)
        found.categories[identity] = name


def _take_image(
    record: Mapping[str, Any], number: int, found: _Found, gathering: Gathering, folder: str, split: str
) -> None:
    if record["id"] in found.images:
        gathering.wrong(number, f"image id {record['id']} is listed again; keep one")
        return
    word = str(record.get("split") or split)
    row = gathering.add(folder + str(record["file_name"]), number, gathering.split(SPLIT_WORDS.get(word, word), number))
    found.images[record["id"]] = row
    if isinstance(record.get("neg_category_ids"), list):
        found.partial[row] = record["neg_category_ids"]


def _say(found: _Found, gathering: Gathering) -> None:
    if not found.stated:
        gathering.notes.append(f"{gathering.file or gathering.source} has no annotations: its images are unlabelled")
        return
    columns = {identity: gathering.label(name, 1) for identity, name in found.categories.items()}
    meaning = np.full(len(found.codes), NO_ROW, dtype=np.int64)
    for (kind, identity), code in found.codes.items():
        meaning[code] = (found.images if kind == "image" else columns).get(identity, NO_ROW)
    pairs = np.frombuffer(found.pairs, dtype=np.int32).reshape(-1, 2)
    rows, labels = meaning[pairs[:, 0]], meaning[pairs[:, 1]]
    _check_pairs(found, rows, labels, pairs, gathering)
    rows = np.where(labels == NO_ROW, NO_ROW, rows)
    gathering.say_many(rows, labels, np.ones(len(rows), dtype=bool))
    for row in found.images.values():
        if row not in found.partial:
            gathering.complete(row)
    for row, absent in found.partial.items():
        for identity in absent:
            if identity in columns:
                gathering.say(row, columns[identity], False)
            else:
                gathering.wrong(gathering.numbers[row], f"neg_category_ids holds {identity}, which is no category")


def _check_pairs(
    found: _Found, rows: NDArray[np.int64], labels: NDArray[np.int64], pairs: NDArray[np.int32], gathering: Gathering
) -> None:
    ids = list(found.codes)
    for place in np.flatnonzero((rows == NO_ROW) | (labels == NO_ROW)).tolist():
        image, category = (ids[code][1] for code in pairs[place].tolist())
        if image is not None and image not in found.images:
            gathering.wrong(place + 1, f"image_id {image} is no image of the file", "annotation")
        if category is not None and category not in found.categories:
            gathering.wrong(place + 1, f"category_id {category} is no category of the file", "annotation")


def write_coco(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write images, categories and one annotation, without box, for each label that is present.

    Images that are not fully labelled carry ``neg_category_ids``, as in LVIS; ``split`` is a key of our own.
    """
    labels = annotations.labels
    cells = ((row, column, None) for row, column in np.argwhere(labels.values).tolist())
    images = _images(annotations.images, annotations.splits, labels)
    write_document(path, {"images": images, **coco_labels(labels.names, cells)})
    return ()


def _images(images: Iterable[str], splits: Iterable[str], labels: LabelMatrix) -> Iterator[dict[str, Any]]:
    for row, (image, split) in enumerate(zip(images, splits, strict=True)):
        record: dict[str, Any] = {"id": row + 1, "file_name": image}
        if split:
            record["split"] = split
        if not labels.known[row].all():
            absent = labels.known[row] & ~labels.values[row]
            record["neg_category_ids"] = (np.flatnonzero(absent) + 1).tolist()
        yield record


def coco_labels(names: Iterable[str], cells: Iterable[tuple[int, int, float | None]]) -> dict[str, Any]:
    """Return COCO's ``categories`` and ``annotations`` of present labels.

    Args:
        names: label names, whose ids are 1, 2, ...
        cells: row of the image, whose id is one more, column of the label, and score or None.
    """
    return {
        "categories": [{"id": place, "name": name} for place, name in enumerate(names, start=1)],
        "annotations": (
            {"id": number, "image_id": row + 1, "category_id": column + 1, "iscrowd": 0}
            | ({} if score is None else {"score": score})
            for number, (row, column, score) in enumerate(cells, start=1)
        ),
    }
