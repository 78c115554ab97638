"""Optimiser, learning rate, averaged weights: against the formulas, written out."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from toys import config

from tagweave.training.optim import build_optimiser, learning_rate, update_average


def test_the_rate_rises_then_falls_like_a_cosine_to_one_percent() -> None:
    settings = config(learning_rate=0.5, warm_up=0.2)
    rates = [learning_rate(step, 50, settings) for step in range(51)]
    np.testing.assert_allclose(rates[:10], 0.5 * np.arange(1, 11) / 10)
    assert rates[10] == pytest.approx(0.5)
    assert rates[30] == pytest.approx(0.5 * (0.01 + 0.99 / 2))  # half way down
    assert rates[20] == pytest.approx(0.5 * (0.01 + 0.99 * (1 + math.sqrt(0.5)) / 2))
    assert rates[50] == pytest.approx(0.005)
    assert (np.diff(rates[10:]) < 0).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_a_rate(steps: int) -> None:
    for step in range(steps):
        assert 0 < learning_rate(step, steps, config(learning_rate=1.0, warm_up=0.0)) <= 1


def test_the_average_follows_the_formula() -> None:
    torch.manual_seed(0)
    head, average = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = average.weight.detach().double().numpy().copy()
    for step in range(1, 30):
        with torch.no_grad():
            head.weight.add_(torch.randn(2, 3))
        update_average(average, head, step, 0.6)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * head.weight.detach().double().numpy()
    np.testing.assert_allclose(average.weight.detach().numpy(), expected, atol=1e-5)
    assert not average.weight.grad_fn


def test_without_decay_the_average_is_the_last_weights_to_the_bit() -> None:
    head, average = nn.Linear(5, 4), nn.Linear(5, 4)
    update_average(average, head, 7, 0.0)
    assert torch.equal(average.weight, head.weight)
    assert torch.equal(average.bias, head.bias)


def one_step(optimiser_name: str, weight_decay: float = 0.0) -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.Linear(3, 1, bias=False)
    before = layer.weight.detach().clone()
    settings = config(optimiser=optimiser_name, learning_rate=0.1, weight_decay=weight_decay)
    optimiser = build_optimiser(layer, settings)
    for _ in range(2):
        optimiser.zero_grad()
        (layer.weight * torch.tensor([[1.0, -2.0, 0.5]])).sum().backward()
        optimiser.step()
    return layer, before, torch.tensor([[1.0, -2.0, 0.5]])


def test_sgd_has_momentum() -> None:
    layer, before, gradient = one_step("sgd")
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * gradient - 0.1 * (0.9 * gradient + gradient))


def test_adamw_moves_by_the_sign_and_decays_apart() -> None:
    layer, before, gradient = one_step("adamw")
    torch.testing.assert_close(layer.weight.detach(), before - 0.2 * gradient.sign(), atol=1e-5, rtol=0)
    layer, before, gradient = one_step("adamw", weight_decay=0.5)
    decayed = (before * 0.95 - 0.1 * gradient.sign()) * 0.95 - 0.1 * gradient.sign()
    torch.testing.assert_close(layer.weight.detach(), decayed, atol=1e-5, rtol=0)


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    (group,) = build_optimiser(layer, config()).param_groups
    assert [parameter.shape for parameter in group["params"]] == [(2, 3)]


def test_buffers_of_the_average_are_the_current_ones() -> None:
    head = nn.BatchNorm1d(3)
    average = copy.deepcopy(head)
    head(torch.randn(8, 3) + 5.0)
    update_average(average, head, 100, 0.99)
    assert average.running_mean is not None
    assert head.running_mean is not None
    torch.testing.assert_close(average.running_mean, head.running_mean)
    assert int(average.num_batches_tracked or 0) == 1
