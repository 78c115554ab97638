"""Net decisions: what the log says of every cell once undone events are left out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tagweave.review.events import VALUES, Event
from tagweave.review.vocabulary import fold

YES, NO, UNSURE = range(len(VALUES))
SPEED_SECONDS = 300.0  # the stretch that the speed is measured over

Given = Callable[[str, NDArray[np.int64]], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""Key of a label and rows (n,) -> values (n,), known (n,) as given before the review."""


@dataclass(frozen=True)
class Column:
    """Hold one label's cells of n images: what is known, and which of them a person decided in the review.

    Attributes:
        values: (n,) bool, False where not known.
        known: (n,) bool; a cell decided as unsure is not known.
        decided: (n,) bool.
    """

    values: NDArray[np.bool_]
    known: NDArray[np.bool_]
    decided: NDArray[np.bool_]

    def either(self, other: Column) -> Column:
        """Return the label that is there where either is: yes if one is yes, no if both are no, else unknown."""
        values = self.values | other.values
        known = values | (self.known & other.known)
        judged = (self.values & self.decided) | (other.values & other.decided)
        return Column(values, known, judged | (self.decided & other.decided))

    def decide(self, rows: NDArray[np.int64], codes: NDArray[np.int8]) -> Column:
        """Return the column after decisions on ``rows``, in order: of several on one row the last counts."""
        values, known, decided = self.values.copy(), self.known.copy(), self.decided.copy()
        values[rows], known[rows], decided[rows] = codes == YES, codes != UNSURE, True
        return Column(values, known, decided)


@dataclass(frozen=True)
class _Entries:
    """Thirteen bytes a decision, in the order of the log."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    rows: array[int] = field(default_factory=lambda: array("l"))
    codes: array[int] = field(default_factory=lambda: array("b"))


class Ledger:
    """Follow the log of one run.

    Args:
        names: the run's labels. paths: its N images. given: what was known before the review.
    """

    def __init__(self, names: Sequence[str], paths: Sequence[str], given: Given) -> None:
        self.names, self.given = tuple(names), given
        self.place = {name: c for c, name in enumerate(names)}
        self.number = 0
        self.elsewhere = 0  # decisions on images that the run does not hold
        self.vocabulary = fold(names, ())
        self._row = {path: row for row, path in enumerate(paths)}
        self._gestures: dict[int, Event] = {}  # without their cells
        self._sizes: dict[int, int] = {}  # event -> decisions
        self._undone: set[int] = set()
        self._undos: dict[int, Event] = {}  # of a gesture, or of such an undo: that is a redo
        self._entries: dict[str, _Entries] = {}
        self._judged_whole: dict[int, set[int]] = {}  # event -> images that were judged as a whole

    def follow(self, events: Iterable[Event]) -> None:
        """Take in what was appended to the log."""
        changed = False
        for event in events:
            self.number = event.number
            if event.target is not None:
                changed |= self._turn(event, event.target) != "decide"
                continue
            changed |= event.kind != "decide"
            self._gestures[event.number] = replace(event, cells=())
            self._enter(event)
        if changed:
            vocal = [e for n, e in self._gestures.items() if e.kind != "decide" and n not in self._undone]
            self.vocabulary = fold(self.names, vocal)

    def _turn(self, event: Event, target: int) -> str:
        """Take a gesture back, or take an undo back; return the kind of the gesture."""
        self._undos[event.number] = event
        taken_back = self._undos.get(target)
        if taken_back is None:
            self._undone.add(target)
        else:
            target = taken_back.target or 0
            self._undone.discard(target)
        return self._gestures[target].kind

    def _enter(self, event: Event) -> None:
        for image, label, value in event.cells:
            row = self._row.get(image)
            if row is None:
                self.elsewhere += 1
                continue
            entries = self._entries.setdefault(label, _Entries())
            entries.numbers.append(event.number)
            entries.rows.append(row)
            entries.codes.append(VALUES.index(value))
            self._sizes[event.number] = self._sizes.get(event.number, 0) + 1
            if not event.label:
                self._judged_whole.setdefault(event.number, set()).add(row)

    def event(self, number: int) -> Event:
        """Return an event that was not an undo, without its cells."""
        return self._gestures[number]

    def size(self, number: int) -> int:
        """Return how many decisions an event holds."""
        return self._sizes.get(number, 0)

    def last(self, window: str, others_alive: Iterable[str] = ()) -> int | None:
        """Return the event that an undo in ``window`` takes back, or None.

        It is the last of the window's own; without any, the last of the windows that are not open any more.
        """
        alive = set(others_alive) - {window}
        left_behind = None
        for number in reversed(self._gestures):
            origin = self._gestures[number].window
            if number not in self._undone and origin == window:
                return number
            if number not in self._undone and origin not in alive:
                left_behind = left_behind or number
        return left_behind

    def last_undo(self, window: str, others_alive: Iterable[str] = ()) -> int | None:
        """Return the undo that a redo in ``window`` takes back, or None.

        It is the last of the window's own that nothing new was done after; a window that did nothing yet takes those
        of windows that are not open any more.
        """
        events = {**self._gestures, **self._undos}
        alive = set(others_alive) - {window}
        own = any(event.window == window for event in events.values())
        redone = {event.target for event in self._undos.values()} & self._undos.keys()
        for number in sorted(events, reverse=True):
            event = events[number]
            if event.window != window if own else event.window in alive:
                continue
            if event.target is None:
                return None
            if event.target not in self._undos and number not in redone:
                return number
        return None

    def undone_by(self, number: int) -> int:
        """Return the gesture that an undo took back."""
        return self._undos[number].target or 0

    def column(self, key: str, rows: NDArray[np.int64]) -> Column:
        """Return what is known of label ``key`` for ``rows`` (n,), distinct, merged labels included."""
        values, known = self.given(key, rows)
        column = Column(values, known, np.zeros(len(rows), dtype=bool))
        numbers, places, codes = self._active(key, rows)
        start = 0
        for number, part in self.vocabulary.merged.get(key, ()):
            stop = int(np.searchsorted(numbers, number))
            column = column.decide(places[start:stop], codes[start:stop]).either(self.column(part, rows))
            start = stop
        return column.decide(places[start:], codes[start:])

    def _active(
        self, key: str, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """Return number, place in ``rows`` and code of the decisions on ``key`` that stand."""
        numbers, decided, codes = self._standing(key)
        if not len(numbers) or not len(rows):
            return numbers[:0], decided[:0], codes[:0]
        order = np.argsort(rows, kind="stable")
        found = np.searchsorted(rows, decided, sorter=order)
        places = order[np.minimum(found, len(rows) - 1)]
        here = rows[places] == decided
        return numbers[here], places[here], codes[here]

    def _standing(self, key: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """Return number, row and code of the decisions on ``key`` that were not undone."""
        entries = self._entries.get(key, _Entries())
        numbers = np.array(entries.numbers, dtype=np.int64)
        stands = np.isin(numbers, np.array(list(self._undone), dtype=np.int64), invert=True)
        rows, codes = np.array(entries.rows, dtype=np.int64), np.array(entries.codes, dtype=np.int8)
        return numbers[stands], rows[stands], codes[stands]

    def decided_rows(self, key: str) -> NDArray[np.int64]:
        """Return the rows that a person decided of label ``key``, parts that were merged into it included."""
        parts, rows = [key], np.zeros(0, dtype=np.int64)
        while parts:
            part = parts.pop()
            parts += [merged for _, merged in self.vocabulary.merged.get(part, ())]
            rows = np.union1d(rows, self._standing(part)[1])
        return rows[self.column(key, rows).decided] if len(rows) else rows

    def rows_from(self, key: str, queue: str) -> NDArray[np.int64]:
        """Return the rows of label ``key`` that were decided in one queue."""
        numbers, rows, _ = self._standing(key)
        wanted = [number for number in set(numbers.tolist()) if self._gestures[number].queue == queue]
        return np.unique(rows[np.isin(numbers, np.array(wanted, dtype=np.int64))])

    def judged_whole(self) -> NDArray[np.int64]:
        """Return the rows of images that were judged as a whole, all labels at once."""
        rows = [row for number, judged in self._judged_whole.items() if number not in self._undone for row in judged]
        return np.unique(np.array(rows, dtype=np.int64))

    def speed(self, now: float) -> float:
        """Return decisions a minute over the last minutes; undone ones do not count."""
        total, began = 0, now
        for number in reversed(self._gestures):
            event = self._gestures[number]
            if now - event.at > SPEED_SECONDS:
                break
            if number not in self._undone and self._sizes.get(number):
                total, began = total + self._sizes[number], event.at
        return 60.0 * total / max(now - began, 60.0)

    @property
    def decisions(self) -> int:
        """How many decisions stand, repeated ones included."""
        return sum(self._sizes.values()) - sum(self._sizes.get(number, 0) for number in self._undone)
