"""The order-free RNN against loops from its equations, and on labels without any order."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_cases import (
    LAYOUT,
    array,
    build,
    cells,
    images,
    linear,
    log_loss,
    log_softmax,
    lstm,
    mean_precision,
    sigmoid,
    train,
)


class Slow:
    """One image under a head, position by position."""

    def __init__(self, head: Any, stage: torch.Tensor, feature: torch.Tensor) -> None:
        self.head = head
        x = array(head.standardised(stage.unsqueeze(0)))[0]
        self.local = [linear(head.project, x[:, i, j]) for i in range(x.shape[1]) for j in range(x.shape[2])]
        self.confidence = linear(head.confide, array(head.pooled(feature.unsqueeze(0)))[0])
        self.prior = linear(head.confidence, sigmoid(self.confidence))

    def next_logits(self, path: tuple[int, ...]) -> np.ndarray:
        head, h = self.head, np.zeros(len(self.prior))
        c, table = h, array(self.head.embedding.weight)
        for token in (head.labels + 1, *path):
            query = linear(head.query, h) + self.prior
            energies = [math.exp(linear(head.u, np.tanh(local + query)).item()) for local in self.local]
            seen = sum(e / sum(energies) * local for e, local in zip(energies, self.local, strict=True))
            h, c = lstm(head.cell, np.concatenate([table[token], seen, self.prior]), h, c)
        return linear(head.classify, h)


def slow_objective(
    head: Any, maps: list[torch.Tensor], features: torch.Tensor, targets: np.ndarray, weights: np.ndarray
) -> float:
    total, steps, end, confidences = 0.0, 0, head.labels, []
    for stage, feature, t, w in zip(maps[-1], features, targets, weights, strict=True):
        slow = Slow(head, stage, feature)
        confidences.append(slow.confidence)
        known = [k for k in range(end) if w[k] > 0]
        remaining, path = [k for k in known if t[k] >= 0.5], []
        while True:
            logits = slow.next_logits(tuple(path))
            token = max(remaining, key=lambda k: logits[k]) if remaining else end
            weight = w[token] if token < end else (np.mean([w[k] for k in known]) if known else 0.0)
            if weight > 0:
                total -= weight * log_softmax(logits, [k for k in [*known, end] if k not in path])[token]
                steps += 1
            if token == end:
                break
            remaining.remove(token)
            path.append(token)
    return total / max(steps, 1) + log_loss(np.array(confidences), targets, weights)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_objective_is_that_of_the_equations(seed: int) -> None:
    head, (maps, features), (targets, weights) = build("order_free_rnn"), images(6, seed=seed), cells(6, 5, seed)
    expected = slow_objective(head, maps, features, targets.numpy(), weights.numpy())
    assert head.objective(maps, features, targets, weights).item() == pytest.approx(expected, abs=1e-5)


def test_a_wide_beam_scores_the_marginals_of_the_equations() -> None:
    head, (maps, features) = build("order_free_rnn", 3, beam=6).eval(), images(2)
    output = head(maps, features)
    for row in range(2):
        slow, expected = Slow(head, maps[-1][row], features[row]), np.zeros(3)
        for length in range(4):
            for path in itertools.permutations(range(3), length):
                chance = 0.0
                for step, token in enumerate([*path, 3]):
                    allowed = [j for j in range(4) if j not in path[:step]]
                    chance += log_softmax(slow.next_logits(path[:step]), allowed)[token]
                expected[list(path)] += math.exp(chance)
        np.testing.assert_allclose(output.logits.sigmoid()[row].detach(), expected, atol=1e-5)
        np.testing.assert_allclose(output.auxiliary[row].detach(), slow.confidence, atol=1e-5)


@pytest.mark.slow
def test_labels_without_an_order_are_learnt_from_where_they_stand() -> None:
    """Any set of labels may come; each is one small bright spot in a map that the pooled feature does not show."""
    generator = torch.Generator().manual_seed(0)
    head = build("order_free_rnn", width=24)

    def draw(count: int, seed: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        maps, features = images(count, seed=seed)
        targets = (torch.rand(count, 5, generator=generator) < 0.35).float()
        places = torch.rand(count, 12, generator=generator).argsort(dim=1)
        flat = maps[-1].flatten(2)
        for image, label in targets.nonzero().tolist():
            flat[image, label, places[image, label]] += 12.0
        return [maps[0], flat.view(count, *LAYOUT.maps[-1])], features, targets

    train(head, *draw(300, 0), steps=80, rate=0.02)
    maps, features, truth = draw(200, 1)
    output = head(maps, features)
    assert mean_precision(output.logits, truth) > 0.9
    assert mean_precision(output.auxiliary, truth) < 0.6  # the pooled feature alone knows nothing
