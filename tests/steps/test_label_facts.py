"""What the label side starts from: given labels, or propagated ones too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from references import model as reference
from tagweave.config import ModelConfig
from tagweave.data.labels import LabelMatrix
from tagweave.model.cooccurrence import conditional_probability
from tagweave.steps.label_facts import label_facts

NAMES = ("boat", "sea", "sky")
VALUES = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], bool)
KNOWN = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0], [0, 0, 0]], bool)
GIVEN = LabelMatrix(VALUES, KNOWN, NAMES)


@pytest.fixture
def propagated(tmp_path: Path) -> Path:
    probabilities = np.full((4, 3), 0.7, dtype=np.float32)
    probabilities[2] = (0.9, 0.8, 0.4)
    np.savez(tmp_path / "choice.npz", probabilities=probabilities, reached=np.array([True, True, True, False]))
    return tmp_path / "choice.npz"


def test_given_counts_read_no_propagation(tmp_path: Path) -> None:
    facts = label_facts(ModelConfig(), GIVEN, tmp_path / "none.npz", 0)
    np.testing.assert_array_equal(facts.conditional, conditional_probability(GIVEN))
    assert facts.vectors.shape == (3, 50)
    np.testing.assert_array_equal(facts.rates, GIVEN.rates())


def test_propagated_counts_add_what_is_probable_where_it_was_reached(propagated: Path) -> None:
    facts = label_facts(ModelConfig(counts="propagated"), GIVEN, propagated, 0)
    p = np.array([[1, 1, 0], [0, 1, 0.7], [0.9, 0.8, 0.4], [0, 0, 0]], np.float32)
    counts = KNOWN.copy()
    counts[2, :2] = True  # not "sky": nobody saw one, so none is believed in
    np.testing.assert_allclose(facts.conditional, reference.expected_reference(p, counts), rtol=1e-7)
    assert facts.conditional[0, 1] == pytest.approx((1 + 0.9 * 0.8) / 1.9)
    assert not facts.conditional[2].any()


@pytest.mark.parametrize("fusion", ["linear", "none"])
def test_without_the_gcn_no_words_are_needed(fusion: str, tmp_path: Path) -> None:
    odd = LabelMatrix(VALUES, KNOWN, ("xqzzv", "sea", "sky"))
    assert label_facts(ModelConfig(fusion=fusion), odd, tmp_path, 0).vectors.shape == (3, 0)
