"""Very Deep: joined trunks, SVMs against a direct minimisation, and the head on one record."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from peers.peer_cases import ALGEBRA, LABELS, array, batch, head_case, learn, precision
from tagweave.data.labels import LabelMatrix
from tagweave.model.losses import squared_hinge
from tagweave.peers.very_deep import fit_svms, join_trunks


class TestJoinTrunks:
    def test_by_hand(self) -> None:
        small, large, other = np.array([[2.0, 0.0]]), np.array([[4.0, 8.0]]), np.array([[0.0, 0.0, 7.0]])
        # (3, 4) / 5 and (0, 0, 1), then both over root 2
        expected = np.array([[0.6, 0.8, 0.0, 0.0, 1.0]]) / 2**0.5
        assert_allclose(join_trunks([[small, large], [other]]), expected, atol=1e-12)

    def test_an_empty_feature_stays_empty(self) -> None:
        assert not join_trunks([[np.zeros((2, 3))]]).any()


class TestSVMs:
    def labels(self) -> LabelMatrix:
        rng = np.random.default_rng(1)
        known = rng.random((40, 6)) < 0.8
        values = rng.random((40, 6)) < 0.4
        values[:, 3], values[:, 4], known[:, 5] = True, False, False
        return LabelMatrix(values, known, tuple("abcdef"))

    def test_each_minimises_its_own_objective_over_known_images(self) -> None:
        x, labels = np.random.default_rng(0).normal(size=(40, 3)), self.labels()
        svms = fit_svms(x, labels, penalty=0.5)
        for label in range(3):
            known = labels.known[:, label]
            signs = np.where(labels.values[known, label], 1.0, -1.0)

            def objective(w: np.ndarray, known: np.ndarray = known, signs: np.ndarray = signs) -> float:
                losses = np.maximum(0, 1 - signs * (x[known] @ w[:3] + w[3])) ** 2
                return w @ w / 2 + 0.5 * losses.sum()

            best = minimize(objective, np.zeros(4), tol=1e-12).x
            # liblinear stops at a relative gradient of 1e-6, the reference at differences of about 1e-8
            assert_allclose([*svms.weights[label], svms.offsets[label]], best, atol=1e-4)

    def test_a_label_of_one_kind_has_one_margin_and_an_unknown_one_none(self) -> None:
        x = np.random.default_rng(0).normal(size=(40, 3))
        margins = fit_svms(x, self.labels()).margins(x)
        assert (margins[:, 3] == 1).all()
        assert (margins[:, 4] == -1).all()
        assert (margins[:, 5] == 0).all()


def strongest_window(channel: np.ndarray, height: int, width: int) -> float:
    rows, columns = channel.shape
    return max(
        channel[i : i + height, j : j + width].mean()
        for i in range(rows - height + 1)
        for j in range(columns - width + 1)
    )


class TestHead:
    def test_equal_to_loops(self) -> None:
        head, (maps, feature) = head_case("very_deep"), batch()
        rows = []
        for image in range(3):
            trunks = []
            for ready, stage in zip(head.standardised, maps, strict=True):
                x = ((stage - ready.mean) / ready.std).numpy()[image]
                h, w = x.shape[1:]
                windows = [(1, 1), ((h + 1) // 2, (w + 1) // 2), (h, w)]
                trunk = np.array([np.mean([strongest_window(c, *window) for window in windows]) for c in x])
                trunks.append(trunk / np.linalg.norm(trunk))
            joined = np.concatenate(trunks)
            rows.append(joined / np.linalg.norm(joined) * len(joined) ** 0.5)
        expected = np.array(rows) @ array(head.linear.weight).T + array(head.linear.bias)
        assert_allclose(array(head(maps, feature).logits), expected, atol=ALGEBRA)

    def test_trains_with_the_squared_hinge(self) -> None:
        head, (maps, feature) = head_case("very_deep"), batch()
        targets = torch.tensor([[1.0], [0.0], [1.0]]).expand(-1, LABELS)
        weights = torch.tensor([[1.0], [2.0], [0.0]]).expand(-1, LABELS)
        found = head.objective(maps, feature, targets, weights).item()
        y = array(head(maps, feature).logits)
        cells = [max(0, 1 - y[0, c]) ** 2 + 2 * max(0, 1 + y[1, c]) ** 2 for c in range(LABELS)]
        assert found == pytest.approx(sum(cells) / (2 * LABELS), rel=1e-5)

    def test_finds_things_of_any_size(self) -> None:
        maps, feature = batch(120)
        truth = torch.zeros(120, LABELS)
        truth[::2, 0] = truth[1::3, 1] = truth[::5, 2] = 1.0
        maps[0][::2, 0, 2, 3] += 8  # one cell of the fine map
        maps[1][1::3, 1, :2, :2] += 6  # four cells of nine of the coarse map
        maps[1][::5, 2] += 6  # all of it
        head = head_case("very_deep")
        learn(head, maps, feature, truth, epochs=200, rate=0.05)
        assert (precision(head, maps, feature, truth)[:3] > 0.9).all()


def test_squared_hinge_is_flat_beyond_the_margin() -> None:
    logits = torch.tensor([[1.5, -1.5, 0.0, 0.5]], requires_grad=True)
    value = squared_hinge(logits, torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.ones(1, 4))
    value.backward()
    assert value.item() == pytest.approx((1 + 1.5**2) / 4)
    assert logits.grad.tolist() == [[0.0, 0.0, -0.5, 0.75]]
