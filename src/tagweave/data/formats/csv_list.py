"""The list form: a row per image, its labels joined by semicolons."""

from __future__ import annotations

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

SEPARATOR = ";"


def read_csv_list(path: Path) -> Annotations:
    """Read ``image,labels[,split]``: every listed image is fully labelled, an empty list is a true "none".

    Label names are sorted.

    Raises:
        InputError: all that is wrong with the file, with line numbers.
    """
    table = read_table(path)
    image, labels = _columns(table)
    problems = [*table.problems, *field_problems(table)]
    rows = [row for row in table.rows if len(row.fields) == len(table.header.fields)]
    images, image_problems = read_images(rows, image)
    splits, split_problems = read_splits(rows, table.column("split"))
    lists = [_split_labels(row.fields[labels]) for row in rows]
    problems += [*image_problems, *split_problems, *_label_problems(rows, lists)]
    raise_problems(table.source, problems)
    lines = tuple(row.line for row in rows)
    return Annotations(_matrix(lists), images, splits, lines, table.source, notes=_repetitions(rows, lists))


def _columns(table: Table) -> tuple[int, int]:
    names = sorted(name.lower() for name in table.header.fields)
    image, labels = table.column("image"), table.column("labels")
    if image is None or labels is None or names not in (["image", "labels"], ["image", "labels", "split"]):
        raise InputError(
            f"{table.source} line {table.header.line}: expected the header image,labels or image,labels,split "
            f"(or image and one column per label with 1, 0 or blank), but got '{','.join(table.header.fields)}'; "
            "write it as the first line"
        )
    return image, labels


def _split_labels(text: str) -> list[str]:
    return [label_name(part) for part in text.split(SEPARATOR) if part.strip()]


def _label_problems(rows: list[Row], lists: list[list[str]]) -> list[Problem]:
    return spelling_problems([(name, row.line) for row, names in zip(rows, lists, strict=True) for name in names])


def _repetitions(rows: list[Row], lists: list[list[str]]) -> tuple[str, ...]:
    """Say where a row names a label twice: it counts once, and the person may have meant another label."""
    return tuple(
        f"line {row.line}: label '{name}' is given {names.count(name)} times and counts once"
        for row, names in zip(rows, lists, strict=True)
        for name in sorted(set(names))
        if names.count(name) > 1
    )


def _matrix(lists: list[list[str]]) -> LabelMatrix:
    names = tuple(sorted({name for labels in lists for name in labels}))
    column = {name: place for place, name in enumerate(names)}
    values = np.zeros((len(lists), len(names)), dtype=bool)
    for row, labels in enumerate(lists):
        values[row, [column[name] for name in labels]] = True
    return LabelMatrix(values, np.ones_like(values), names)
