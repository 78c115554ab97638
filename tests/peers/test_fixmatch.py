"""Which cells FixMatch is sure of, by hand and by loops."""

from __future__ import annotations

import math

import pytest
import torch

from tagweave.peers.fixmatch import sure_cells


def test_both_thresholds_by_hand() -> None:
    logits = torch.tensor([[3.0, 2.9, 0.0, -2.9, -3.0]])  # log(0.95 / 0.05) = 2.944
    targets, sure = sure_cells(logits, torch.ones(1, 5, dtype=torch.bool))
    assert sure.tolist() == [[True, False, False, False, True]]
    assert targets.tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("seed", [0, 1])
def test_only_unknown_cells_are_filled_in(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(6, 4, generator=random)).requires_grad_()
    unknown = torch.rand(6, 4, generator=random) < 0.6
    targets, sure = sure_cells(logits, unknown, sure=0.8)
    assert not targets.requires_grad
    for i in range(6):
        for c in range(4):
            p = 1 / (1 + math.exp(-logits[i, c].item()))
            assert sure[i, c].item() == (bool(unknown[i, c]) and max(p, 1 - p) >= 0.8)
            assert targets[i, c].item() == float(p >= 0.8)


def test_half_precision_is_widened_first() -> None:
    logits = torch.tensor([[2.9453125]], dtype=torch.bfloat16)  # p = 0.9501, which bfloat16 would round to 0.949
    assert sure_cells(logits, torch.ones(1, 1, dtype=torch.bool))[1].item() == (logits.float().sigmoid() >= 0.95).item()
