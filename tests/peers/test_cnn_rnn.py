"""CNN-RNN against loops from its equations, and on a problem in which labels follow from labels."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_cases import array, build, cells, images, linear, log_softmax, lstm, mean_precision, train

from tagweave.peers.cnn_rnn import CNNRNN
from tagweave.peers.label_paths import true_labels


def next_logits(head: Any, feature: torch.Tensor, path: tuple[int, ...]) -> np.ndarray:
    """Return logits (C + 1) of the token after ``path``, step by step."""
    table = array(head.embedding.weight)
    image = linear(head.from_image, array(head.pooled(feature.unsqueeze(0)))[0])
    h = c = np.zeros(len(image))
    for token in (head.labels + 1, *path):
        h, c = lstm(head.cell, table[token], h, c)
    joint = np.maximum(linear(head.from_path, h) + image, 0.0)
    return table[:-1] @ joint


def slow_objective(head: Any, features: torch.Tensor, targets: np.ndarray, weights: np.ndarray) -> float:
    total, steps, end = 0.0, 0, head.labels
    for feature, t, w in zip(features, targets, weights, strict=True):
        path = [int(k) for k in head.order if w[k] > 0 and t[k] >= 0.5]
        known = [k for k in range(end) if w[k] > 0]
        for step, token in enumerate([*path, end]):
            weight = w[token] if token < end else (np.mean([w[k] for k in known]) if known else 0.0)
            if weight > 0:
                allowed = [k for k in [*known, end] if k not in path[:step]]
                total -= weight * log_softmax(next_logits(head, feature, tuple(path[:step])), allowed)[token]
                steps += 1
    return total / max(steps, 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_objective_is_that_of_the_equations(seed: int) -> None:
    head, (maps, features), (targets, weights) = build("cnn_rnn"), images(6, seed=seed), cells(6, 5, seed)
    expected = slow_objective(head, features, targets.numpy(), weights.numpy())
    assert head.objective(maps, features, targets, weights).item() == pytest.approx(expected, abs=1e-5)


def test_a_wide_beam_scores_the_marginals_of_the_equations() -> None:
    head, (maps, features) = build("cnn_rnn", 4, beam=24).eval(), images(2)
    found = head(maps, features).logits.sigmoid()
    for row in range(2):
        expected = np.zeros(4)
        for length in range(5):
            for path in itertools.permutations(range(4), length):
                chance = 0.0
                for step, token in enumerate([*path, 4][: length + 1]):
                    allowed = [j for j in range(5) if j not in path[:step]]
                    chance += log_softmax(next_logits(head, features[row], path[:step]), allowed)[token]
                expected[list(path)] += math.exp(chance)
        np.testing.assert_allclose(found[row].detach(), expected, atol=1e-5)


def test_true_paths_by_hand() -> None:
    head = build("cnn_rnn", 4)
    head.order.copy_(torch.tensor([2, 0, 3, 1]))
    targets = torch.tensor([[1.0, 1.0, 0.6, 0.0], [0.0, 0.4, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    weights = torch.tensor([[1.0, 1.0, 0.5, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
    remaining, tokens = true_labels(targets, weights), []
    for _ in range(4):
        tokens.append(head.teach(torch.zeros(3, 5), remaining))
        remaining = remaining & ~torch.nn.functional.one_hot(tokens[-1], 5)[:, :-1].bool()
    assert torch.stack(tokens, dim=1).tolist() == [[2, 0, 1, 4], [4, 4, 4, 4], [0, 4, 4, 4]]


def test_the_most_frequent_label_comes_first_and_ties_go_by_index() -> None:
    head = CNNRNN(torch.nn.Identity(), 3, 4, np.array([0.2, 0.5, 0.2, 0.9]))
    assert head.order.tolist() == [3, 1, 0, 2]


def test_labels_that_follow_from_labels_are_learnt() -> None:
    """The image shows one label only; the second comes with it always, the third with the second of two."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(0, 2, (120,), generator=generator)
    targets = torch.zeros(120, 5)
    targets[torch.arange(120), first] = 1.0
    targets[torch.arange(120), 2 + first] = 1.0
    targets[:, 4] = (first == 1).float()
    maps, features = images(120)
    features[:, 0] += 4 * first
    head = build("cnn_rnn", width=16)
    train(head, maps, features, targets, steps=40, rate=0.02)
    fresh, shown = images(100, seed=1)
    truth = torch.randint(0, 2, (100,), generator=generator)
    shown[:, 0] += 4 * truth
    wanted = torch.stack([truth == 0, truth == 1, truth == 0, truth == 1, truth == 1], dim=1).float()
    assert mean_precision(head(fresh, shown).logits, wanted) > 0.95
