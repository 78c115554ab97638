"""The log of what people did: SQLite, append-only, safe for several writers."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tagweave.errors import InputError

VERSION = 1
VALUES = ("yes", "no", "unsure")
BUSY_SECONDS = 30.0  # how long a writer waits for another

Cell = tuple[str, str, str]
"""Image path, label key, one of VALUES."""

_SCHEMA = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    window TEXT NOT NULL,
    gesture TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('decide', 'create', 'rename', 'merge', 'undo')),
    queue TEXT NOT NULL DEFAULT '',
    label TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    target INTEGER REFERENCES events(number)
);
CREATE TABLE cells (
    event INTEGER NOT NULL REFERENCES events(number),
    image TEXT NOT NULL,
    label TEXT NOT NULL,
    value TEXT NOT NULL CHECK (value IN ('yes', 'no', 'unsure')),
    PRIMARY KEY (event, image, label)
) WITHOUT ROWID;
"""
_TABLES = ("events", "cells")


@dataclass(frozen=True)
class Event:
    """One gesture of a person.

    Attributes:
        number: position in the log. at: seconds since 1970. window: the browser window it came from.
        kind: ``decide``, ``create``, ``rename``, ``merge`` or ``undo``.
        queue: which queue showed the images. label: key of the label it is about, '' for a whole image.
        detail: the new name, or the key of the label merged into.
        target: number of the event that is undone; undoing an undo does the first event again.
        cells: what was decided.
    """

    number: int
    at: float
    window: str
    kind: str
    queue: str = ""
    label: str = ""
    detail: str = ""
    target: int | None = None
    cells: tuple[Cell, ...] = ()


class EventLog:
    """Append to and read ``review.sqlite``.

    An event is on disk before ``append`` returns; a process that is killed loses none and leaves no half event.

    Raises:
        InputError: the file is no log, or one of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.RLock()
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self.close()
            raise InputError(f"Expected a review log at {path}, but got: {error}; move the file away.") from error

    def _prepare(self) -> None:
        self._log_ahead()
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise InputError(
                    f"Expected a review log of version {VERSION} at {self.path}, but got {version}; update tagweave."
                )
            if version == 0:
                self._create()

    def _log_ahead(self) -> None:
        """Switch to a write-ahead log, for which SQLite itself does not wait while others open the file."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return

    def _create(self) -> None:
        for statement in _SCHEMA.split(";")[:-1]:
            self._connection.execute(statement)
        for table in _TABLES:
            for change in ("UPDATE", "DELETE"):
                self._connection.execute(
                    f"CREATE TRIGGER {table}_never_{change.lower()} BEFORE {change} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'the review log is append-only'); END"
                )
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the log for writing; what stands in the block is appended whole or not at all."""
        with self.lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def append(
        self, window: str, gesture: str, kind: str, *, queue: str = "", label: str = "", detail: str = "",
        target: int | None = None, cells: Sequence[Cell] = (),
    ) -> int:  # fmt: skip
        """Append one event inside a ``transaction`` and return its number.

        A gesture that is in the log already (a browser that sent it twice) is not appended again.
        """
        found = self._connection.execute("SELECT number FROM events WHERE gesture = ?", (gesture,)).fetchone()
        if found:
            return int(found[0])
        added = self._connection.execute(
            "INSERT INTO events (at, window, gesture, kind, queue, label, detail, target) VALUES (?,?,?,?,?,?,?,?)",
            (time.time(), window, gesture, kind, queue, label, detail, target),
        )
        number = int(added.lastrowid or 0)
        self._connection.executemany("INSERT INTO cells VALUES (?,?,?,?)", ((number, *cell) for cell in cells))
        return number

    def since(self, number: int) -> list[Event]:
        """Return the events after ``number``, in order."""
        with self.lock:
            rows = self._connection.execute(
                "SELECT number, at, window, kind, queue, label, detail, target FROM events WHERE number > ? "
                "ORDER BY number",
                (number,),
            ).fetchall()
            cells: dict[int, list[Cell]] = defaultdict(list)
            if rows:
                query = "SELECT event, image, label, value FROM cells WHERE event BETWEEN ? AND ? ORDER BY event"
                for event, *cell in self._connection.execute(query, (rows[0][0], rows[-1][0])):
                    cells[event].append((cell[0], cell[1], cell[2]))
        return [replace(Event(*row), cells=tuple(cells[row[0]])) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
