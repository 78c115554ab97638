"""The PASCAL VOC folder: split lists, an XML file per image, objects that may be difficult."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tagweave.data.annotations import Annotations, label_name, raise_all
from tagweave.data.formats.linking import link_or_copy
from tagweave.data.formats.plain_xml import parse_xml, refuse_unprintable, tag
from tagweave.data.formats.reach import refuse
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

_LISTS = Path("ImageSets") / "Main"
_PARTS = (Path("Annotations"), _LISTS, Path("JPEGImages"))

Objects = dict[str, bool]
"""Label name -> whether an object that is not difficult was seen."""


@dataclass(frozen=True)
class _Described:
    """What an XML file says: the image's file name, ``''`` where it does not, and its objects."""

    file_name: str
    objects: Objects


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
    described, xml_problems = _read_descriptions(root / "Annotations", rows)
    problems += xml_problems
    raise_all(problems)
    return Annotations(
        labels=_matrix(rows, [found.objects if found else None for found in described], difficult),
        images=tuple(_file_name(row.name, found) for row, found in zip(rows, described, strict=True)),
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
        _Listed(line.strip(), split, path.name, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]


def _read_descriptions(folder: Path, rows: list[_Listed]) -> tuple[list[_Described | None], list[str]]:
    """Return what each row's XML says, None for a test image without, and what is wrong."""
    described: list[_Described | None] = []
    problems: list[str] = []
    for row in rows:
        path = folder / f"{row.name}.xml"
        found: _Described | None = None
        try:
            found = _parse(path.read_bytes())
        except FileNotFoundError:
            if row.split != "test":
                problems.append(f"{row.file} line {row.line}: expected Annotations/{path.name}, but it is not there")
        except (OSError, ValueError, LookupError) as error:
            problems.append(f"Annotations/{path.name}: {error}")
        described.append(found)
    return described, problems


def _parse(content: bytes) -> _Described:
    root = parse_xml(content)
    objects: Objects = {}
    for item in root.findall("object"):
        name = label_name(item.findtext("name") or "")
        if not name:
            raise ValueError("expected a name in every object, but one has none")
        clear = (item.findtext("difficult") or "0").strip() != "1"
        objects[name] = objects.get(name, False) or clear
    return _Described((root.findtext("filename") or "").strip(), objects)


def _file_name(name: str, described: _Described | None) -> str:
    """Return the file of an image: its XML's ``filename`` where that differs by suffix only, else a JPEG."""
    stated = described.file_name if described else ""
    return stated if PurePosixPath(stated).stem == name and "/" not in stated else f"{name}.jpg"


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


def write_voc(root: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write split lists and an XML file per image, an object without box for each label that is present.

    Also each label's own lists, ``cat_train.txt`` with 1 and -1, for tools that read no XML.

    Images are linked, or else copied, where their folder is known.

    Raises:
        InputError: image names that VOC has no place for: in folders, or alike but for the suffix.
    """
    stems = [PurePosixPath(image).stem for image in annotations.images]
    _check_images(annotations.images, stems)
    refuse_unprintable("label", annotations.labels.names)
    for part in _PARTS:
        (root / part).mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for row, (image, stem) in enumerate(zip(annotations.images, stems, strict=True)):
        names = [annotations.labels.names[c] for c in np.flatnonzero(annotations.labels.values[row])]
        (root / "Annotations" / f"{stem}.xml").write_text(_document(image, names), encoding="utf-8")
        lists[annotations.splits[row] or "train"].append(stem)
    lists["trainval"] = lists["train"] + lists["val"]
    for name, members in lists.items():
        (root / _LISTS / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in members), encoding="utf-8")
    _write_label_lists(root / _LISTS, lists, dict(zip(stems, annotations.labels.values, strict=True)), annotations)
    _link_images(root / "JPEGImages", annotations)
    undecided = annotations.splits.count("")
    return (f"images without a split: {undecided:,}, written as train",) if undecided else ()


def _write_label_lists(
    folder: Path, lists: dict[str, list[str]], present: dict[str, NDArray[np.bool_]], annotations: Annotations
) -> None:
    for column, label in enumerate(annotations.labels.names):
        if "/" in label or "\0" in label:
            continue  # no file can be called so; the XML files hold the label
        for name, members in lists.items():
            lines = [f"{stem} {1 if present[stem][column] else -1:2d}\n" for stem in members]
            (folder / f"{label}_{name}.txt").write_text("".join(lines), encoding="utf-8")


def _check_images(images: tuple[str, ...], stems: list[str]) -> None:
    refuse(
        "image", images, lambda image: "/" in str(image), "is in a folder, which VOC does not have; write coco instead"
    )
    refuse_unprintable("image", images)
    refuse("image", tuple(stems), lambda stem: stem != stem.strip(), "has spaces around its name; rename it")
    twice = tuple(stem for stem, count in Counter(stems).items() if count > 1)
    refuse("image", twice, bool, "is there with several suffixes, and VOC names images without; rename one")


def _document(image: str, names: list[str]) -> str:
    objects = "".join(f"<object>{tag('name', {}, name)}<difficult>0</difficult></object>\n" for name in names)
    return f"<annotation>\n{tag('filename', {}, image)}\n{objects}</annotation>\n"


def _link_images(folder: Path, annotations: Annotations) -> None:
    if annotations.image_folder is None:
        return
    for image in annotations.images:
        if (annotations.image_folder / image).is_file():
            link_or_copy(annotations.image_folder / image, folder / image)
