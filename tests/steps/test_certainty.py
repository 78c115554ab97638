"""Intervals of measures, and of the distance between systems on the same images."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tagweave.data.labels import LabelMatrix
from tagweave.metrics import mean_average_precision_interval
from tagweave.steps.certainty import intervals


def case(images: int) -> tuple[dict[str, np.ndarray], LabelMatrix]:
    """Return scores of two systems that err alike and of one that knows little, and the labels (N, 4)."""
    generator = np.random.default_rng(0)
    truth = generator.random((images, 4)) < 0.3
    good = truth + generator.normal(0, 0.5, truth.shape)
    near = good + generator.normal(0, 0.02, truth.shape)
    scores = {"near": near, "poor": generator.random(truth.shape), "good": good}
    return scores, LabelMatrix(truth, np.ones_like(truth), tuple("abcd"))


def test_bounds_are_those_of_the_measure() -> None:
    scores, labels = case(60)
    found = intervals(scores, labels, "good")
    for name, one in found.items():
        assert tuple(one["mAP_interval"]) == pytest.approx(mean_average_precision_interval(scores[name], labels))
    assert json.loads(json.dumps(found)) == found


def test_a_pair_is_told_apart_by_its_difference_not_by_each_ones_interval() -> None:
    scores, labels = case(60)
    found = intervals(scores, labels, "good")
    assert found["good"]["main_ahead"] == [0.0, 0.0]
    assert found["poor"]["main_ahead"][0] > 0
    low, high = found["near"]["main_ahead"]
    assert low < 0 < high
    own = np.subtract(*reversed(found["near"]["mAP_interval"]))
    assert high - low < own / 3  # what is hard about a draw is hard for both


def test_without_a_positive_there_is_none() -> None:
    labels = LabelMatrix(np.zeros((5, 2), bool), np.ones((5, 2), bool), ("a", "b"))
    found = intervals({"main": np.zeros((5, 2))}, labels, "main")
    assert found == {"main": {"mAP_interval": None, "main_ahead": None}}
