from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve
from synthetic import make_run

from tagweave.report.artefacts import read_artefacts
from tagweave.report.curves import curve, precision_recall, thinned


def test_the_curve_by_hand() -> None:
    recall, precision = curve(np.array([0.9, 0.8, 0.8, 0.3, 0.1]), np.array([True, False, True, True, False]))
    assert recall.tolist() == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert precision.tolist() == pytest.approx([1.0, 2 / 3, 3 / 4])


def test_the_curve_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores, values = rng.random(200).round(2), rng.random(200) < 0.3
    recall, precision = curve(scores, values)
    expected_precision, expected_recall, _ = precision_recall_curve(values, scores)
    points = set(zip(expected_recall.round(9), expected_precision.round(9), strict=True))
    assert set(zip(recall.round(9), precision.round(9), strict=True)) <= points


def test_thinning_keeps_the_ends() -> None:
    recall, precision = np.linspace(0.001, 1, 1000), np.linspace(1, 0.2, 1000)
    few = thinned(recall, precision, 20)
    assert len(few[0]) == len(few[1]) == 20
    assert (few[0][0], few[0][-1], few[1][-1]) == (0.001, 1.0, 0.2)


def test_only_the_measured_split_counts(tmp_path: Path) -> None:
    artefacts = read_artefacts(make_run(tmp_path))
    found = precision_recall(artefacts)
    assert found is not None
    assert found.cells == 10 * 20  # every fourth of 40 images is a test image, labelled in full
    assert {label.name for label in found.labels} <= set(artefacts.names)
    assert precision_recall(replace(artefacts, unseen=None)) is None
