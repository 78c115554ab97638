"""Gather what a label file says, image by image and cell by cell, with all that is wrong with it."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagweave.data.annotations import Annotations, did_you_mean, image_path, label_name, respelt
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import SPLITS

SPLIT_WORDS = {
    **{split: split for split in SPLITS}, "validation": "val", "valid": "val", "dev": "val", "training": "train",
    "testing": "test",
}  # fmt: skip
"""What tools call a split -> its name here."""

NO_ROW = -1


@dataclass
class Gathering:
    """Take up images, labels and problems in the order in which a reader meets them; ``finish`` makes the matrix.

    A cell takes nine bytes, whatever the record around it held.

    Attributes:
        source: the file or folder, for messages.
        unit: what numbers count: ``line``, ``record``, ...
        file: the file being read, where a source has several.
    """

    source: str
    unit: str = "line"
    file: str = ""
    images: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _problems: list[tuple[str, str, int, str]] = field(default_factory=list)
    _row_of: dict[str, int] = field(default_factory=dict)
    _columns: dict[str, int] = field(default_factory=dict)
    _first_use: list[tuple[str, int]] = field(default_factory=list)
    _complete: set[int] = field(default_factory=set)
    _doubts: list[tuple[int, int]] = field(default_factory=list)
    _cell_rows: array[int] = field(default_factory=lambda: array("i"))
    _cell_columns: array[int] = field(default_factory=lambda: array("i"))
    _cell_values: bytearray = field(default_factory=bytearray)

    def wrong(self, number: int, text: str, unit: str | None = None) -> None:
        """Note a problem."""
        self._problems.append((self.file or self.source, unit or self.unit, number, text))

    def add(self, text: str, number: int, split: str = "") -> int:
        """Return the row of an image that must not have been listed before; ``NO_ROW`` where it is wrong."""
        before = len(self.images)
        row = self.find(text, number, split)
        if 0 <= row < before:
            first = self.numbers[row]
            self.wrong(
                number,
                f"image '{self.images[row]}' is listed again, first on {self.unit} {first}; keep one {self._one}",
            )
            return NO_ROW
        return row

    @property
    def _one(self) -> str:
        return "row" if self.unit == "line" else self.unit

    def find(self, text: str, number: int, split: str = "") -> int:
        """Return the row of an image, a new one at its first use; ``NO_ROW`` where its path is wrong."""
        # Files with a row per cell name an image again and again.
        known = self._row_of.get(text)
        if known is not None:
            return known
        image, fault = image_path(text)
        if fault:
            self.wrong(number, fault)
            return NO_ROW
        row = self._row_of.setdefault(unicodedata.normalize("NFC", image), len(self.images))
        self._row_of[text] = row
        if row == len(self.images):
            self.images.append(image)
            self.numbers.append(number)
            self.splits.append(split)
        return row

    def split(self, text: str, number: int) -> str:
        """Return the name of a split, ``''`` for none; another word is a problem."""
        word = text.lower()
        if word in ("", *SPLITS):
            return word
        suggestion = did_you_mean(word, SPLITS)
        self.wrong(number, f"expected a split of {', '.join(SPLITS)} or nothing, but got '{word}'{suggestion}")
        return ""

    def label(self, text: str, number: int) -> int:
        """Return the column of a label, a new one at its first use."""
        known = self._columns.get(text)
        if known is not None:
            return known
        column = self._columns.setdefault(label_name(text), len(self._columns))
        if column == len(self._first_use):
            self._first_use.append((self.file or self.source, number))
        return column

    def say(self, row: int, column: int, value: bool = True) -> None:
        """State one cell; cells of ``NO_ROW`` are passed over."""
        if row != NO_ROW:
            self._cell_rows.append(row)
            self._cell_columns.append(column)
            self._cell_values.append(value)

    def say_many(self, rows: ArrayLike, columns: ArrayLike, values: ArrayLike) -> None:
        """State cells given as three arrays of one length."""
        kept = np.asarray(rows) != NO_ROW
        self._cell_rows.frombytes(np.asarray(rows, dtype=np.int32)[kept].tobytes())
        self._cell_columns.frombytes(np.asarray(columns, dtype=np.int32)[kept].tobytes())
        self._cell_values.extend(np.asarray(values, dtype=np.uint8)[kept].tobytes())

    def complete(self, row: int) -> None:
        """State that an image is fully labelled: what is not said of it is absent."""
        if row != NO_ROW:
            self._complete.add(row)

    def doubt(self, row: int, column: int) -> None:
        """State that a cell is unknown, whatever is said of it and of its row."""
        if row != NO_ROW:
            self._doubts.append((row, column))

    def listed(self, row: int, labels: Iterable[str], number: int) -> None:
        """State a fully labelled image by the labels it has, and note a label that is given more than once."""
        columns = [self.label(text, number) for text in labels if text.strip()]
        for column in columns:
            self.say(row, column)
        self.complete(row)
        if len(set(columns)) < len(columns):
            names = list(self._columns)
            self.notes += [
                f"{self.unit} {number}: label '{name}' is given {count} times and counts once"
                for name, count in sorted((names[c], columns.count(c)) for c in set(columns))
                if count > 1
            ]

    def finish(self, image_folder: Path | None = None, typed: bool = True) -> Annotations:
        """Return the rows gathered, label names sorted.

        Args:
            image_folder: where the format says the images are.
            typed: whether people type the label names, so that two spellings of one name are likely.
        """
        names = sorted(self._columns)
        labels = self._matrix(names)
        if typed:
            self._check_spelling()
        order = {file: place for place, file in enumerate(dict.fromkeys(problem[0] for problem in self._problems))}
        problems = sorted(self._problems, key=lambda p: (order[p[0]], p[1] != self.unit, p[1], p[2], p[3]))
        return Annotations(
            labels=labels,
            images=tuple(self.images),
            splits=tuple(self.splits),
            lines=tuple(self.numbers),
            source=self.source,
            image_folder=image_folder,
            notes=tuple(self.notes),
            unit=self.unit,
            problems=tuple(f"{file} {unit} {number}: {text}" for file, unit, number, text in problems),
        )

    def _matrix(self, names: list[str]) -> LabelMatrix:
        place = np.zeros(len(names), dtype=np.int64)
        place[[self._columns[name] for name in names]] = np.arange(len(names))
        rows = np.frombuffer(self._cell_rows, dtype=np.int32)
        columns = place[np.frombuffer(self._cell_columns, dtype=np.int32)]
        stated = np.frombuffer(self._cell_values, dtype=np.bool_)
        values = np.zeros((len(self.images), len(names)), dtype=bool)
        known = np.zeros_like(values)
        values[rows[stated], columns[stated]] = True
        known[rows[~stated], columns[~stated]] = True
        self._check_clashes(values & known, names)
        known |= values
        known[sorted(self._complete)] = True
        for row, column in self._doubts:
            known[row, place[column]] = False
        return LabelMatrix(values, known, tuple(names))

    def _check_clashes(self, both: NDArray[np.bool_], names: list[str]) -> None:
        for row, column in np.argwhere(both).tolist():
            self.wrong(
                self.numbers[row],
                f"image '{self.images[row]}' has label '{names[column]}' both present and absent; keep one",
            )

    def _check_spelling(self) -> None:
        counts = np.bincount(np.frombuffer(self._cell_columns, dtype=np.int32), minlength=len(self._columns)).tolist()
        for name, usual in respelt(dict(zip(self._columns, counts, strict=True))).items():
            file, number = self._first_use[self._columns[name]]
            text = f"label '{name}' differs only by case or spaces from '{usual}'; did you mean '{usual}'?"
            self._problems.append((file, self.unit, number, text))
