"""Table VIII: every system decides by the same rule, measured without a look at the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_problems import SETTINGS, drawn_data, drawn_problem

from tagweave.benchmark.problem import Floats, Problem
from tagweave.benchmark.t8 import FOLDS, decide, measure_decisions, run_t8
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix

PRESETS = {"paper": replace(SETTINGS, teacher=False), "fast": SETTINGS}


def test_measures_by_hand() -> None:
    values = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    truth = LabelMatrix(values, np.ones_like(values), ("a", "b"))
    probabilities = np.array([[0.9, 0.6], [0.4, 0.7], [0.2, 0.1], [0.3, 0.4]])
    found = measure_decisions(probabilities, np.array([0.35, 0.65]), truth)
    # At 0.5: a right once of two, b right once, wrong once, missed once: 2 hits of 3 predicted, 4 positives.
    assert found["micro_f1_error"] == pytest.approx(1 - 2 * 2 / (3 + 4))
    assert found["hamming_error"] == pytest.approx(3 / 8)
    # Tuned: a finds both, b finds one of two.
    assert found["micro_f1_error_tuned"] == pytest.approx(1 - 2 * 3 / (3 + 4))
    assert found["mAP"] == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)


def test_labelled_images_are_scored_in_parts_that_are_hidden() -> None:
    asked: list[Problem] = []

    def score(problem: Problem) -> Floats:
        asked.append(problem)
        return problem.queries[:, :1] * np.ones(4)

    problem = drawn_problem()
    probabilities, thresholds = decide(score, problem)
    assert probabilities.shape == (20, 4)
    assert thresholds.shape == (4,)
    assert len(asked) == FOLDS + 1
    parts = np.concatenate([one.inside for one in asked[:-1]])
    assert sorted(parts.tolist()) == problem.labelled.tolist()
    assert not any(one.labels.known[one.inside].any() for one in asked[:-1])


def test_the_table_has_a_row_per_budget_and_system(tmp_path: Path) -> None:
    data, quiet = drawn_data(images=120), Console(quiet=True)
    data = replace(data, features=np.tile(data.features, 2))
    table = run_t8(data, (0.4, 1.0), 2, PRESETS, tmp_path, quiet)
    assert [row[:2] for row in table.rows] == [
        (budget, system) for budget in ("40 %", "100 %") for system in ("LPA", "improved", "default")
    ]
    assert table.columns[2:] == ("1 - micro-F1", "1 - micro-F1, tuned", "mAP", "Hamming")
    assert all(0 < record["mAP"]["mean"] <= 1 for record in table.records)
    assert any("none are printed" in note for note in table.notes)
    assert run_t8(data, (0.4, 1.0), 2, PRESETS, tmp_path, quiet).records == table.records
