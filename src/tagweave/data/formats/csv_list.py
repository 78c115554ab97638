"""The list form: a row per image, its labels joined by semicolons."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.csv_table import Table, read_table, refuse_unfit, write_table
from tagweave.data.formats.gathering import Gathering
from tagweave.data.formats.reach import refuse
from tagweave.errors import InputError

SEPARATOR = ";"


def read_csv_list(path: Path) -> Annotations:
    """Read ``image,labels[,split]``: every listed image is fully labelled, an empty list is a true "none".

    Raises:
        InputError: the header is another; problems of rows are in the result.
    """
    gathering = Gathering(path.name)
    table = read_table(path, gathering.wrong)
    image, labels = _columns(table)
    split = table.column("split")
    for row in table.rows:
        part = gathering.split(row.fields[split], row.line) if split is not None else ""
        place = gathering.add(row.fields[image], row.line, part)
        gathering.listed(place, row.fields[labels].split(SEPARATOR), row.line)
    return gathering.finish()


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


def write_csv_list(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write what ``read_csv_list`` reads, from images that are fully labelled.

    Raises:
        InputError: a name that the form cannot hold.
    """
    names = annotations.labels.names
    refuse("label", names, lambda name: SEPARATOR in name, "holds ';', which joins labels; write csv-onehot instead")
    refuse_unfit(annotations)
    lists = (SEPARATOR.join(names[c] for c in np.flatnonzero(row)) for row in annotations.labels.values)
    write_table(path, ("image", "labels", "split"), zip(annotations.images, lists, annotations.splits, strict=True))
    return ()
