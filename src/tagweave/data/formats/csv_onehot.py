"""The one-hot form: a row per image, a column per label, cells 1, 0 or blank for unknown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tagweave.data.annotations import Annotations, label_name
from tagweave.data.formats.csv_table import Row, Table, read_table, refuse_unfit, write_table
from tagweave.data.formats.gathering import Gathering
from tagweave.data.formats.reach import refuse
from tagweave.errors import InputError

CELLS: dict[str, bool | None] = {"1": True, "0": False, "": None}
"""What is written in a cell -> value, None for unknown."""
_RESERVED = ("image", "split")


def read_csv_onehot(path: Path) -> Annotations:
    """Read ``image,label1,label2,...[,split]`` with cells 1, 0 and blank = unknown.

    Raises:
        InputError: the header is another; problems of rows are in the result.
    """
    gathering = Gathering(path.name)
    table = read_table(path, gathering.wrong)
    image, names = _columns(table)
    split = table.column("split")
    _check_header(table.header, names, gathering)
    columns = {place: gathering.label(name, table.header.line) for place, name in names.items()}
    for row in table.rows:
        part = gathering.split(row.fields[split], row.line) if split is not None else ""
        place = gathering.add(row.fields[image], row.line, part)
        _say_cells(row, place, columns, names, gathering)
    return gathering.finish()


def _say_cells(row: Row, place: int, columns: dict[int, int], names: dict[int, str], gathering: Gathering) -> None:
    for field, column in columns.items():
        cell = CELLS.get(row.fields[field], row.fields[field])
        if isinstance(cell, str):
            gathering.wrong(row.line, f"column '{names[field]}': expected 1, 0 or blank for unknown, but got '{cell}'")
        elif cell is not None:
            gathering.say(place, column, cell)


def _columns(table: Table) -> tuple[int, dict[int, str]]:
    """Return the place of the image column, and place and name of the label columns."""
    image, split = table.column("image"), table.column("split")
    columns = {place: label_name(name) for place, name in enumerate(table.header.fields) if place not in (image, split)}
    if image is None or not columns:
        raise InputError(
            f"{table.source} line {table.header.line}: expected the header image,LABEL,LABEL,... with one column per "
            f"label, but got '{','.join(table.header.fields)}'; write it as the first line"
        )
    return image, columns


def _check_header(header: Row, columns: dict[int, str], gathering: Gathering) -> None:
    for place, name in columns.items():
        if not name:
            gathering.wrong(header.line, f"column {place + 1} has no name")
    for name, count in Counter(columns.values()).items():
        if name and count > 1:
            gathering.wrong(header.line, f"label '{name}' has {count} columns; keep one")


def write_csv_onehot(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write what ``read_csv_onehot`` reads.

    Raises:
        InputError: there is no label, or a name that the form cannot hold.
    """
    labels = annotations.labels
    if not labels.names:
        raise InputError("Expected labels to write as columns, but there is none.")
    refuse(
        "label", labels.names, lambda name: name.lower() in _RESERVED, "is a column of its own; write parquet instead"
    )
    refuse_unfit(annotations)
    signs = np.array(["", "0", "1"])[labels.known.astype(np.int8) + labels.values]
    rows = zip(annotations.images, signs, annotations.splits, strict=True)
    write_table(path, ("image", *labels.names, "split"), ([image, *cells, split] for image, cells, split in rows))
    return ()
