"""The one-hot form: a row per image, a column per label, cells 1, 0 or blank for unknown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tagweave.data.annotations import (
    Annotations,
    Problem,
    Row,
    Table,
    field_problems,
    label_name,
    raise_problems,
    read_images,
    read_splits,
    read_table,
    spelling_problems,
)
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

CELLS = {"1": (True, True), "0": (False, True), "": (False, False)}
"""What is written in a cell -> value, known."""


def read_csv_onehot(path: Path) -> Annotations:
    """Read ``image,label1,label2,...[,split]`` with cells 1, 0 and blank = unknown; label names are sorted.

    Raises:
        InputError: all that is wrong with the file, with line numbers and column names.
    """
    table = read_table(path)
    image, columns = _columns(table)
    problems = [*table.problems, *_header_problems(table.header, columns), *field_problems(table)]
    rows = [row for row in table.rows if len(row.fields) == len(table.header.fields)]
    images, image_problems = read_images(rows, image)
    splits, split_problems = read_splits(rows, table.column("split"))
    problems += [*image_problems, *split_problems, *_cell_problems(rows, columns)]
    raise_problems(table.source, problems)
    return Annotations(_matrix(rows, columns), images, splits, tuple(row.line for row in rows), table.source)


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


def _header_problems(header: Row, columns: dict[int, str]) -> list[Problem]:
    problems = [(header.line, f"column {place + 1} has no name") for place, name in columns.items() if not name]
    counts = Counter(columns.values())
    problems += [
        (header.line, f"label '{name}' has {count} columns; keep one")
        for name, count in counts.items()
        if name and count > 1
    ]
    return [*problems, *spelling_problems((name, header.line) for name in columns.values())]


def _cell_problems(rows: list[Row], columns: dict[int, str]) -> list[Problem]:
    return [
        (row.line, f"column '{name}': expected 1, 0 or blank for unknown, but got '{row.fields[place]}'")
        for row in rows
        for place, name in columns.items()
        if row.fields[place] not in CELLS
    ]


def _matrix(rows: list[Row], columns: dict[int, str]) -> LabelMatrix:
    places = sorted(columns, key=lambda place: columns[place])
    cells = np.array([[CELLS[row.fields[place]] for place in places] for row in rows], dtype=bool)
    cells = cells.reshape(len(rows), len(places), 2)
    return LabelMatrix(cells[..., 0], cells[..., 1], tuple(columns[place] for place in places))
