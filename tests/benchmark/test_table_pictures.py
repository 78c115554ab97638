"""Pictures of tables: what is drawn, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tagweave.benchmark.pictures import Dots, Lines, _dots, _lines, draw

RECORDS: list[dict[str, Any]] = [
    {"system": "ours", "x": 100, "mAP": {"mean": 0.5, "deviation": 0.02}},
    {"system": "ours", "x": 10, "mAP": {"mean": 0.3, "deviation": None}},
    {"system": "paper", "x": 10, "mAP": {"mean": 0.9, "deviation": None}, "printed": True},
]


def test_dots_stand_at_the_means_with_printed_ones_hollow() -> None:
    axes = _dots(Dots("mAP", "system"), RECORDS).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [50.0, 30.0, 90.0]  # type: ignore[index]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, False, True]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ours", "ours", "paper"]


def test_lines_go_from_left_to_right_one_a_system() -> None:
    axes = _lines(Lines("mAP", "x", "system", "labels", logarithmic=True), RECORDS).axes[0]
    assert [list(map(float, line.get_xdata())) for line in axes.lines] == [[10, 100], [10]]  # type: ignore[arg-type]
    assert list(axes.lines[0].get_ydata()) == [30.0, 50.0]
    assert axes.get_xscale() == "log"


def test_nothing_is_drawn_without_a_number(tmp_path: Path) -> None:
    empty = [{"system": "ours", "mAP": {"mean": None, "deviation": None}}]
    assert draw(Dots("mAP", "system"), "nothing", empty, tmp_path, "t") == []
    assert not list(tmp_path.iterdir())
