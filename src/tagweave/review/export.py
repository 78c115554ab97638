"""Decisions as label files and label matrices, for the next fit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.config import parse_config, read_toml, to_toml
from tagweave.data.annotations import Annotations
from tagweave.data.collection import match_rows
from tagweave.data.formats import read_annotations
from tagweave.data.formats.csv_onehot import write_csv_onehot
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.review.events import EventLog
from tagweave.review.ledger import Ledger
from tagweave.runs import atomic
from tagweave.steps.stored import load_collection

KINDS = ("decisions", "all")
LOG_NAME = "review.sqlite"


def decided_rows(ledger: Ledger) -> NDArray[np.int64]:
    """Return the rows with a decision that stands, sorted."""
    parts = [ledger.decided_rows(key) for key in ledger.vocabulary.names]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))


def net_labels(ledger: Ledger, rows: NDArray[np.int64], decided_only: bool = False) -> LabelMatrix:
    """Return what is known of ``rows`` (n,) under the labels in use, sorted by name; unsure is unknown."""
    keys = sorted(ledger.vocabulary.names, key=lambda key: ledger.vocabulary.names[key])
    values, known = (np.zeros((len(rows), len(keys)), dtype=bool) for _ in range(2))
    for place, key in enumerate(keys):
        column = ledger.column(key, rows)
        values[:, place] = column.values
        known[:, place] = column.known & column.decided if decided_only else column.known
    return LabelMatrix(values, known, tuple(ledger.vocabulary.names[key] for key in keys))


def onehot_lines(manifest: Manifest, ledger: Ledger, kind: str, labelled: NDArray[np.int64]) -> Iterator[str]:
    """Yield the lines of a one-hot label file: 1, 0 and blank for unknown, paths relative to the image folder.

    Args:
        kind: ``decisions`` for what was decided in the review; ``all`` for that and the labels given before, with
            the images' splits, which can take the place of the label file.
        labelled: rows with given labels.

    Raises:
        InputError: another kind, or a label that such a file cannot name.
    """
    if kind not in KINDS:
        raise InputError(f"Expected an export of {' or '.join(KINDS)}, but got '{kind}'.")
    decided = decided_rows(ledger)
    rows = decided if kind == "decisions" else np.union1d(decided, labelled)
    labels = net_labels(ledger, rows, decided_only=kind == "decisions")
    _check_header(labels.names)
    splits = kind == "all"
    yield _line(["image", *labels.names, *(["split"] if splits else [])])
    for place in np.flatnonzero(labels.labelled):
        cells = np.where(labels.known[place], np.where(labels.values[place], "1", "0"), "").tolist()
        yield _line([manifest.paths[rows[place]], *cells, *([str(manifest.splits[rows[place]])] if splits else [])])


def _check_header(names: tuple[str, ...]) -> None:
    taken = [name for name in names if name.casefold() in ("image", "split", "label", "labels")]
    if taken or not names:
        raise InputError(
            f"Expected labels that can head a column, but got {', '.join(taken) or 'none'}: rename them in the review."
        )


def _line(fields: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(fields)
    return buffer.getvalue()


def write_labels(run: Path, path: Path, kind: str) -> int:
    """Write a run's reviewed labels as a one-hot file, see ``onehot_lines``; return the number of images.

    Raises:
        InputError: another suffix than ``.csv``, or the run was not reviewed.
    """
    if path.suffix != ".csv":
        raise InputError(f"Expected an output file ending in .csv, but got '{path}'.")
    manifest, labels = load_collection(run)
    ledger = _follow(run, manifest.paths, labels)
    lines = list(onehot_lines(manifest, ledger, kind, np.flatnonzero(labels.labelled)))
    with atomic(path) as partial:
        partial.write_text("".join(lines), encoding="utf-8")
    return len(lines) - 1


def next_labels(run: Path, labels: Path | None = None, format: str | None = None) -> tuple[Path, str]:
    """Write the label file for the next fit, ``review/labels.csv`` in the run folder.

    Returns:
        its path, and what was done in words.

    It holds the labels of the file ``labels``, or the run's own without one, with the review's decisions over them.

    Raises:
        InputError: the run was not reviewed, or the label file is not right.
    """
    path = run / "review" / "labels.csv"
    annotations = reviewed_labels(run) if labels is None else with_decisions(read_annotations(labels, format), run)
    with atomic(path) as partial:
        write_csv_onehot(partial, _by_image(annotations))
    return path, annotations.notes[-1]


def next_settings(run: Path) -> Path:
    """Write the settings for the next fit, ``review/config.toml``: those of the run.

    Its label budget is left out: it would hide decided labels, and what it hid before lacks in the next file anyway.
    """
    config = parse_config(read_toml(run / "config.toml"))
    path = run / "review" / "config.toml"
    with atomic(path) as partial:
        unlimited = config.data.model_copy(update={"label_budget": None})
        partial.write_text(to_toml(config.model_copy(update={"data": unlimited})), encoding="utf-8")
    return path


def last_event(run: Path) -> int:
    """Return the number of the last event in a run's review log."""
    log = EventLog(run / LOG_NAME)
    try:
        return max((event.number for event in log.since(0)), default=0)
    finally:
        log.close()


def _by_image(annotations: Annotations) -> Annotations:
    """Sort the rows by image: a fit in the run's place lists other rows first, and the file shall stay as it is."""
    order = sorted(range(len(annotations.images)), key=annotations.images.__getitem__)
    return replace(
        annotations,
        labels=annotations.labels.take(np.array(order, dtype=np.int64)),
        images=tuple(annotations.images[n] for n in order),
        splits=tuple(annotations.splits[n] for n in order),
        lines=tuple(annotations.lines[n] for n in order),
    )


def reviewed_labels(run: Path) -> Annotations:
    """Return the labels that a run was given with the review's decisions over them.

    Raises:
        InputError: the run was not reviewed.
    """
    manifest, labels = load_collection(run)
    rows = np.flatnonzero(labels.labelled)
    given = Annotations(
        labels.take(rows), tuple(manifest.paths[row] for row in rows), tuple(manifest.splits[rows].tolist()),
        tuple(range(1, len(rows) + 1)), str(run),
    )  # fmt: skip
    return with_decisions(given, run)


def with_decisions(annotations: Annotations, run: Path) -> Annotations:
    """Return the rows of a label file with the decisions of a run's review over them.

    A decision counts more than the file; a cell decided as unsure becomes unknown. Labels that were renamed or merged
    are so in the file's rows too. Decided images that the file does not list follow as rows of their own, blank where
    nothing was decided; they have the run's split where the file gives splits.

    Raises:
        InputError: the run was not reviewed, or two rows name one image.
    """
    (manifest, own), base = load_collection(run), annotations.labels
    names = (*base.names, *(name for name in own.names if name not in base.names))
    place = match_rows(replace(annotations, image_folder=manifest.root), manifest.paths, manifest.root)
    others = np.flatnonzero(place < 0)  # images that the run does not hold, such as those added since
    place[others] = len(manifest) + np.arange(len(others))
    paths = (*manifest.paths, *(annotations.images[row] for row in others))
    values, known = (np.zeros((len(paths), len(names)), dtype=bool) for _ in range(2))
    values[place, : len(base.names)], known[place, : len(base.names)] = base.values, base.known
    ledger = _follow(run, paths, LabelMatrix(values, known, names))
    joined = _joined(annotations, ledger, place, np.setdiff1d(decided_rows(ledger), place), manifest)
    return _without_empty(joined, base.names)


def _without_empty(annotations: Annotations, kept: tuple[str, ...]) -> Annotations:
    """Leave out labels of the run of which neither the file nor a decision says anything."""
    labels = annotations.labels
    use = labels.known.any(axis=0) | np.isin(labels.names, kept)
    names = tuple(name for name, used in zip(labels.names, use, strict=True) if used)
    return replace(annotations, labels=LabelMatrix(labels.values[:, use], labels.known[:, use], names))


def _follow(run: Path, paths: Sequence[str], labels: LabelMatrix) -> Ledger:
    """Return the ledger of a run's log over the given labels (N, C) of N images."""
    path = run / LOG_NAME
    if not path.is_file():
        raise InputError(f"Expected a review log at {path}, but there is none: run 'tagweave review {run}' first.")
    column = {name: place for place, name in enumerate(labels.names)}

    def given(key: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if key not in column:
            return np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        return labels.values[rows, column[key]], labels.known[rows, column[key]]

    ledger, log = Ledger(labels.names, paths, given), EventLog(path)
    ledger.follow(log.since(0))
    log.close()
    return ledger


def _joined(
    annotations: Annotations, ledger: Ledger, place: NDArray[np.int64], new: NDArray[np.int64], manifest: Manifest
) -> Annotations:
    """Return the file's rows as the ledger has them, then the ``new`` ones."""
    splits = manifest.splits[new].tolist() if any(annotations.splits) else [""] * len(new)
    return replace(
        annotations,
        labels=net_labels(ledger, np.concatenate([place, new])),
        images=(*annotations.images, *(manifest.paths[row] for row in new)),
        splits=(*annotations.splits, *splits),
        lines=(*annotations.lines, *(max(annotations.lines, default=0) + 1 + n for n in range(len(new)))),
        notes=(*annotations.notes, _account(ledger, len(new))),
    )


def _account(ledger: Ledger, added: int) -> str:
    gone = f", {ledger.elsewhere} more are on images that the run does not hold" if ledger.elsewhere else ""
    return f"{ledger.decisions} review decisions applied, {added} images added{gone}"
