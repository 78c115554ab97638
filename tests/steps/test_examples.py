from __future__ import annotations

import numpy as np
import pytest

from tagweave.data.labels import LabelMatrix
from tagweave.graph.image_graph import GraphSettings, build_graph
from tagweave.graph.propagation import Propagation, propagate
from tagweave.graph.pseudo_labels import PseudoLabels
from tagweave.steps.examples import EXAMPLES, GIVERS, examples

NAMES = [f"{number}.png" for number in range(40)]


@pytest.fixture(scope="module")
def spread() -> Propagation:
    rng = np.random.default_rng(0)
    values = np.zeros((40, 2), dtype=bool)
    values[:20, 0] = values[20:, 1] = True
    known = np.zeros_like(values)
    known[::4] = True
    graph = build_graph(values @ rng.normal(size=(2, 8)) + rng.normal(0, 0.3, (40, 8)), GraphSettings(k=6))
    return propagate(graph, LabelMatrix(values, known, ("left", "right")))


def test_givers_are_those_of_the_dense_kernel(spread: Propagation) -> None:
    """H by its eigenvalues, and the sum over givers written as a loop."""
    accepted = np.zeros((40, 2), dtype=bool)
    accepted[[1, 2], 0] = accepted[33, 1] = True
    found = examples(spread, PseudoLabels(accepted, ~accepted, np.full(2, 0.5)), spread.probabilities, NAMES, seed=0)
    assert {(one["image"], one["label"]) for one in found} == {
        ("1.png", "left"),
        ("2.png", "left"),
        ("33.png", "right"),
    }
    values, vectors = np.linalg.eigh(spread.graph.normalised.toarray())
    kernel = vectors @ np.diag(np.exp(-spread.graph.settings.t * (1 - values))) @ vectors.T
    for one in found:
        i, c = NAMES.index(one["image"]), spread.labels.names.index(one["label"])
        mass = {NAMES[j]: kernel[i, j] for j in range(40) if spread.labels.values[j, c]}
        best = sorted(mass, key=lambda name: -mass[name])[:GIVERS]
        assert [giver["image"] for giver in one["givers"]] == best
        assert one["givers"][0]["share"] == pytest.approx(mass[best[0]] / sum(mass.values()), abs=1e-4)
        known = sum(kernel[i, j] for j in range(40) if spread.labels.known[j, c])
        assert one["agreement"] == pytest.approx(sum(mass.values()) / known, abs=1e-3)
        assert one["accepted"]


def test_examples_are_spread_over_labels(spread: Propagation) -> None:
    accepted = np.zeros((40, 2), dtype=bool)
    accepted[[n for n in range(20) if n % 4], 0] = accepted[33, 1] = True
    found = examples(spread, PseudoLabels(accepted, ~accepted, np.full(2, 0.5)), spread.probabilities, NAMES, seed=0)
    assert len(found) == EXAMPLES
    assert [one["label"] for one in found].count("right") == 1


def test_without_accepted_labels_the_most_probable_are_shown(spread: Propagation) -> None:
    nothing = np.zeros((40, 2), dtype=bool)
    found = examples(spread, PseudoLabels(nothing, nothing, np.full(2, np.inf)), spread.probabilities, NAMES, seed=0)
    assert not any(one["accepted"] for one in found)
    best = np.where(spread.labels.known, -1, spread.probabilities).max()
    assert found[0]["probability"] == pytest.approx(best, abs=1e-4)
