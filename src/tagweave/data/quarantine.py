"""The quarantine file: what is not used, and why."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from tagweave.data.manifest import Quarantined
from tagweave.errors import InputError

_HEADER = ["path", "reason"]


def write_quarantine(path: Path, rows: Iterable[Quarantined]) -> None:
    """Write rows as CSV (path, reason) in UTF-8; the file appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows((row.path, row.reason) for row in rows)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_quarantine(path: Path) -> tuple[Quarantined, ...]:
    """Read what ``write_quarantine`` wrote.

    Raises:
        InputError: the file has another header.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    if rows[:1] != [_HEADER]:
        raise InputError(f"{path}: expected the header path,reason, but got '{','.join(rows[0]) if rows else ''}'.")
    return tuple(Quarantined(name, reason) for name, reason in rows[1:])
