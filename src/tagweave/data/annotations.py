"""What a label file says of its images, and the checks that every text form shares."""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import SPLITS
from tagweave.errors import InputError

SHOWN_PROBLEMS = 50

Problem = tuple[int, str]
"""A line number and what is wrong there."""


@dataclass(frozen=True)
class Annotations:
    """Hold the rows of a label file, in its order.

    Attributes:
        labels: one row per listed image.
        images: the images' relative paths as written, with forward slashes.
        splits: ``train``, ``val``, ``test``, or ``''`` where not given.
        lines: line numbers, for messages.
        source: the file's name, for messages.
        image_folder: where the format says the images are; None where it does not say.
        notes: what was read in spite of a doubt.
    """

    labels: LabelMatrix
    images: tuple[str, ...]
    splits: tuple[str, ...]
    lines: tuple[int, ...]
    source: str
    image_folder: Path | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Row:
    """Hold one row of a table: its line number and its stripped fields."""

    line: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Hold a comma-separated file: header, rows that are not blank, and what was wrong with the text."""

    source: str
    header: Row
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]

    def column(self, name: str) -> int | None:
        """Return the place of a column whose header is ``name`` in any case, or None."""
        names = [text.lower() for text in self.header.fields]
        return names.index(name) if name in names else None


def raise_all(problems: Sequence[str]) -> None:
    """Raise the first problems in full and the others as a number; none is fine.

    Raises:
        InputError: there is a problem.
    """
    shown = list(problems[:SHOWN_PROBLEMS])
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"... and {len(problems) - SHOWN_PROBLEMS} more problems")
    if shown:
        raise InputError(shown)


def raise_problems(source: str, problems: Iterable[Problem]) -> None:
    """Raise the problems of one file together, in the order of its lines; none is fine.

    Raises:
        InputError: there is a problem.
    """
    raise_all([f"{source} line {line}: {text}" for line, text in sorted(problems)])


def read_table(path: Path) -> Table:
    """Read a comma-separated UTF-8 file; a byte order mark, blank rows and spaces around fields are tolerated.

    Raises:
        InputError: the file cannot be read, is empty, is UTF-16, or its columns are not separated by commas.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"Expected a label file at {path}, but it could not be read: {error.strerror}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path.name} line 1: expected UTF-8 text, but got UTF-16; {_SAVE_UTF8}")
    rows, problems = _parse(content.decode("utf-8-sig", errors="replace"))
    if not rows:
        raise_problems(path.name, problems)
        raise InputError(f"{path.name}: expected a header and rows, but the file is empty.")
    _check_delimiter(path.name, rows[0])
    return Table(path.name, rows[0], tuple(rows[1:]), (*_encoding_problems(content), *problems))


_SAVE_UTF8 = "save the file as UTF-8 (in spreadsheets: 'CSV UTF-8')"


def _parse(text: str) -> tuple[list[Row], list[Problem]]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    rows: list[Row] = []
    problems: list[Problem] = []
    line = 1
    try:
        for fields in reader:
            stripped = tuple(field.strip() for field in fields)
            # No path and no label holds a line end: a quote was opened and swallowed what follows.
            if any("\n" in field or "\r" in field for field in fields):
                problems.append((line, "a quote is opened and not closed on the same line; close or remove it"))
            elif any(stripped):
                rows.append(Row(line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append((line, f"a quote is opened and not closed ({error}); the rest was not read"))
    return rows, problems


def _encoding_problems(content: bytes) -> list[Problem]:
    problems: list[Problem] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = line[error.start]
            problems.append((number, f"expected UTF-8 text, but got the byte 0x{byte:02x}; {_SAVE_UTF8}"))
    return problems


def _check_delimiter(source: str, header: Row) -> None:
    names = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    found = next((name for sign, name in names.items() if sign in header.fields[0]), None)
    if found and len(header.fields) == 1:
        raise InputError(
            f"{source} line {header.line}: expected commas between columns, but got {found} in "
            f"'{header.fields[0]}'; save the file with commas (';' only joins the labels of one image)"
        )


def field_problems(table: Table) -> list[Problem]:
    """Name the rows whose number of fields is not the header's."""
    wanted = len(table.header.fields)
    return [
        (
            row.line,
            f"expected {wanted} fields ({_shorten(table.header.fields)}), but got {len(row.fields)}; "
            "join labels with ';' and quote a field that holds a comma",
        )
        for row in table.rows
        if len(row.fields) != wanted
    ]


def _shorten(names: Sequence[str]) -> str:
    return ",".join(names) if len(names) <= 4 else ",".join((*names[:3], "...", names[-1]))


def read_images(rows: Sequence[Row], column: int) -> tuple[tuple[str, ...], list[Problem]]:
    """Return the rows' image paths with forward slashes, and what is wrong with them.

    A path is wrong where it is missing, leaves the image folder, or was listed before.
    """
    images = tuple(_relative(row.fields[column]) for row in rows)
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for row, image in zip(rows, images, strict=True):
        fault = _path_fault(row.fields[column], image)
        key = unicodedata.normalize("NFC", image)
        if fault:
            problems.append((row.line, fault))
        elif key in first:
            problems.append((row.line, f"image '{image}' is listed again, first on line {first[key]}; keep one row"))
        else:
            first[key] = row.line
    return images, problems


def _relative(text: str) -> str:
    return posixpath.normpath(text.replace("\\", "/")) if text else ""


def _path_fault(text: str, image: str) -> str | None:
    if image in ("", "."):
        return f"expected an image's path, but got '{text}'"
    if image.startswith("/") or re.match(r"[A-Za-z]:", image) or image.split("/")[0] == "..":
        return f"expected a path inside the image folder, but got '{text}'; write it relative to that folder"
    return None


def read_splits(rows: Sequence[Row], column: int | None) -> tuple[tuple[str, ...], list[Problem]]:
    """Return the rows' splits, ``''`` where not given, and the values that are none."""
    splits = tuple(row.fields[column].lower() if column is not None else "" for row in rows)
    problems = [
        (
            row.line,
            f"expected a split of {', '.join(SPLITS)} or nothing, but got '{split}'{did_you_mean(split, SPLITS)}",
        )
        for row, split in zip(rows, splits, strict=True)
        if split not in ("", *SPLITS)
    ]
    return splits, problems


def spelling_problems(names: Iterable[tuple[str, int]]) -> list[Problem]:
    """Name the label spellings that differ from a more frequent one only by case or spaces.

    Args:
        names: each use of a label name and its line.
    """
    uses: Counter[str] = Counter()
    first: dict[str, int] = {}
    for name, line in names:
        uses[name] += 1
        first.setdefault(name, line)
    usual: dict[str, str] = {}
    for name, _ in uses.most_common():
        usual.setdefault(_plain(name), name)
    return [
        (first[name], f"label '{name}' differs only by case or spaces from '{other}'; did you mean '{other}'?")
        for name in uses
        if (other := usual[_plain(name)]) != name
    ]


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def label_name(text: str) -> str:
    """Return a label's name in the one form that is compared: stripped, composed Unicode."""
    return unicodedata.normalize("NFC", text.strip())


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return '; did you mean ...?' with the closest choice, or '' when none is close."""
    close = get_close_matches(word, list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
