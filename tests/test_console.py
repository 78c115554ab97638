"""What a person sees: lines on standard error, bars on a terminal, nothing when quiet."""

from __future__ import annotations

import io
import sys

import pytest

from tagweave import console
from tagweave.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(console, "time", clock)
    return clock


def test_standard_output_stays_for_results(capsys: pytest.CaptureFixture[str]) -> None:
    Console().say("hello")
    with Console().progress("embed", "images") as progress:
        progress(1, 1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("hello\nembed: 1 of 1 images")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Console(quiet=True).say("hello")
    with Console(quiet=True).progress("embed", "images") as progress:
        progress(1, 1)
    assert capsys.readouterr() == ("", "")


def test_lines_come_every_few_seconds_and_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("embed", "images") as progress:
        for seconds, done in ((1, 500), (10, 5000), (11, 5500), (25, 20000), (26, 25000)):
            clock.now = 100.0 + seconds
            progress(done, 25000)
    assert capsys.readouterr().err.splitlines() == [
        "embed: 5,000 of 25,000 images, 500/s, 40 s left",
        "embed: 20,000 of 25,000 images, 800/s, 6 s left",
        "embed: 25,000 of 25,000 images, 962/s",
    ]


def test_slow_things_are_told_in_seconds_each(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("train", "epochs") as progress:
        clock.now += 50
        progress(0, 12)
        clock.now += 50
        progress(4, 12)
    assert capsys.readouterr().err.splitlines() == [
        "train: 0 of 12 epochs",
        "train: 4 of 12 epochs, 25.0 s each, 200 s left",
    ]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Console().progress("embed", "images") as progress:
        progress(3, 7)
        progress(7, 7)
    assert "embed" in terminal.getvalue()
    assert "7/7" in terminal.getvalue()
    assert "images" in terminal.getvalue()
