"""One run on a person's desk: what the page shows, and what it is told. Safe for many windows and processes."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.console import Console
from tagweave.data.manifest import Manifest
from tagweave.errors import ImageError, InputError
from tagweave.review import audit, queues
from tagweave.review.attention import AttentionMaps
from tagweave.review.cells import Cells, given_by
from tagweave.review.events import VALUES, Cell, EventLog
from tagweave.review.export import LOG_NAME, onehot_lines
from tagweave.review.ledger import Ledger
from tagweave.review.points import nearest, open_points
from tagweave.review.scores import open_scores
from tagweave.review.thumbnails import Thumbnails, image_ids

KEPT_ORDERS = 24  # queues that windows may be in the middle of
ALIVE_SECONDS = 90.0  # a window that was not heard of for longer is closed; browsers slow hidden ones to a minute
NEIGHBOURS = 8
MOST_CELLS = 50_000  # of one gesture


@dataclass(frozen=True)
class Change:
    """Say one value for one label of some images.

    Attributes:
        label: key. value: one of ``VALUES``. images: opaque names.
        touched: the person chose it cell by cell; an untouched one accepts what was shown, and never changes a
            cell that was decided before (in another window, say).
    """

    label: str
    value: str
    images: tuple[str, ...]
    touched: bool


@dataclass(frozen=True)
class _Order:
    label: str
    queue: str
    rows: NDArray[np.int64]


class Desk:
    """Open a run for review.

    Raises:
        InputError: the folder is not a run with propagated labels.
    """

    def __init__(self, run: Path, console: Console) -> None:
        if not (run / "manifest.parquet").is_file():
            raise InputError(f"Expected a run folder (with manifest.parquet) at {run}; run 'tagweave fit' first.")
        self.run = run
        self.manifest = Manifest.load(run / "manifest.parquet")
        with np.load(run / "given.npz", allow_pickle=False) as stored:
            names = [str(name) for name in stored["names"]]
        self.scores = open_scores(run, self.manifest, names, console)
        self.points = open_points(run, self.manifest, console)
        self.attention = AttentionMaps.load(run / "attention.npz")
        self.thumbnails = Thumbnails(run / "review" / ".images", self.manifest)
        self.ids = image_ids(self.manifest)
        self._row = {name: row for row, name in enumerate(self.ids)}
        self._orders: OrderedDict[str, _Order] = OrderedDict()
        self._heard: dict[str, float] = {}
        self.log = EventLog(run / LOG_NAME)
        self.ledger = Ledger(names, self.manifest.paths, given_by(self.scores))
        self.cells = Cells(self.scores, self.ledger, self.points)
        self._sync()

    def row(self, name: str) -> int:
        """Return an image's row by its opaque name.

        Raises:
            ImageError: no image of the run has that name.
        """
        if name not in self._row:
            raise ImageError("is not in this run")
        return self._row[name]

    def _sync(self) -> None:
        self.ledger.follow(self.log.since(self.ledger.number))

    def state(self) -> dict[str, Any]:
        """Return what the page needs at its start and when labels changed."""
        with self.log.lock:
            self._sync()
            names = self.ledger.vocabulary.names
            labels = [
                {"key": key, "name": name, "decided": len(self.ledger.decided_rows(key))} for key, name in names.items()
            ]
            return {
                "run": self.run.resolve().name, "images": len(self.manifest), "labels": labels,
                "queues": list(queues.QUEUES), "network": self.scores.network is not None,
                "judge": self.scores.judge is not None,
                "points": self.points is not None, "event": self.ledger.number,
            }  # fmt: skip

    def pulse(self, window: str, label: str) -> dict[str, Any]:
        """Note that a window is open; return progress, the speed, and the audit of a label."""
        with self.log.lock:
            self._sync()
            self._hear(window)
            return {"event": self.ledger.number, **self._progress(label)}

    def _hear(self, window: str) -> None:
        now = time.monotonic()
        self._heard = {w: t for w, t in self._heard.items() if now - t < ALIVE_SECONDS}
        self._heard[window] = now

    def _progress(self, label: str) -> dict[str, Any]:
        known = label in self.ledger.vocabulary.names
        return {
            "decisions": self.ledger.decisions, "speed": round(self.ledger.speed(time.time())),
            "decided": len(self.ledger.decided_rows(label)) if known else len(self.ledger.judged_whole()),
            "audit": self._audit(label) if known else None,
        }  # fmt: skip

    def _audit(self, key: str) -> dict[str, Any]:
        evidence = self.cells.evidence(key)
        found = audit.measure(queues.audit(evidence), self.ledger.rows_from(key, "audit"), evidence.column)
        return asdict(found)

    def tiles(self, label: str, queue: str, snapshot: str, offset: int, limit: int) -> dict[str, Any]:
        """Return a stretch of a queue, which keeps its order while it is worked through.

        Args:
            label: key; '' for whole images. queue: one of ``queues.QUEUES``.
            snapshot: name of the order from an earlier answer; '' or one that is forgotten makes a new order.

        Raises:
            InputError: no such label or queue.
        """
        if queue not in queues.QUEUES:
            raise InputError(f"Expected a queue of {', '.join(queues.QUEUES)}, but got '{queue[:40]}'.")
        with self.log.lock:
            self._sync()
            order = self._orders.get(snapshot)
            if order is None or (order.label, order.queue) != (label, queue):
                snapshot, order = self._new_order(label, queue)
            self._orders.move_to_end(snapshot)
            rows = order.rows[offset : offset + limit]
            tiles = self._tiles(label, queue, rows) if label else [self._image(row) for row in rows.tolist()]
            return {
                "snapshot": snapshot, "total": len(order.rows), "offset": offset, "tiles": tiles,
                "event": self.ledger.number,
            }  # fmt: skip

    def _new_order(self, label: str, queue: str) -> tuple[str, _Order]:
        if label:
            rows = queues.QUEUES[queue](self.cells.evidence(self.ledger.vocabulary.require(label)))
        else:
            rows = queues.whole_images(self.scores.doubts, self.ledger.judged_whole(), queue, self.points)
        snapshot, order = uuid.uuid4().hex, _Order(label, queue, rows.astype(np.int32))
        self._orders[snapshot] = order
        while len(self._orders) > KEPT_ORDERS:
            self._orders.popitem(last=False)
        return snapshot, order

    def _image(self, row: int) -> dict[str, Any]:
        return {"id": self.ids[row], "name": self.manifest.paths[row], "size": self.manifest.sizes[row].tolist()}

    def _tiles(self, label: str, queue: str, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        key = self.ledger.vocabulary.require(label)
        cells = self.cells.describe(key, rows, self.ledger.column(key, rows))
        if queue == "audit":  # of claims, the claim stands until somebody says no
            cells = [{**cell, "proposed": "yes"} for cell in cells]
        return [{**self._image(row), **cell} for row, cell in zip(rows.tolist(), cells, strict=True)]

    def image(self, name: str) -> dict[str, Any]:
        """Return everything about one image: all labels, the nearest labelled images, the attention stages.

        Raises:
            ImageError: no image of the run has that name.
        """
        with self.log.lock:
            self._sync()
            row = self.row(name)
            near = self._nearest(row)
            rows = np.array([row, *(other for other, _ in near)], dtype=np.int64)
            labels: list[dict[str, Any]] = []
            yes: list[list[str]] = [[] for _ in rows]
            for key, shown in self.ledger.vocabulary.names.items():
                column = self.ledger.column(key, rows)
                labels.append({"key": key, "name": shown, **self.cells.describe(key, rows[:1], column)[0]})
                for place in np.flatnonzero(column.values):
                    yes[place].append(key)
            neighbours = [
                {**self._image(other), "likeness": round(likeness, 3), "labels": yes[n + 1]}
                for n, (other, likeness) in enumerate(near)
            ]
            path = self.manifest.paths[row]
            stages = self.attention.stages if path in self.attention.maps else ()
            return {**self._image(row), "labels": labels, "neighbours": neighbours, "stages": stages}

    def _nearest(self, row: int) -> list[tuple[int, float]]:
        if self.points is None:
            return []
        return nearest(self.points, row, np.flatnonzero(self.scores.labelled), NEIGHBOURS)

    def decide(self, window: str, gesture: str, queue: str, label: str, changes: Sequence[Change]) -> dict[str, Any]:
        """Append one gesture; nothing but the named cells changes.

        Args:
            label: key of the label that the images were shown for; '' where an image was judged as a whole.

        Raises:
            InputError: an unknown image, label or value, or too many cells. Nothing is appended then.
        """
        with self.log.transaction():
            self._sync()
            cells = self._checked(changes)
            number = (
                self.log.append(window, gesture, "decide", queue=queue, label=label, cells=cells) if cells else None
            )
        return self._after(window, label, number, len(cells))

    def _checked(self, changes: Sequence[Change]) -> list[Cell]:
        if sum(len(change.images) for change in changes) > MOST_CELLS:
            raise InputError(f"Expected at most {MOST_CELLS:,} decisions at once.")
        cells: dict[tuple[str, str], str] = {}
        for change in changes:
            unknown = [name for name in change.images if name not in self._row]
            if unknown or change.value not in VALUES:
                raise InputError(f"Expected images of this run and a value of {', '.join(VALUES)}; reload the page.")
            key = self.ledger.vocabulary.require(change.label)
            rows = np.unique(np.array([self._row[name] for name in change.images], dtype=np.int64))
            rows = rows if change.touched else rows[~self.ledger.column(key, rows).decided]
            cells |= {(self.manifest.paths[row], key): change.value for row in rows.tolist()}
        return [(image, key, value) for (image, key), value in cells.items()]

    def _after(self, window: str, label: str, number: int | None, cells: int) -> dict[str, Any]:
        with self.log.lock:
            self._sync()
            self._hear(window)
            return {"event": self.ledger.number, "appended": number, "cells": cells, **self._progress(label)}

    def undo(self, window: str, gesture: str, label: str) -> dict[str, Any]:
        """Take back the last gesture of a window, or else of windows that are closed; say what it was."""
        with self.log.transaction():
            self._sync()
            number = self.ledger.last(window, self._heard)
            if number is not None:
                self.log.append(window, gesture, "undo", target=number)
        return {**self._after(window, label, number, self.ledger.size(number or 0)), "undone": self._told(number)}

    def redo(self, window: str, gesture: str, label: str) -> dict[str, Any]:
        """Do again what the last undo took back, unless something new was done since; say what it was."""
        with self.log.transaction():
            self._sync()
            undo = self.ledger.last_undo(window, self._heard)
            if undo is not None:
                self.log.append(window, gesture, "undo", target=undo)
        number = None if undo is None else self.ledger.undone_by(undo)
        return {**self._after(window, label, number, self.ledger.size(number or 0)), "redone": self._told(number)}

    def _told(self, number: int | None) -> dict[str, str] | None:
        if number is None:
            return None
        event, names = self.ledger.event(number), self.ledger.vocabulary.names
        return {"kind": event.kind, "label": names.get(event.label, event.label), "detail": event.detail}

    def create(self, window: str, gesture: str, name: str) -> dict[str, Any]:
        """Add a label.

        Raises:
            InputError: the name is taken, or no label file could hold it.
        """
        with self.log.transaction():
            self._sync()
            accepted = self.ledger.vocabulary.accept(name)
            self.log.append(window, gesture, "create", label=accepted)
        return {**self._after(window, accepted, None, 0), "key": accepted}

    def rename(self, window: str, gesture: str, key: str, name: str) -> dict[str, Any]:
        """Give a label another name.

        Raises:
            InputError: no such label, or the name is taken or not possible.
        """
        with self.log.transaction():
            self._sync()
            home = self.ledger.vocabulary.require(key)
            accepted = self.ledger.vocabulary.accept(name, but=home)
            self.log.append(window, gesture, "rename", label=home, detail=accepted)
        return {**self._after(window, home, None, 0), "key": home}

    def merge(self, window: str, gesture: str, key: str, into: str) -> dict[str, Any]:
        """Make one label part of another: an image has it where it has either.

        Raises:
            InputError: no such labels, or both are one.
        """
        with self.log.transaction():
            self._sync()
            part, home = self.ledger.vocabulary.require(key), self.ledger.vocabulary.require(into)
            if part == home:
                raise InputError("Expected two labels to merge, but both are the same.")
            self.log.append(window, gesture, "merge", label=part, detail=home)
        return {**self._after(window, home, None, 0), "key": home}

    def lines(self, kind: str) -> Iterator[str]:
        """Return the lines of a label file; see ``onehot_lines``."""
        with self.log.lock:
            self._sync()
            return iter(list(onehot_lines(self.manifest, self.ledger, kind, np.flatnonzero(self.scores.labelled))))

    def close(self) -> None:
        """Close the log."""
        self.log.close()
