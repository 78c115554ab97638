"""What a format can say, and what is lost where labels go through one that says less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.data.annotations import Annotations, raise_all
from tagweave.data.labels import LabelMatrix

Reader = Callable[[Path], Annotations]
Writer = Callable[[Path, Annotations], tuple[str, ...]]
"""Writes a file or folder and returns notes."""


@dataclass(frozen=True)
class Reach:
    """Say which facts a format has words for.

    Attributes:
        partial: single cells may be unknown.
        unlabelled: an image may be listed of which nothing is known.
        none: an image may be known to have none of the labels.
        unused: a label may be named that no image has.
        splits: images may have a split.
    """

    partial: bool
    unlabelled: bool
    none: bool
    unused: bool
    splits: bool


@dataclass(frozen=True)
class Format:
    """Hold how a format is read and written, what it can say, and what a label that it does not give means."""

    read: Reader
    write: Writer
    reach: Reach
    absent: str


def keep_sayable(annotations: Annotations, reach: Reach) -> tuple[Annotations, tuple[str, ...]]:
    """Return what a format can say of the annotations, and notes of what it cannot.

    What cannot be said becomes unknown, never negative.
    """
    notes: list[str] = []
    labels = annotations.labels
    if not reach.partial:
        rows = labels.labelled & ~labels.known.all(axis=1)
        labels = _hidden(labels, rows, "known in part only", notes)
    if not reach.none:
        rows = labels.labelled & ~labels.values.any(axis=1)
        labels = _hidden(labels, rows, "known to have none of the labels", notes)
    if not reach.unused:
        labels = _without_unused(labels, reach.partial, notes)
    kept = replace(annotations, labels=labels)
    if not reach.unlabelled:
        kept = _without_unlabelled(kept, notes)
    if not reach.splits:
        kept = _without_splits(kept, notes)
    return kept, tuple(notes)


def _hidden(labels: LabelMatrix, rows: NDArray[np.bool_], what: str, notes: list[str]) -> LabelMatrix:
    if rows.any():
        cells = int(labels.known[rows].sum())
        notes.append(f"images {what}: {int(rows.sum()):,}, written as unlabelled; {cells:,} known cells are lost")
    return labels.hide(rows)


def _without_unused(labels: LabelMatrix, partial: bool, notes: list[str]) -> LabelMatrix:
    used = labels.known.any(axis=0) if partial else labels.values.any(axis=0)
    if not used.all():
        names = [labels.names[place] for place in np.flatnonzero(~used)]
        more = ", ..." if len(names) > 5 else ""
        notes.append(f"labels that no image has: {len(names):,}, not named ({', '.join(names[:5])}{more})")
    kept = tuple(labels.names[place] for place in np.flatnonzero(used))
    return LabelMatrix(labels.values[:, used], labels.known[:, used], kept)


def _without_unlabelled(annotations: Annotations, notes: list[str]) -> Annotations:
    rows = np.flatnonzero(annotations.labels.labelled)
    lost = len(annotations) - len(rows)
    if lost:
        notes.append(f"images without labels: {lost:,}, not listed")
    return replace(
        annotations,
        labels=annotations.labels.take(rows),
        images=tuple(annotations.images[row] for row in rows),
        splits=tuple(annotations.splits[row] for row in rows),
        lines=tuple(annotations.lines[row] for row in rows),
    )


def _without_splits(annotations: Annotations, notes: list[str]) -> Annotations:
    given = sum(split != "" for split in annotations.splits)
    if given:
        notes.append(f"images with a split: {given:,}, written without")
    return replace(annotations, splits=("",) * len(annotations))


def refuse(what: str, words: tuple[str, ...], pattern: Callable[[str], object], fault: str) -> None:
    """Refuse to write words that a format cannot hold.

    Raises:
        InputError: ``pattern`` is true of a word; all such words are named.
    """
    raise_all([f"{what} '{word}' {fault}" for word in words if pattern(word)])
