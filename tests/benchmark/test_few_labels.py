"""mAP against labels on drawn pictures: whose rows they are, and that all get the same labelled images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from held_drawn import CONFIG, bench_of, held_pictures

from drawn import Drawn
from tagweave.benchmark.few_labels import FewLabels, run_few_labels
from tagweave.benchmark.table import Table, write

pytestmark = pytest.mark.slow  # whole fits


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGWEAVE_THREADS", "1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("few")


@pytest.fixture(scope="module")
def table(drawn: Drawn, place: Path) -> Table:
    return run_few_labels(bench_of(held_pictures(drawn, place), place), CONFIG, FewLabels((0.5,), 1))


def test_a_budget_has_every_system(table: Table) -> None:
    systems = [
        "ridge", "propagated", "network", "classifier", "ASL linear, tuned", "kNN", "propagated, transductive †",
    ]  # fmt: skip
    assert [row[:3] for row in table.rows] == [("50 %", "20", name) for name in systems]
    assert any("not to be compared" in note for note in table.notes)


def test_rows_of_fit_are_those_of_its_cells_and_costs_stand_where_measured(table: Table, place: Path) -> None:
    cells = [json.loads(path.read_text()) for path in (place / "cells").glob("default-0.5-0-*.json")]
    trained = next(cell for cell in cells if "systems" in cell)
    shown = {record["system"]: record for record in table.records if record["budget"] == 0.5}
    for name, title in {"ridge": "ridge", "graph": "propagated", "classifier": "classifier"}.items():
        assert shown[title]["mAP"]["mean"] == trained["systems"][name]["mAP"]
    assert shown["classifier"]["seconds"]["mean"] == trained["seconds"]
    assert "seconds" not in shown["ridge"]


def test_ridge_of_fit_is_the_ridge_of_the_propagation_benchmark(table: Table, drawn: Drawn, place: Path) -> None:
    """Two paths to the same number: the labelled images, features and centring agree."""
    from tagweave.benchmark import protocol
    from tagweave.steps.outcome import graph_settings

    data = held_pictures(drawn, place).pooled()
    settings = graph_settings(CONFIG.graph, data.parts)
    bench = protocol.Bench(data.pooled(settings.parts), protocol.Plan((0.5,), 1, ("ridge",)), settings, place)
    own = next(r for r in table.records if r["budget"] == 0.5 and r["system"] == "ridge")
    assert bench.cell(0.5, 0, "ridge")["mAP"] == pytest.approx(own["mAP"]["mean"], abs=1e-6)  # float32 in the run


def test_the_picture_is_drawn(table: Table, tmp_path: Path) -> None:
    assert {path.suffix for path in write(table, tmp_path, "few-labels")} == {".csv", ".json", ".md", ".svg", ".png"}
