"""FixMatch's loss, by loops and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tagweave.model.losses import asymmetric
from tagweave.peers.fixmatch import fixmatch


def views(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    weak = 5 * torch.randn(6, 4, generator=random)
    strong = torch.randn(6, 4, generator=random)
    return weak.requires_grad_(), strong.requires_grad_(), torch.rand(6, 4, generator=random) < 0.3


@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_by_loops(seed: int) -> None:
    weak, strong, known = views(seed)
    total, cells = 0.0, 0
    for i in range(6):
        for c in range(4):
            p, q = 1 / (1 + math.exp(-weak[i, c].item())), 1 / (1 + math.exp(-strong[i, c].item()))
            if not known[i, c] and (p >= 0.9 or p <= 0.2):
                total, cells = total - math.log(q if p >= 0.9 else 1 - q), cells + 1
    assert fixmatch(weak, strong, known, above=0.9, below=0.2).item() == pytest.approx(total / cells, abs=1e-5)


def test_only_the_strong_view_learns_and_only_where_the_weak_one_is_sure() -> None:
    weak, strong, known = views()
    fixmatch(weak, strong, known).backward()
    p = weak.sigmoid()
    sure = ((p >= 0.95) | (p <= 0.05)) & ~known
    assert weak.grad is None
    assert strong.grad is not None
    assert ((strong.grad != 0) == sure).all()
    assert (strong.grad[sure & (p > 0.5)] < 0).all()


def test_without_a_sure_cell_there_is_nothing_to_learn() -> None:
    value = fixmatch(torch.zeros(2, 3), torch.ones(2, 3, requires_grad=True), torch.zeros(2, 3, dtype=torch.bool))
    value.backward()
    assert value.item() == 0.0
    assert fixmatch(torch.full((2, 3), 9.0), torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)).item() == 0.0


def test_any_loss_will_do() -> None:
    weak, strong, known = views()
    p = weak.sigmoid()
    sure = (((p >= 0.95) | (p <= 0.05)) & ~known).float()
    expected = asymmetric(strong, (p > 0.5).float(), sure)
    assert torch.equal(fixmatch(weak, strong, known, loss=asymmetric), expected)
