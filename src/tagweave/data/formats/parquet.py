"""Parquet tables of labels: a row per cell, or a row per image with a list or with a column per label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagweave.data.annotations import Annotations
from tagweave.data.formats.gathering import NO_ROW, Gathering
from tagweave.errors import InputError

_BATCH = 1 << 16
_ROWS_AT_ONCE = 4096  # images per row group that is written
_ROW_COLUMNS = ("image", "split")


def read_parquet(path: Path) -> Annotations:
    """Read one of three tables, told apart by their columns.

    ``image, label, value[, known][, split]``: a cell is known where ``value`` is not null and ``known``, where there
    is such a column, is true; so a run's ``labels.parquet`` gives what people said, not what was propagated.
    ``image, labels[, split]``: a listed image is fully labelled; a null list is an unlabelled image.
    ``image, LABEL, LABEL, ...[, split]``: cells true or 1, false or 0, null for unknown.

    Raises:
        InputError: not Parquet, or other columns; problems of rows are in the result.
    """
    file = open_parquet(path)
    columns = set(file.schema_arrow.names)
    gathering = Gathering(path.name, "row")
    if {"image", "label", "value"} <= columns:
        _read_cells(file, gathering)
    elif {"image", "labels"} <= columns:
        for number, record in records(file):
            _read_list(record, number, gathering)
    elif "image" in columns and columns - set(_ROW_COLUMNS) and "probability" not in columns:
        _read_wide(file, gathering)
    else:
        raise InputError(
            f"{path.name}: expected the columns image, label, value (or image, labels; or image and one per label), "
            f"but got {', '.join(file.schema_arrow.names)}"
        )
    return gathering.finish()


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"Expected a Parquet file at {path}, but it could not be read: {error}.") from error


def records(file: pq.ParquetFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row numbers, from 1, and rows."""
    number = 0
    for batch in file.iter_batches(_BATCH):
        for record in batch.to_pylist():
            number += 1
            yield number, record


def _read_cells(file: pq.ParquetFile, gathering: Gathering) -> None:
    wanted = [name for name in ("image", "label", "value", "known", "split") if name in file.schema_arrow.names]
    start = propagated = 0
    for batch in file.iter_batches(_BATCH, columns=wanted):
        images, labels = (batch.column(name).to_pylist() for name in ("image", "label"))
        splits = batch.column("split").to_pylist() if "split" in wanted else None
        values = batch.column("value").to_pylist()
        known = batch.column("known").to_pylist() if "known" in wanted else values
        for place, (image, label, value, sure) in enumerate(zip(images, labels, values, known, strict=True)):
            number = start + place + 1
            split = gathering.split(splits[place] or "", number) if splits else ""
            row = gathering.find(image or "", number, split)
            column = gathering.label(label, number) if label else _no_label(number, gathering)
            decided = value is not None
            if decided and (sure or known is values) and column != NO_ROW:
                gathering.say(row, column, bool(value))
            propagated += decided and known is not values and not sure
        start += len(images)
    if propagated:
        gathering.notes.append(f"values that are not known but propagated: {propagated:,}, read as unknown")


def _no_label(number: int, gathering: Gathering) -> int:
    gathering.wrong(number, "expected a label, but got none")
    return NO_ROW


def _read_list(record: dict[str, Any], number: int, gathering: Gathering) -> None:
    row = gathering.add(record["image"] or "", number, gathering.split(record.get("split") or "", number))
    labels = record["labels"]
    if labels is not None:
        gathering.listed(row, labels.split(";") if isinstance(labels, str) else labels, number)


def _read_wide(file: pq.ParquetFile, gathering: Gathering) -> None:
    names = [name for name in file.schema_arrow.names if name not in _ROW_COLUMNS]
    columns = {name: gathering.label(name, 1) for name in names}
    for number, record in records(file):
        row = gathering.add(record["image"] or "", number, gathering.split(record.get("split") or "", number))
        for name, column in columns.items():
            value = record[name]
            if value in (0, 1):
                gathering.say(row, column, bool(value))
            elif value is not None:
                gathering.wrong(number, f"column '{name}': expected 1, 0 or null for unknown, but got '{value}'")


def write_parquet(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write every cell as a row: image, label, value (null where unknown), split."""
    labels = annotations.labels
    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("image", text), ("label", text), ("value", pa.bool_()), ("split", pa.string())])
    if not labels.names and len(annotations):
        raise InputError("Expected labels to write as rows, but there is none.")
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(annotations), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            images, count = annotations.images[part], len(labels.names)
            rows = np.repeat(np.arange(len(images), dtype=np.int32), count)
            columns = np.tile(np.arange(count, dtype=np.int32), len(images))
            table = {
                "image": pa.DictionaryArray.from_arrays(rows, pa.array(images, pa.string())),
                "label": pa.DictionaryArray.from_arrays(columns, pa.array(labels.names, pa.string())),
                "value": pa.array(labels.values[part].ravel(), mask=~labels.known[part].ravel()),
                "split": pa.array(np.array(annotations.splits[part])[rows], pa.string()),
            }
            writer.write_table(pa.table(table, schema=schema))
    return ()
