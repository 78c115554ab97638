"""The table of label propagation: draws, cells that are not computed twice, no look at the test's labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_problems import SETTINGS, drawn_data

from tagweave.benchmark import protocol
from tagweave.benchmark.methods import METHODS, Method, parse_methods
from tagweave.benchmark.problem import Floats, Problem, build_pool
from tagweave.benchmark.protocol import Plan, parse_budgets, pool_rows, pose, run
from tagweave.benchmark.table import Table
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

QUIET = Console(quiet=True)
DATA = replace(drawn_data(), features=np.tile(drawn_data().features, 2))  # average and maximum alike
PLAN = Plan(budgets=(0.2, 20), seeds=2, methods=("knn", "graph"))


def run_plan(folder: Path, plan: Plan = PLAN, data: Any = DATA) -> Table:
    return run(data, plan, SETTINGS, folder, QUIET)


def score_of(method: str, data: Any, transductive: bool) -> Floats:
    pool = build_pool(data.features[pool_rows(data, transductive)], SETTINGS)
    return METHODS[method].score(pose(data, pool, 0.5, 0, transductive), **METHODS[method].tries[0])


@pytest.mark.parametrize("transductive", [False, True])
def test_the_labelled_images_are_a_permutations_first(transductive: bool) -> None:
    pool = build_pool(DATA.features[pool_rows(DATA, transductive)], SETTINGS)
    problem = pose(DATA, pool, 0.25, 3, transductive)
    expected = np.sort(np.random.default_rng(3).permutation(60)[:15])
    np.testing.assert_array_equal(problem.labelled, expected)
    np.testing.assert_array_equal(problem.labels.values[expected], DATA.labels.values[expected])
    assert (len(problem.inside), len(problem.outside)) == ((20, 0) if transductive else (0, 20))


@pytest.mark.parametrize("transductive", [False, True])
@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].requires and name != "asl"])
def test_the_tests_labels_change_no_score(method: str, transductive: bool) -> None:
    values = DATA.labels.values.copy()
    test = np.flatnonzero(DATA.test)
    values[test] = ~values[np.roll(test, 7)]
    other = replace(DATA, labels=LabelMatrix(values, DATA.labels.known, DATA.labels.names))
    np.testing.assert_array_equal(score_of(method, DATA, transductive), score_of(method, other, transductive))


def test_a_row_per_budget_and_method_with_means_over_seeds(tmp_path: Path) -> None:
    table = run_plan(tmp_path)
    assert [(r["budget"], r["method"]) for r in table.records] == [
        (budget, method) for budget in (0.2, 20) for method in ("knn", "graph")
    ]
    cells = [json.loads(path.read_text()) for path in (tmp_path / "cells").glob("knn-0.2-*.json")]
    areas = [cell["mAP"] for cell in cells]
    assert table.records[0]["mAP"]["mean"] == pytest.approx(sum(areas) / 2)
    assert table.records[0]["mAP"]["deviation"] == pytest.approx(abs(areas[0] - areas[1]) / 2**0.5)
    assert table.rows[0][:3] == ("20 %", "knn", "inductive")
    assert table.rows[2][0] == "20"
    assert table.rows[0][-1].startswith("k ")  # the choice is in the table
    assert "outside the graph" in table.notes[1]


@pytest.mark.slow
def test_finished_cells_are_read_and_the_missing_one_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_plan(tmp_path)
    scored: list[Problem] = []
    knn = METHODS["knn"]

    def count(problem: Problem, k: int) -> Floats:
        scored.append(problem)
        return knn.score(problem, k=k)

    monkeypatch.setitem(METHODS, "knn", Method(count, knn.tries))
    again = run_plan(tmp_path)
    assert not scored
    assert again.records == first.records
    next((tmp_path / "cells").glob("knn-20-1-*.json")).unlink()
    run_plan(tmp_path)
    assert len([problem for problem in scored if len(problem.outside) == 20]) == 1


@pytest.mark.parametrize("change", ["settings", "tries", "data", "protocol"])
def test_a_cell_of_other_settings_is_another_cell(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, settings, data = Plan((0.2,), 1, ("knn",)), SETTINGS, DATA
    run(data, plan, settings, tmp_path, QUIET)
    if change == "tries":
        monkeypatch.setitem(METHODS, "knn", replace(METHODS["knn"], tries=({"k": 4},)))
    plan = replace(plan, transductive=True) if change == "protocol" else plan
    settings = replace(settings, k=7) if change == "settings" else settings
    data = replace(data, features=data.features + np.float32(1)) if change == "data" else data
    run(data, plan, settings, tmp_path, QUIET)
    assert len(list((tmp_path / "cells").iterdir())) == 2


def test_a_method_whose_package_is_missing_is_left_out_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "laplace", replace(METHODS["laplace"], requires="no_such_package"))
    table = run(DATA, Plan((0.2,), 1, ("laplace", "knn")), SETTINGS, tmp_path, Console())
    assert [record["method"] for record in table.records] == ["knn"]
    expected = "laplace: left out, as the package no_such_package is not installed (pip install no_such_package)"
    assert expected in capsys.readouterr().err
    with pytest.raises(InputError, match="a method whose package is installed"):
        run(DATA, Plan((0.2,), 1, ("laplace",)), SETTINGS, tmp_path, QUIET)


def test_the_average_alone_is_used_where_the_graph_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    widths: list[int] = []
    build = protocol.build_pool
    monkeypatch.setattr(protocol, "build_pool", lambda x, s: widths.append(x.shape[1]) or build(x, s))
    for parts in ((10,), (10, 10)):
        run(DATA, Plan((0.5,), 1, ("knn",)), replace(SETTINGS, parts=parts), tmp_path, QUIET)
    assert [width for width in widths if width >= 10] == [10, 20]  # others are the warm-up's


def test_methods_are_named_and_a_wrong_name_lists_the_choices() -> None:
    assert parse_methods("all") == tuple(METHODS)
    assert parse_methods("default, knn") == ("knn", "default")
    with pytest.raises(InputError) as error:
        parse_methods("knn,iscan")
    assert str(error.value) == (
        "Expected methods among all, label-spreading, label-propagation, iscen, dynamic, laplace, poisson, knn, bce, "
        "asl, ridge, graph, default, but got 'iscan'; did you mean 'iscen'?."
    )
    with pytest.raises(InputError, match="but got none"):
        parse_methods(" ,")


def test_budgets_are_numbers_above_zero() -> None:
    assert parse_budgets("0.05, 1.0,300") == (0.05, 1.0, 300.0)
    for text in ("a", "", "0", "-1,0.5", "inf"):
        with pytest.raises(InputError, match=r"Expected label budgets .* but got '"):
            parse_budgets(text)
