"""How likely given labels are wrong: written numbers, a simulation of the assumption, planted errors found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tagweave.config import build_config
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings, build_graph
from tagweave.steps.outcome import spread_and_decide
from tagweave.suspicion import ranked, suspects_at, wrongness


def matrix(values: list[list[int]], known: list[list[int]] | None = None) -> LabelMatrix:
    marks = np.array(values, dtype=bool)
    return LabelMatrix(
        marks, np.ones_like(marks) if known is None else np.array(known, bool), tuple("abc"[: marks.shape[1]])
    )


def test_bayes_rule_by_hand() -> None:
    labels = matrix([[1], [0], [0], [0]])  # r = 1/4, so a = e / 3
    wrong = wrongness(np.array([[0.3], [0.9], [0.2], [0.5]]), labels, error_share=0.06)
    present = 0.02 * 0.7 / (0.02 * 0.7 + 0.94 * 0.3)
    absent = [0.06 * p / (0.06 * p + 0.98 * (1 - p)) for p in (0.9, 0.2, 0.5)]
    assert wrong.ravel().tolist() == pytest.approx([present, *absent])
    assert ranked(wrong, labels).tolist() == [[1, 0], [3, 0], [0, 0], [2, 0]]


def test_the_only_positive_of_a_label_is_no_clear_error() -> None:
    """Four images show 1 / 6 at the least; the same claim of a label with two positives stands as it is."""
    labels = matrix([[1, 1], [0, 1], [0, 0], [0, 0]])
    wrong = wrongness(np.full((4, 2), 0.001), labels)
    false = 0.05 * (3 / 8) / (5 / 8)
    expected = [false * (1 - p) / (false * (1 - p) + 0.95 * p) for p in (1 / 6, 0.001)]
    assert wrong[0].tolist() == pytest.approx(expected)


def test_unknown_cells_are_never_suspects() -> None:
    labels = matrix([[1, 0], [0, 1]], [[1, 0], [1, 1]])
    wrong = wrongness(np.array([[0.1, np.nan], [0.9, 0.5]]), labels)
    assert wrong[0, 1] == 0.0
    assert sorted(map(tuple, ranked(wrong, labels).tolist())) == [(0, 0), (1, 0), (1, 1)]


def test_the_share_of_errors_changes_no_order_within_a_kind() -> None:
    rng = np.random.default_rng(0)
    labels = matrix((rng.random((50, 3)) < 0.3).astype(int).tolist())
    held_out = rng.random((50, 3))
    for kind in (labels.values, ~labels.values):
        orders = [np.argsort(wrongness(held_out, labels, e)[kind]).tolist() for e in (0.01, 0.05, 0.2)]
        assert orders[0] == orders[1] == orders[2]


def test_claims_are_right_where_the_assumption_holds() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.4, 1.2, size=(60_000, 1))
    truth = rng.random(p.shape) < p
    e = 0.1
    false = e * truth.mean() / (1 - truth.mean())
    given = np.where(truth, rng.random(p.shape) >= e, rng.random(p.shape) < false)
    wrong = wrongness(p, LabelMatrix(given, np.ones_like(given), ("a",)), e)
    right = (given != truth)[:, 0]
    for count in (300, 1000, 4000):
        top = np.argsort(-wrong[:, 0])[:count]
        assert wrong[top, 0].mean() == pytest.approx(right[top].mean(), abs=0.05)  # 3 binomial deviations of 300


def test_counts_at_expected_precision() -> None:
    wrong = np.array([0.9, 0.8, 0.4, 0.1])  # means 0.9, 0.85, 0.7, 0.55
    assert [suspects_at(wrong, precision) for precision in (0.95, 0.9, 0.8, 0.7 - 1e-9, 0.5)] == [0, 1, 2, 3, 4]
    assert suspects_at(np.zeros(0), 0.5) == 0


def test_certain_probabilities_stay_finite() -> None:
    wrong = wrongness(np.array([[0.0], [1.0], [1.0], [0.0]]), matrix([[1], [0], [1], [0]]))
    assert np.isfinite(wrong).all()
    assert wrong.ravel().tolist() == pytest.approx([1, 1, 0, 0], abs=1e-6)


@pytest.mark.parametrize("share", [0, 0.5, 1.2])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"Expected a share of errors above 0 and below 0.5, but got"):
        wrongness(np.array([[0.5]]), matrix([[1]]), share)


def test_one_label_all_present() -> None:
    labels = matrix([[1], [1]])
    assert ranked(wrongness(np.array([[0.9], [0.2]]), labels), labels).tolist() == [[1, 0], [0, 0]]


def test_planted_errors_come_first_on_clear_groups() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(3), 40)
    features = 5 * rng.normal(size=(3, 12))[group] + rng.normal(size=(120, 12))
    values = np.eye(3, dtype=bool)[group]
    planted = [(0, 0), (50, 1), (100, 2), (10, 1), (60, 2), (90, 0)]  # three taken away, three put in
    for cell in planted:
        values[cell] = ~values[cell]
    labels = LabelMatrix(values, np.ones_like(values), ("x", "y", "z"))
    job: Any = SimpleNamespace(config=build_config())
    outcome = spread_and_decide(build_graph(features, GraphSettings(k=10)), labels, job)
    found = ranked(wrongness(outcome.honest, labels), labels)[: len(planted)]
    assert set(map(tuple, found.tolist())) == set(planted)
