"""Tables for people and for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tagweave.benchmark.table import Table, markdown, mean_and_deviation, show, write, written

TABLE = Table(
    title="birds",
    columns=("method", "mAP"),
    rows=(("a|b", "50.0 ± 1.0"),),
    notes=("one note",),
    records=({"method": "a|b", "mAP": {"mean": 0.5, "deviation": 0.01}, "choices": ["k 5", "k 9"]},),
)


def test_mean_and_sample_deviation_by_hand() -> None:
    assert mean_and_deviation([1.0, 2.0, 6.0]) == {"mean": 3.0, "deviation": pytest.approx(7**0.5)}
    assert mean_and_deviation([0.25]) == {"mean": 0.25, "deviation": None}
    assert mean_and_deviation([0.25, None]) == mean_and_deviation([]) == {"mean": None, "deviation": None}


def test_numbers_as_people_read_them() -> None:
    assert written({"mean": 0.12345, "deviation": 0.01}) == "12.3 ± 1.0"
    assert written({"mean": 0.12345, "deviation": None}, digits=2) == "12.35"
    assert written({"mean": 141.2, "deviation": 3.0}, factor=1) == "141.2 ± 3.0"
    assert written({"mean": None, "deviation": None}) == "-"


def test_markdown_escapes_what_would_break_a_row() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines == [
        "## birds", "", "| method | mAP |", "| --- | --- |", "| a\\|b | 50.0 ± 1.0 |", "", "- one note",
    ]  # fmt: skip


def test_files_hold_the_unrounded_numbers(tmp_path: Path) -> None:
    paths = write(TABLE, tmp_path, "out")
    assert [path.name for path in paths] == ["out.csv", "out.json", "out.md"]
    with paths[0].open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"method": "a|b", "mAP.mean": "0.5", "mAP.deviation": "0.01", "choices": "k 5; k 9"}
        ]
    document = json.loads(paths[1].read_text(encoding="utf-8"))
    assert document == {"title": "birds", "notes": ["one note"], "rows": list(TABLE.records)}
    assert paths[2].read_text(encoding="utf-8") == markdown(TABLE)


def test_the_terminal_shows_rows_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    show(TABLE)
    said = capsys.readouterr().out
    assert "birds" in said
    assert "a|b" in said
    assert "- one note" in said
