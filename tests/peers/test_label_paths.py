"""Labels as paths: the beam's sum against all paths, and what a step is taught."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from recurrent_cases import log_softmax
from torch import Tensor

from tagweave.peers.label_paths import (
    State,
    label_marginals,
    masked_log_softmax,
    mean_over_steps,
    token_weights,
    true_labels,
)

LABELS = 4


def logits_after(path: tuple[int, ...], image: int, labels: int) -> np.ndarray:
    """Any logits that depend on the whole path and its order."""
    return np.random.default_rng([image, *path]).normal(size=labels + 1) * 2


def advance_by(labels: int) -> object:
    """The same as one step of a head; the state is (image, path so far with -1 where nothing is)."""

    def advance(state: State, last: Tensor) -> tuple[Tensor, State]:
        image, path = state
        free = (path == -1).int().argmax(dim=1, keepdim=True)
        path = path.scatter(1, free, last.unsqueeze(1))
        rows = [
            logits_after(tuple(int(k) for k in own if 0 <= k < labels), int(number), labels)
            for number, own in zip(image[:, 0], path, strict=True)
        ]
        return torch.tensor(np.array(rows), dtype=torch.float32), (image, path)

    return advance


def start(images: int, labels: int) -> State:
    return torch.arange(images).unsqueeze(1), torch.full((images, labels + 2), -1)


def marginals(images: int, labels: int, width: int, steps: int) -> np.ndarray:
    return label_marginals(advance_by(labels), start(images, labels), labels, width, steps).numpy()  # type: ignore[arg-type]


def by_enumeration(image: int, labels: int, longest: int) -> np.ndarray:
    """Sum the probabilities of all whole paths that hold a label; a path of ``longest`` labels ends by itself."""
    total = np.zeros(labels)
    for length in range(longest + 1):
        for path in itertools.permutations(range(labels), length):
            chance = 0.0
            for step in range(length + (length < longest)):
                allowed = [j for j in range(labels + 1) if j not in path[:step]]
                token = path[step] if step < length else labels
                chance += log_softmax(logits_after(path[:step], image, labels), allowed)[token]
            total[list(path)] += math.exp(chance)
    return total


def by_slow_beam(image: int, labels: int, width: int, steps: int) -> np.ndarray:
    beam, total = [(0.0, ())], np.zeros(labels)
    for _ in range(min(steps, labels)):
        grown = []
        for chance, path in beam:
            allowed = [j for j in range(labels + 1) if j not in path]
            for token, own in log_softmax(logits_after(path, image, labels), allowed).items():
                if token < labels:
                    total[token] += math.exp(chance + own)
                    grown.append((chance + own, (*path, token)))
        beam = sorted(grown, reverse=True)[:width]
    return total


@pytest.mark.parametrize("longest", [1, 2, 4, 9])
def test_a_wide_beam_sums_over_all_paths(longest: int) -> None:
    found = marginals(3, LABELS, width=24, steps=longest)
    for image in range(3):
        np.testing.assert_allclose(found[image], by_enumeration(image, LABELS, min(longest, LABELS)), atol=1e-6)
    assert (found <= 1 + 1e-6).all()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_narrow_beam_is_the_slow_beam_and_a_lower_bound(width: int) -> None:
    found = marginals(3, LABELS, width, steps=3)
    for image in range(3):
        np.testing.assert_allclose(found[image], by_slow_beam(image, LABELS, width, 3), atol=1e-6)
    assert (found <= marginals(3, LABELS, 24, steps=3) + 1e-6).all()


def test_one_label_is_its_first_step() -> None:
    logits = logits_after((), 0, 1)
    expected = np.exp(logits[0]) / np.exp(logits).sum()
    np.testing.assert_allclose(marginals(1, 1, width=4, steps=8), [[expected]], atol=1e-6)


def test_closed_labels_have_no_chance_and_end_always_has_one() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    chances = masked_log_softmax(logits, torch.tensor([[True, False], [False, False]])).exp()
    share = math.exp(1) / (math.exp(1) + math.exp(3))
    torch.testing.assert_close(chances, torch.tensor([[share, 0.0, 1 - share], [0.0, 0.0, 1.0]]))


def test_weights_of_tokens_by_hand() -> None:
    weights = torch.tensor([[0.5, 0.0, 1.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(token_weights(weights), torch.tensor([[0.5, 0.0, 1.0, 0.75], [0.0, 0.0, 0.0, 0.0]]))


def test_true_labels_are_known_and_at_least_half_true() -> None:
    found = true_labels(torch.tensor([[0.5, 0.49, 1.0]]), torch.tensor([[0.1, 1.0, 0.0]]))
    assert found.tolist() == [[True, False, False]]


def test_steps_without_weight_do_not_count() -> None:
    losses, weights = torch.tensor([1.0, 5.0, 3.0]), torch.tensor([1.0, 0.0, 0.5])
    assert mean_over_steps(losses, weights).item() == 1.25
    assert mean_over_steps(losses, torch.zeros(3)).item() == 0.0
