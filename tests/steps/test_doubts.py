from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.steps import doubts
from tagweave.steps.doubts import Unseen, expected_errors, right_and_wrong, suspects, unseen_probabilities, write_doubts
from tagweave.suspicion import wrongness

LABELS = LabelMatrix(
    np.array([[1, 0], [0, 1], [1, 0], [0, 0]], dtype=bool), np.array([[1, 1], [1, 1], [1, 0], [0, 0]], dtype=bool),
    ("cat", "dog"),
)  # fmt: skip


def manifest(root: Path) -> Manifest:
    paths, splits = ("a.png", "b.png", "c.png", "d.png"), np.array(["train", "val", "test", "train"])
    return Manifest(root, paths, ("0", "1", "2", "3"), np.ones((4, 2), dtype=np.int32), splits)


def test_every_labelled_image_is_judged_by_what_never_saw_it(tmp_path: Path) -> None:
    for folder in ("graph", "checkpoints"):
        (tmp_path / folder).mkdir()
    np.savez(tmp_path / "graph" / "out_of_fold.npz", rows=[0, 1], probabilities=[[0.1, 0.2], [0.3, 0.4]])
    np.savez(tmp_path / "checkpoints" / "scores.npz", classifier=np.full((4, 2), 0.5))
    found = unseen_probabilities(tmp_path, manifest(tmp_path), LABELS, np.full((4, 2), 0.9))
    assert found.rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.probabilities, [[0.1, 0.2], [0.5, 0.5], [0.9, 0.9]])
    np.testing.assert_allclose(found.of(np.array([2, 0])), [[0.9, 0.9], [0.1, 0.2]])


def test_suspects_are_likelier_wrong_than_right() -> None:
    unseen = np.array([[0.02, 0.98], [0.4, 0.9], [0.45, 0.99], [0.99, 0.99]])
    cells, wrong = suspects(LABELS, unseen, np.array([True, True]))
    assert sorted(map(tuple, cells.tolist())) == [(0, 0), (0, 1)]  # a given yes at 0.02, a given no at 0.98
    assert (np.diff(wrong) <= 0).all()
    np.testing.assert_array_equal(wrong, wrongness(unseen, LABELS)[cells[:, 0], cells[:, 1]])
    assert suspects(LABELS, unseen, np.array([False, True]))[0].tolist() == [[0, 1]]


def test_wrong_labels_are_found_and_rare_ones_are_left_alone() -> None:
    """Labels drawn from calibrated p, one in fifty turned over; and a rare label that p knows nothing of."""
    rng = np.random.default_rng(0)
    p = np.stack([rng.beta(0.1, 0.4, 4000), np.full(4000, 0.01)], axis=1)
    truth = rng.random(p.shape) < p
    turned = np.zeros_like(truth)
    turned[:, 0] = rng.random(4000) < 0.02
    cells, _ = suspects(LabelMatrix(truth ^ turned, np.ones_like(truth), ("often", "rare")), p, np.ones(2, dtype=bool))
    found = turned[cells[:, 0], cells[:, 1]]
    assert (cells[:, 1] == 0).all()
    assert found.mean() > 0.5
    assert found.sum() > 0.3 * turned.sum()


def test_expected_errors_count_unknown_cells_only() -> None:
    assert expected_errors(LABELS, np.full((4, 2), 0.7)).round(6).tolist() == [0, 0, 0.3, 0.6]


def test_doubts_are_written_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "LEAST_POSITIVES", 1)
    unseen = Unseen(np.array([0, 1, 2]), np.array([[0.3, 0.95], [0.1, 0.9], [0.9, 0.5]], dtype=np.float32))
    assert write_doubts(tmp_path, manifest(tmp_path), LABELS, np.full((4, 2), 0.7), unseen) == 1
    rows = list(csv.reader((tmp_path / "suspects.csv").open()))[1:]
    assert rows[0] == ["a.png", "dog", "0", "0.9500", "0.5067", "train", "propagation"]  # .0475 of .0475 + .925 * .05
    assert list(csv.reader((tmp_path / "doubtful.csv").open()))[1:] == [
        ["d.png", "0.600", "train"], ["c.png", "0.300", "test"],
    ]  # fmt: skip
    with np.load(tmp_path / "unseen.npz") as stored:
        assert stored["names"].tolist() == ["cat", "dog"]


def test_right_and_wrong_cases_do_not_mix() -> None:
    truth = np.zeros((40, 3), dtype=bool)
    truth[:30, 0] = True
    labels = LabelMatrix(truth, np.ones_like(truth), ("a", "b", "c"))
    decided = truth.copy()
    decided[20:, 1] = True
    rows, errors = right_and_wrong(labels, decided, 6, seed=0)
    assert errors.tolist() == [0] * 6 + [1] * 6
    assert len(set(rows.tolist())) == 12
    assert (rows[:6] < 20).all()
