"""JSON files of any size, one record at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tagweave.errors import InputError

MAX_RECORD = 1 << 26  # characters; what a file of hostile nesting or an unclosed quote may make us hold
_CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_AFTER_VALUE = frozenset(" \t\r\n,]}:")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Member:
    """Hold one record of a JSON file.

    Attributes:
        container: the key of the top-level object under which it stands; ``''`` in a file that is one array.
        number: its place there, from 1; 0 announces the container itself, before its first record.
        value: the record; of an announced container None, of a plain value under a top-level key that value.
    """

    container: str
    number: int
    value: Any


def stream_members(path: Path) -> Iterator[Member]:
    """Yield the elements of a file's arrays: of the one array it is, or of those under its top-level keys.

    Values that are not arrays come whole. Memory is bounded by the largest record, whatever the file's size.

    Raises:
        InputError: the file cannot be read, is not JSON, or a record is longer than ``MAX_RECORD``; with its line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _top(_Scanner(path.name, file))
    except OSError as error:
        raise InputError(f"Expected a JSON file at {path}, but it could not be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name}: expected UTF-8 text, but got {error.reason}; save the file as UTF-8."
        ) from error


def write_document(path: Path, parts: Mapping[str, Any]) -> None:
    """Write an object whose values are written whole, or, where they are iterators, as arrays, element by element."""
    with path.open("w", encoding="utf-8") as file:
        for place, (key, value) in enumerate(parts.items()):
            file.write(("{" if place == 0 else ",\n") + json.dumps(key) + ": ")
            if isinstance(value, Iterator):
                _write_array(file, value)
            else:
                file.write(json.dumps(value, ensure_ascii=False, allow_nan=False))
        file.write("}\n")


def write_array(path: Path, elements: Iterable[Any]) -> None:
    """Write an array, element by element."""
    with path.open("w", encoding="utf-8") as file:
        _write_array(file, elements)
        file.write("\n")


def _write_array(file: TextIO, elements: Iterable[Any]) -> None:
    file.write("[")
    for place, element in enumerate(elements):
        file.write(",\n" if place else "\n")
        file.write(json.dumps(element, ensure_ascii=False, allow_nan=False))
    file.write("\n]")


def _top(scanner: _Scanner) -> Iterator[Member]:
    opening = scanner.next_sign()
    if opening == "[":
        yield from _array("", scanner)
    elif opening == "{":
        yield from _object(scanner)
    else:
        raise scanner.wrong("expected '{' or '['")
    if scanner.next_sign():
        raise scanner.wrong("expected the end of the file")


def _object(scanner: _Scanner) -> Iterator[Member]:
    scanner.take("{")
    while not scanner.accept("}"):
        if scanner.next_sign() != '"':
            raise scanner.wrong("expected a key in quotes")
        key = str(scanner.value())
        scanner.take(":")
        if scanner.next_sign() == "[":
            yield from _array(key, scanner)
        else:
            yield Member(key, 0, scanner.value())
        _separate(scanner, "}")


def _array(container: str, scanner: _Scanner) -> Iterator[Member]:
    yield Member(container, 0, None)
    scanner.take("[")
    number = 0
    while not scanner.accept("]"):
        number += 1
        yield Member(container, number, scanner.value())
        _separate(scanner, "]")


def _separate(scanner: _Scanner, closing: str) -> None:
    if scanner.next_sign() != closing:
        scanner.take(",")
        if scanner.next_sign() == closing:
            raise scanner.wrong("expected a value after ','")


class _Scanner:
    """Read a text piece by piece: ``text[at:]`` is what was read and not yet used, ``line`` the line of ``at``."""

    def __init__(self, source: str, file: TextIO) -> None:
        self.source, self.file = source, file
        self.text, self.at, self.line = "", 0, 1

    def next_sign(self) -> str:
        """Return the next character that is not space, without using it; ``''`` at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more(_CHUNK):
                return ""

    def accept(self, sign: str) -> bool:
        found = self.next_sign() == sign
        self.at += found
        return found

    def take(self, sign: str) -> None:
        if not self.accept(sign):
            raise self.wrong(f"expected '{sign}'")

    def value(self) -> Any:
        """Decode one value whole; read on while it may go on beyond what was read."""
        size = _CHUNK
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                fault: Exception | None = error
            else:
                fault = None
                # A number at the end of what was read may go on: 1 | 2, or 1. | 5.
                if end < len(self.text) and self.text[end] in _AFTER_VALUE:
                    self.at = end
                    return value
            if len(self.text) - self.at > MAX_RECORD:
                raise self.wrong(f"expected JSON records of at most {MAX_RECORD:,} characters")
            if isinstance(fault, RecursionError) or not self._more(size):
                raise self.wrong(_reason(fault)) from fault
            size *= 2  # each try decodes from the value's start, so fixed steps would be quadratic

    def wrong(self, text: str) -> InputError:
        self.line += self.text.count("\n", 0, self.at)
        rest = self.text[self.at : self.at + 20].split("\n")[0]
        got = f"but got '{rest}'" if rest else "but the file ends"
        return InputError(f"{self.source} line {self.line}: {text}, {got}; the file is damaged or not JSON")

    def _more(self, size: int) -> bool:
        self.line += self.text.count("\n", 0, self.at)
        piece = self.file.read(size)
        self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)


def _reason(fault: Exception | None) -> str:
    if isinstance(fault, RecursionError):
        return "expected values nested less deeply"
    return f"expected a whole JSON value ({fault})" if fault else "expected ',' or a closing bracket after a value"
