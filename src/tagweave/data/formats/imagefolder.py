"""Hugging Face's ImageFolder: metadata.jsonl, metadata.csv or metadata.parquet beside the images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.csv_table import read_table
from tagweave.data.formats.gathering import SPLIT_WORDS, Gathering
from tagweave.data.formats.parquet import open_parquet, records
from tagweave.errors import InputError

NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")

Records = Iterator[tuple[int, dict[str, Any]]]


def read_imagefolder(path: Path) -> Annotations:
    """Read ``file_name`` and ``labels`` (or one ``label``) of a metadata file, or of a folder that holds some.

    A listed image is fully labelled, an empty list is a true "none", null or no ``labels`` an unlabelled image. In CSV
    labels are joined by ``;`` and a blank field is an empty list. Sub-folders named ``train``, ``validation`` and
    ``test`` give the splits, as does a ``split`` field.

    Raises:
        InputError: no metadata file, or none of these fields; problems of records are in the result.
    """
    gathering = Gathering(path.name, "record")
    for file, prefix, split in _metadata_files(path):
        gathering.file = f"{prefix}{file.name}" if path.is_dir() else path.name
        for number, record in _records(file, gathering.wrong):
            _read_record(record, number, prefix, split, gathering)
    return gathering.finish(image_folder=path if path.is_dir() else None)


def _metadata_files(path: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield metadata files, the folder their names are relative to, and its split."""
    if not path.is_dir():
        yield path, "", ""
        return
    folders = [(path, "", "")]
    folders += [
        (part, f"{part.name}/", SPLIT_WORDS[part.name]) for part in sorted(path.iterdir()) if part.name in SPLIT_WORDS
    ]
    found = [
        (folder / name, prefix, split)
        for folder, prefix, split in folders
        for name in NAMES
        if (folder / name).is_file()
    ]
    if not found:
        raise InputError(f"Expected {', '.join(NAMES)} in {path} or its train, validation and test: none found.")
    yield from found


def holds_metadata(folder: Path) -> bool:
    """Say whether a folder looks like an ImageFolder with metadata."""
    return any((folder / part / name).is_file() for part in ("", *SPLIT_WORDS) for name in NAMES)


def _records(path: Path, wrong: Callable[[int, str], None]) -> Records:
    if path.suffix == ".parquet":
        return records(open_parquet(path))
    return _csv_records(path, wrong) if path.suffix == ".csv" else _json_lines(path, wrong)


def _csv_records(path: Path, wrong: Callable[[int, str], None]) -> Records:
    table = read_table(path, wrong)
    for row in table.rows:
        record: dict[str, Any] = dict(zip(table.header.fields, row.fields, strict=True))
        if "labels" in record:
            record["labels"] = [part for part in record["labels"].split(";") if part.strip()]
        yield row.line, record


def _json_lines(path: Path, wrong: Callable[[int, str], None]) -> Records:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                wrong(number, f"expected a JSON object on the line, but got {line[:40]!r} ({error})")
                continue
            yield number, record


def _read_record(record: Any, number: int, prefix: str, split: str, gathering: Gathering) -> None:
    name = record.get("file_name") if isinstance(record, dict) else None
    if not isinstance(name, str):
        gathering.wrong(number, f"expected an object with file_name, but got {str(record)[:60]}")
        return
    word = str(record.get("split") or split)
    part = gathering.split(SPLIT_WORDS.get(word, word), number)
    row = gathering.add(prefix + name if name else name, number, part)
    labels = record.get("labels", record.get("label"))
    if isinstance(labels, str):
        labels = [labels]
    if labels is None:
        return
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        gathering.wrong(number, f"expected labels as a list of names, but got {str(labels)[:60]}")
        return
    gathering.listed(row, labels, number)


def write_imagefolder(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write ``metadata.jsonl``: file_name, labels (null where unlabelled), split."""
    names, labelled = annotations.labels.names, annotations.labels.labelled
    with path.open("w", encoding="utf-8") as file:
        for row, (image, split) in enumerate(zip(annotations.images, annotations.splits, strict=True)):
            present = [names[c] for c in np.flatnonzero(annotations.labels.values[row])]
            labels = present if labelled[row] else None
            record = {"file_name": image, "labels": labels, "split": split or None}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return ()
