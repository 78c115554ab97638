"""The PASCAL VOC folder: split lists, an XML file per image, objects that may be difficult."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tagweave.data.annotations import Annotations, raise_all
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

_LISTS = Path("ImageSets") / "Main"
_PARTS = (Path("Annotations"), _LISTS, Path("JPEGImages"))

Objects = dict[str, bool]
"""Label name -> whether an object that is not difficult was seen."""


@dataclass(frozen=True)
class _Listed:
    name: str
    split: str
    file: str
    line: int


def read_voc(root: Path, difficult: Literal["positive", "unknown"] = "positive") -> Annotations:
    """Read image-level labels from a VOC folder: positive where an object is there, negative elsewhere.

    A label with difficult objects only is unknown in test rows. A test image without XML is unlabelled.
    Label names are sorted.

    Args:
        root: the folder that holds Annotations, ImageSets/Main and JPEGImages.
        difficult: what a label with difficult objects only is in train and val rows; ``positive`` is ML-GCN's protocol.

    Raises:
        InputError: a folder or list is missing, or all that is wrong with the lists and XML files.
    """
    if difficult not in ("positive", "unknown"):
        raise InputError(f"Expected difficult to be positive or unknown, but got '{difficult}'.")
    _check_folders(root)
    rows, problems = _read_lists(root)
    objects, xml_problems = _read_objects(root / "Annotations", rows)
    problems += xml_problems
    raise_all(problems)
    return Annotations(
        labels=_matrix(rows, objects, difficult),
        images=tuple(f"{row.name}.jpg" for row in rows),
        splits=tuple(row.split for row in rows),
        lines=tuple(row.line for row in rows),
        source=f"{root.name}/{_LISTS.as_posix()}",
        image_folder=root / "JPEGImages",
    )


def _check_folders(root: Path) -> None:
    missing = [part.as_posix() for part in _PARTS if not (root / part).is_dir()]
    if missing:
        inside = next((path for path in sorted(root.glob("VOC*")) if (path / _LISTS).is_dir()), None)
        way_out = f"; did you mean {inside}?" if inside else "; give the folder that holds them, such as VOC2007"
        raise InputError(f"Expected a VOC folder at {root}, but it has no {', '.join(missing)}{way_out}")


def _read_lists(root: Path) -> tuple[list[_Listed], list[str]]:
    folder = root / _LISTS
    splits = {"train.txt": "train", "val.txt": "val", "test.txt": "test"}
    if not any((folder / name).is_file() for name in ("train.txt", "val.txt")):
        splits = {"trainval.txt": "train", "test.txt": "test"}
    rows = [row for name, split in splits.items() for row in _read_list(folder / name, split)]
    if not rows:
        raise InputError(
            f"Expected image names in train.txt, val.txt, trainval.txt or test.txt in {folder}: none found."
        )
    problems: list[str] = []
    first: dict[str, _Listed] = {}
    for row in rows:
        earlier = first.setdefault(row.name, row)
        if earlier is not row:
            problems.append(f"{row.file} line {row.line}: '{row.name}' is listed in {earlier.file} line {earlier.line}")
        elif "/" in row.name or "\\" in row.name:
            problems.append(f"{row.file} line {row.line}: expected a name without folder, but got '{row.name}'")
    return rows, problems


def _read_list(path: Path, split: str) -> list[_Listed]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [
        _Listed(line.split()[0], split, path.name, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]


def _read_objects(folder: Path, rows: list[_Listed]) -> tuple[list[Objects | None], list[str]]:
    """Return each row's objects, None for a test image without XML, and what is wrong."""
    objects: list[Objects | None] = []
    problems: list[str] = []
    for row in rows:
        path = folder / f"{row.name}.xml"
        found: Objects | None = None
        try:
            found = _parse(path.read_bytes())
        except FileNotFoundError:
            if row.split != "test":
                problems.append(f"{row.file} line {row.line}: expected Annotations/{path.name}, but it is not there")
        except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
            problems.append(f"Annotations/{path.name}: {error}")
        objects.append(found)
    return objects, problems


def _parse(content: bytes) -> Objects:
    # Entities can blow up to gigabytes. Expat reads only encodings that keep ASCII's bytes, and UTF-16 with its zeros.
    if b"<!DOCTYPE" in content or b"\0" in content:
        raise ValueError("expected plain XML, but got a DOCTYPE or UTF-16; save it as UTF-8 without DOCTYPE")
    objects: Objects = {}
    for item in ElementTree.fromstring(content).findall("object"):
        name = (item.findtext("name") or "").strip()
        if not name:
            raise ValueError("expected a name in every object, but one has none")
        clear = (item.findtext("difficult") or "0").strip() != "1"
        objects[name] = objects.get(name, False) or clear
    return objects


def _matrix(rows: list[_Listed], objects: list[Objects | None], difficult: str) -> LabelMatrix:
    names = tuple(sorted({name for found in objects if found for name in found}))
    column = {name: place for place, name in enumerate(names)}
    values = np.zeros((len(rows), len(names)), dtype=bool)
    known = np.zeros_like(values)
    for place, (row, found) in enumerate(zip(rows, objects, strict=True)):
        if found is None:
            continue
        known[place] = True
        counts = difficult == "positive" and row.split != "test"
        for name, clear in found.items():
            values[place, column[name]] = clear or counts
            known[place, column[name]] = clear or counts
    return LabelMatrix(values, known, names)
