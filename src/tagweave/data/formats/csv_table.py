"""Comma-separated files, read row by row in bounded memory, and written."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagweave.data.annotations import Annotations, Problem, in_order, raise_all
from tagweave.data.formats.reach import refuse
from tagweave.errors import InputError

_SAVE_UTF8 = "save the file as UTF-8 (in spreadsheets: 'CSV UTF-8')"
_STRAY = re.compile("[\udc80-\udcff]")  # what 'surrogateescape' makes of bytes that are not UTF-8

Wrong = Callable[[int, str], None]
"""Takes a line number and what is wrong there."""


@dataclass(frozen=True)
class Row:
    """Hold one row of a table: its line number and its stripped fields."""

    line: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Hold a comma-separated file: its header, and its rows that are not blank, to be read once."""

    source: str
    header: Row
    rows: Generator[Row]

    def column(self, name: str) -> int | None:
        """Return the place of a column whose header is ``name`` in any case, or None."""
        names = [text.lower() for text in self.header.fields]
        return names.index(name) if name in names else None


def read_table(path: Path, wrong: Wrong) -> Table:
    """Open a comma-separated UTF-8 file; a byte order mark, blank rows and spaces around fields are tolerated.

    Args:
        path: the file.
        wrong: told, while the rows are read, of text that is not UTF-8, open quotes, and rows whose number of fields
            is not the header's; the last are left out.

    Raises:
        InputError: the file cannot be read, is empty, is UTF-16, or its columns are not separated by commas.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InputError(f"Expected a label file at {path}, but it could not be read: {error.strerror}.") from error
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path.name} line 1: expected UTF-8 text, but got UTF-16; {_SAVE_UTF8}")
    told: list[Problem] = []

    def tell(line: int, text: str) -> None:
        told.append((line, text))
        wrong(line, text)

    rows = _rows(path, tell)
    header = next(rows, None)
    if header is None:
        raise_all(in_order(path.name, told))
        raise InputError(f"{path.name}: expected a header and rows, but the file is empty.")
    _check_delimiter(path.name, header)
    return Table(path.name, header, _of_length(rows, header.fields, wrong))


def read_header(path: Path) -> tuple[str, ...]:
    """Return the header's fields, in lower case.

    Raises:
        InputError: as ``read_table``.
    """
    table = read_table(path, lambda line, text: None)
    table.rows.close()
    return tuple(field.lower() for field in table.header.fields)


def _rows(path: Path, wrong: Wrong) -> Generator[Row]:
    # Bytes that are not UTF-8 come as lone surrogates, so that their line can be told.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _parsed(csv.reader(_checked(file, wrong), skipinitialspace=True), wrong)


def _parsed(reader: Any, wrong: Wrong) -> Iterator[Row]:
    line = 1
    try:
        for fields in reader:
            stripped = tuple(field.strip() for field in fields)
            # No path and no label holds a line end: a quote was opened and swallowed what follows.
            if any("\n" in field or "\r" in field for field in fields):
                wrong(line, "a quote is opened and not closed on the same line; close or remove it")
            elif any(stripped):
                yield Row(line, stripped)
            line = reader.line_num + 1
    except csv.Error as error:
        wrong(line, f"a quote is opened and not closed ({error}); the rest was not read")


def _checked(lines: Iterable[str], wrong: Wrong) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        stray = None if line.isascii() else _STRAY.search(line)
        if stray is None:
            yield line
        else:
            wrong(number, f"expected UTF-8 text, but got the byte 0x{ord(stray[0]) - 0xDC00:02x}; {_SAVE_UTF8}")
            yield _STRAY.sub("\ufffd", line)


def _of_length(rows: Iterable[Row], header: Sequence[str], wrong: Wrong) -> Generator[Row]:
    for row in rows:
        if len(row.fields) == len(header):
            yield row
        else:
            wrong(
                row.line,
                f"expected {len(header)} fields ({_shorten(header)}), but got {len(row.fields)}; "
                "join labels with ';' and quote a field that holds a comma",
            )


def _shorten(names: Sequence[str]) -> str:
    return ",".join(names) if len(names) <= 4 else ",".join((*names[:3], "...", names[-1]))


def _check_delimiter(source: str, header: Row) -> None:
    names = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    found = next((name for sign, name in names.items() if sign in header.fields[0]), None)
    if found and len(header.fields) == 1:
        raise InputError(
            f"{source} line {header.line}: expected commas between columns, but got {found} in "
            f"'{header.fields[0]}'; save the file with commas (';' only joins the labels of one image)"
        )


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a comma-separated UTF-8 file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def refuse_unfit(annotations: Annotations) -> None:
    """Refuse names that ``read_table`` would not give back: line ends in them, and spaces around them.

    Raises:
        InputError: such names, all of them.
    """
    fault = "has a line end in it or spaces around it, which CSV forms do not keep; rename it"
    refuse("label", annotations.labels.names, _unfit, fault)
    refuse("image", annotations.images, _unfit, fault)


def _unfit(name: str) -> bool:
    return name != name.strip() or "\n" in name or "\r" in name
