"""Attention against the loop over positions, and its gradients against a version that forms the projected map."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from references import model as reference
from tagweave.errors import InputError
from tagweave.model.attention import COMPATIBILITIES, NORMALISATIONS, StageAttention

ALGEBRA = 1e-10  # float64 sums of a few dozen terms of order 1, in another order
FLOAT32 = 1e-5
RULES = list(product(COMPATIBILITIES, NORMALISATIONS))


def attention_case(
    compatibility: str, normalisation: str, standardised: bool = False, seed: int = 0
) -> tuple[StageAttention, Tensor, Tensor]:
    torch.manual_seed(seed)
    attention = StageAttention(7, 5, compatibility, normalisation).double()
    if attention.u is not None:
        torch.nn.init.normal_(attention.u)
    if standardised:
        attention.channel_mean.uniform_(-1, 2)
        attention.channel_std.uniform_(0.3, 3)
    return attention, torch.randn(3, 7, 4, 2, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)


def by_reference(attention: StageAttention, stage: Tensor, g: Tensor) -> tuple[np.ndarray, np.ndarray]:
    shape = (1, -1, 1, 1)
    standardised = (stage - attention.channel_mean.view(shape)) / attention.channel_std.view(shape)
    projection, bias = (p.detach().numpy() for p in attention.projection.parameters())
    u = None if attention.u is None else attention.u.detach().numpy()
    return reference.attention_reference(
        standardised.numpy(), projection, bias, g.numpy(), u, attention.compatibility, attention.normalisation
    )


def by_projected_map(attention: StageAttention, stage: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    shape = (1, -1, 1, 1)
    x = (stage - attention.channel_mean.view(shape)) / attention.channel_std.view(shape)
    local = attention.projection(x.permute(0, 2, 3, 1))  # (B, H, W, E)
    each = g[:, None, None]
    if attention.u is None:
        compatibility = (local * each).sum(dim=3)
    else:
        compatibility = ((local + each) * attention.u).sum(dim=3)
    if attention.normalisation == "softmax":
        weights = compatibility.flatten(1).softmax(dim=1).view_as(compatibility)
    else:
        weights = 1 / (1 + torch.exp(-compatibility))
    return weights, (weights[..., None] * local).sum(dim=(1, 2))


@pytest.mark.parametrize(("compatibility", "normalisation"), RULES)
class TestAnyRule:
    @pytest.mark.parametrize("standardised", [False, True])
    def test_equal_to_the_loop_over_positions(self, compatibility: str, normalisation: str, standardised: bool) -> None:
        attention, stage, g = attention_case(compatibility, normalisation, standardised)
        weights, attended = attention(stage, g)
        expected_weights, expected = by_reference(attention, stage, g)
        assert_allclose(weights.detach().numpy(), expected_weights, atol=ALGEBRA, rtol=0)
        assert_allclose(attended.detach().numpy(), expected, atol=ALGEBRA, rtol=0)

    def test_float32_is_equal_to_its_digits(self, compatibility: str, normalisation: str) -> None:
        attention, stage, g = attention_case(compatibility, normalisation, True)
        expected_weights, expected = by_reference(attention, stage, g)
        weights, attended = attention.float()(stage.float(), g.float())
        assert_allclose(weights.detach().numpy(), expected_weights, atol=FLOAT32, rtol=FLOAT32)
        assert_allclose(attended.detach().numpy(), expected, atol=FLOAT32, rtol=FLOAT32)

    def test_gradients_are_those_of_the_projected_map(self, compatibility: str, normalisation: str) -> None:
        attention, stage, g = attention_case(compatibility, normalisation, True)
        inputs = [stage.requires_grad_(), g.requires_grad_(), *attention.parameters()]
        gradients = []
        for forward in (attention, lambda *args: by_projected_map(attention, *args)):
            weights, attended = forward(stage, g)
            total = (weights**2).sum() + attended.sin().sum()
            gradients.append(torch.autograd.grad(total, inputs, allow_unused=True))
        for found, expected in zip(*gradients, strict=True):
            assert torch.isfinite(found).all()
            torch.testing.assert_close(found, expected, atol=ALGEBRA, rtol=0)

    def test_gradients_are_those_of_small_steps(self, compatibility: str, normalisation: str) -> None:
        attention, stage, g = attention_case(compatibility, normalisation, True)
        assert torch.autograd.gradcheck(attention, [stage.requires_grad_(), g.requires_grad_()])

    def test_follows_a_permutation_of_the_positions(self, compatibility: str, normalisation: str) -> None:
        attention, stage, g = attention_case(compatibility, normalisation)
        weights, attended = attention(stage, g)
        flipped_weights, same = attention(stage.flip(2, 3), g)
        torch.testing.assert_close(flipped_weights, weights.flip(1, 2), atol=ALGEBRA, rtol=0)
        torch.testing.assert_close(same, attended, atol=ALGEBRA, rtol=0)

    def test_large_compatibilities_stay_finite(self, compatibility: str, normalisation: str) -> None:
        attention, stage, g = attention_case(compatibility, normalisation)
        weights, attended = attention(stage * 1e4, g)
        attended.sum().backward()
        assert torch.isfinite(weights).all()
        assert all(torch.isfinite(p.grad).all() for p in attention.parameters())


class TestRules:
    def test_softmax_weights_sum_to_one_and_sigmoid_weights_lie_below_it(self) -> None:
        for compatibility in COMPATIBILITIES:
            attention, stage, g = attention_case(compatibility, "softmax")
            torch.testing.assert_close(attention(stage, g)[0].sum(dim=(1, 2)), torch.ones(3).double())
            attention, stage, g = attention_case(compatibility, "sigmoid")
            weights = attention(stage, g)[0]
            assert 0 < weights.min() < weights.max() < 1

    def test_additive_softmax_does_not_depend_on_g_and_the_others_do(self) -> None:
        for rule in RULES:
            attention, stage, g = attention_case(*rule)
            apart = (attention(stage, g)[0] - attention(stage, g.flip(0))[0]).abs().max()
            assert (apart < ALGEBRA) == (rule == ("additive", "softmax"))

    def test_at_the_start_additive_attention_is_the_mean_of_the_projected_map(self) -> None:
        torch.manual_seed(0)
        attention = StageAttention(7, 5).double()
        stage = torch.randn(2, 7, 3, 3, dtype=torch.float64)
        weights, attended = attention(stage, torch.zeros(2, 5).double())
        torch.testing.assert_close(weights, torch.full((2, 3, 3), 1 / 9).double())
        torch.testing.assert_close(attended, attention.projection(stage.mean(dim=(2, 3))))

    def test_refuses_unknown_names(self) -> None:
        with pytest.raises(InputError, match="attention compatibility to be one of additive, dot, but got 'cosine'"):
            StageAttention(4, 3, "cosine")
        with pytest.raises(InputError, match="attention normalisation to be one of softmax, sigmoid, but got 'none'"):
            StageAttention(4, 3, "dot", "none")
