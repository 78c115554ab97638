from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from tagweave.errors import InputError
from tagweave.review.events import EventLog


def decide(log: EventLog, gesture: str, *cells: tuple[str, str, str], window: str = "w") -> int:
    with log.transaction():
        return log.append(window, gesture, "decide", queue="uncertain", label="cat", cells=cells)


def test_events_come_back_in_order_with_their_cells_after_a_restart(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "r.sqlite")
    first = decide(log, "g1", ("a.png", "cat", "yes"), ("b.png", "cat", "no"))
    with log.transaction():
        second = log.append("w", "g2", "undo", target=first)
    log.close()
    events = EventLog(tmp_path / "r.sqlite").since(0)
    assert [(e.number, e.kind, e.target) for e in events] == [(first, "decide", None), (second, "undo", first)]
    assert events[0].cells == (("a.png", "cat", "yes"), ("b.png", "cat", "no"))
    assert EventLog(tmp_path / "r.sqlite").since(first)[0].number == second


def test_a_gesture_sent_twice_counts_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "r.sqlite")
    assert decide(log, "same", ("a.png", "cat", "yes")) == decide(log, "same", ("a.png", "cat", "yes"))
    assert len(log.since(0)) == 1


def test_the_log_runs_in_wal_mode_and_refuses_changes(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "r.sqlite")
    decide(log, "g1", ("a.png", "cat", "yes"))
    other = sqlite3.connect(tmp_path / "r.sqlite")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    for statement in ("UPDATE cells SET value = 'no'", "DELETE FROM events", "DELETE FROM cells"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(statement)


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "r.sqlite")
    with pytest.raises(sqlite3.IntegrityError), log.transaction():
        log.append("w", "g", "decide", cells=[("a.png", "cat", "yes"), ("b.png", "cat", "perhaps")])
    assert log.since(0) == []


def test_two_connections_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    def work(name: str) -> None:
        log = EventLog(tmp_path / "r.sqlite")
        for number in range(40):
            decide(log, f"{name}-{number}", (f"{name}{number}.png", "cat", "yes"), window=name)
        log.close()

    writers = [threading.Thread(target=work, args=(name,)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = EventLog(tmp_path / "r.sqlite").since(0)
    assert {cell[0] for event in events for cell in event.cells} == {
        f"{name}{number}.png" for name in ("left", "right") for number in range(40)
    }


def _write_and_die(path: Path, ready: object) -> None:
    log = EventLog(path)
    decide(log, "kept", ("a.png", "cat", "yes"))
    log._connection.execute("BEGIN IMMEDIATE")
    log.append("w", "half", "decide", cells=[("b.png", "cat", "yes")])
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_leaves_whole_events_only(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path, None))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    log = EventLog(path)
    assert [event.cells for event in log.since(0)] == [(("a.png", "cat", "yes"),)]
    decide(log, "after", ("c.png", "cat", "no"))


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.sqlite").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(InputError, match=r"Expected a review log at .*file is not a database; move the file away"):
        EventLog(tmp_path / "r.sqlite")


def test_a_log_of_a_later_version_is_refused(tmp_path: Path) -> None:
    EventLog(tmp_path / "r.sqlite").close()
    with sqlite3.connect(tmp_path / "r.sqlite") as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match=r"Expected a review log of version 1 .* but got 99; update tagweave"):
        EventLog(tmp_path / "r.sqlite")
