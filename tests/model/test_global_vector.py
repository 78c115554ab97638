"""The two further convolutions against loops over positions, at any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from references import model as reference
from tagweave.model.global_vector import GlobalConvolutions
from tagweave.model.standardised import StandardisedMap

ALGEBRA = 1e-10  # float64 sums of a few dozen terms of order 1, in another order
CHANNELS, WIDTH = 3, 4


def block(seed: int = 0) -> GlobalConvolutions:
    torch.manual_seed(seed)
    ready = StandardisedMap(torch.randn(CHANNELS), torch.rand(CHANNELS) + 0.5)
    found = GlobalConvolutions(ready, CHANNELS, WIDTH).double().eval()
    for norm in found.norms:
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    return found


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


@pytest.mark.parametrize("side", [(1, 1), (2, 3), (5, 4)])
def test_equal_to_loops_over_positions(side: tuple[int, int]) -> None:
    found, stage = block(), torch.randn(2, CHANNELS, *side, dtype=torch.float64)
    x = array((stage - found.ready.mean) / found.ready.std)
    for convolution, norm in zip(found.convolutions, found.norms, strict=True):
        parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        x = reference.convolution_block_reference(x, array(convolution.weight), *map(array, parts), norm.eps)
    assert_allclose(array(found(stage)), x.mean(axis=(2, 3)), atol=ALGEBRA, rtol=0)


def test_gradients_are_those_of_small_steps() -> None:
    found, stage = block(), torch.randn(2, CHANNELS, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(found, [stage])


def test_a_lone_value_per_channel_can_be_trained_on() -> None:
    found, stage = block().train(), torch.randn(1, CHANNELS, 1, 1, dtype=torch.float64)
    found(stage).sum().backward()
    assert all(parameter.grad is not None for parameter in found.parameters())


def test_the_papers_block_has_two_convolutions_of_512() -> None:
    found = GlobalConvolutions(StandardisedMap(torch.zeros(512), torch.ones(512)), 512, 512)
    kinds = [module for module in found.modules() if isinstance(module, nn.Conv2d)]
    assert [tuple(kind.weight.shape) for kind in kinds] == [(512, 512, 3, 3)] * 2
    assert found(torch.randn(2, 512, 28, 28)).shape == (2, 512)
