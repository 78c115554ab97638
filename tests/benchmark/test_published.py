"""Published figures: named, complete as far as they are known, and the same wherever they are used."""

from __future__ import annotations

from collections import Counter

import pytest

from tagweave.benchmark.published import FIGURES, PAPER, SYSTEMS, TABLES, published
from tagweave.benchmark.t7 import PRINTED


def test_every_figure_has_a_system_a_table_and_a_percentage() -> None:
    assert {figure.system for figure in FIGURES} <= set(SYSTEMS)
    assert {figure.table for figure in FIGURES} <= {*TABLES, None}
    assert all(0 < figure.value < 100 and figure.labels > 0 for figure in FIGURES)
    assert max(Counter((f.system, f.data, f.measure, f.labels) for f in FIGURES).values()) == 1


def test_every_system_but_one_has_a_figure() -> None:
    assert set(SYSTEMS) - {figure.system for figure in FIGURES} == {"order_free_rnn"}  # none is at hand


@pytest.mark.parametrize(("table", "count"), [("I", 12), ("III", 11), ("VII", 6), (None, 24), ("IV", 0), ("VIII", 0)])
def test_so_many_figures_are_at_hand(table: str | None, count: int) -> None:
    assert len(published(table)) == count


def test_the_papers_own_figures_and_its_trouble() -> None:
    voc = next(figure for figure in published("III") if figure.system == PAPER)
    assert voc.value == 95.8
    assert "94.83" in voc.note
    assert next(figure for figure in published("I") if figure.system == PAPER).value == 84.3


def test_errors_are_those_that_table_vii_prints() -> None:
    names = {"lp_deepssl": "LPA", PAPER: "improved"}
    assert {(names[f.system], f.labels, f.value) for f in published("VII")} == {
        (name, size, value) for name, row in PRINTED.items() for size, value in row.items()
    }
