"""Open Images' image-level labels: a CSV row per verified cell, with a confidence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.csv_table import Table, read_table, refuse_unfit, write_table
from tagweave.data.formats.gathering import Gathering
from tagweave.data.images import SUFFIXES
from tagweave.errors import InputError

_OFFICIAL = re.compile(r"(?:oidv\d-)?(train|validation|test)-annotations-.*\.csv")
_SPLITS = {"train": "train", "validation": "val", "test": "test", "": ""}
DESCRIPTIONS = "*class-descriptions*.csv"
_COLUMNS = ("imageid", "labelname", "confidence")


def read_openimages(path: Path) -> Annotations:
    """Read ``ImageID,Source,LabelName,Confidence``: only cells with a row are known, in every image.

    Confidence 1 is present and 0 absent; what lies between is a machine's guess and unknown. An ``ImageID`` without
    suffix is a ``.jpg``. Class names come from ``*class-descriptions*.csv`` beside the file, where it is there; the
    split from a file name such as ``validation-annotations-human-imagelabels.csv``.

    Raises:
        InputError: the header is another; problems of rows are in the result.
    """
    gathering = Gathering(path.name)
    table = read_table(path, gathering.wrong)
    image, label, confidence = _columns(table)
    names = _descriptions(path.parent)
    official = _OFFICIAL.fullmatch(path.name)
    split = _SPLITS[official[1] if official else ""]
    guesses = 0
    for row in table.rows:
        value = _confidence(row.fields[confidence])
        name = row.fields[label]
        if value is None or not name:
            got = (
                f"a confidence between 0 and 1, but got '{row.fields[confidence]}'" if name else "a label, but got none"
            )
            gathering.wrong(row.line, f"expected {got}")
        elif value not in (0, 1):
            guesses += 1
        else:
            place = gathering.find(image_file(row.fields[image]), row.line, split)
            gathering.say(place, gathering.label(names.get(name, name), row.line), value == 1)
    if guesses:
        gathering.notes.append(f"cells with a confidence between 0 and 1: {guesses:,}, read as unknown")
    return gathering.finish(typed=False)


def _columns(table: Table) -> tuple[int, int, int]:
    places = [table.column(name) for name in _COLUMNS]
    image, label, confidence = places
    if image is None or label is None or confidence is None:
        raise InputError(
            f"{table.source} line {table.header.line}: expected the header ImageID,Source,LabelName,Confidence, "
            f"but got '{','.join(table.header.fields)}'"
        )
    return image, label, confidence


def _confidence(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _descriptions(folder: Path) -> dict[str, str]:
    """Return machine names and their descriptions; a description that several share keeps its machine name beside."""
    names: dict[str, str] = {}
    for path in sorted(folder.glob(DESCRIPTIONS)):
        table = read_table(path, lambda line, text: None)
        pairs = [row.fields for row in (table.header, *table.rows) if row.fields[0].startswith("/")]
        names |= {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    counts: dict[str, int] = {}
    for name in names.values():
        counts[name] = counts.get(name, 0) + 1
    return {key: name if counts[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def image_file(identity: str) -> str:
    """Return the file name of an ImageID."""
    return identity if not identity or identity.lower().endswith(SUFFIXES) else f"{identity}.jpg"


def image_id(image: str) -> str:
    """Return the ImageID of a file name: without ``.jpg``, where ``image_file`` gives it back."""
    stem = image.removesuffix(".jpg")
    return stem if stem and image_file(stem) == image else image


def write_openimages(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write a row for every known cell, confidence 1 or 0.

    Raises:
        InputError: a name that CSV cannot hold.
    """
    refuse_unfit(annotations)
    labels = annotations.labels
    rows = (
        (image_id(annotations.images[row]), "verification", labels.names[c], "1" if labels.values[row, c] else "0")
        for row in range(len(annotations))
        for c in np.flatnonzero(labels.known[row]).tolist()
    )
    write_table(path, ("ImageID", "Source", "LabelName", "Confidence"), rows)
    return ()
