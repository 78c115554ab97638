"""Losses against loops over known cells."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from references import model as reference
from tagweave.errors import InputError
from tagweave.model.losses import LOSSES, Loss, asymmetric, bce, build_loss, focal, weighted_bce

FLOAT32 = 1e-5  # losses are taken in float32
REFERENCES: dict[str, Callable[..., float]] = {
    "weighted_bce": reference.weighted_bce_reference,
    "bce": reference.soft_margin_reference,
    "soft_margin": reference.soft_margin_reference,
    "asymmetric": reference.asymmetric_reference,
    "focal": reference.focal_reference,
}
every_loss = pytest.mark.parametrize("name", sorted(LOSSES))


def loss_case(seed: int, soft: bool, weighted: bool, known: float = 0.6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(5, 7, generator=generator)
    targets = torch.rand(5, 7, generator=generator)
    weights = 0.1 + torch.rand(5, 7, generator=generator) if weighted else torch.ones(5, 7)
    mask = torch.rand(5, 7, generator=generator) < known
    return logits, targets if soft else (targets < 0.3).float(), weights * mask


def by_reference(name: str, logits: Tensor, targets: Tensor, weights: Tensor, **parameters: float) -> float:
    logits_, targets_, weights_ = (tensor.double().numpy() for tensor in (logits, targets, weights))
    return REFERENCES[name](logits_, targets_, weights_ > 0, weights=weights_, **parameters)


@every_loss
class TestEveryLoss:
    @pytest.mark.parametrize("soft", [False, True])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_equal_to_loops_over_known_cells(self, name: str, soft: bool, weighted: bool) -> None:
        for seed in range(3):
            case = loss_case(seed, soft, weighted)
            assert float(LOSSES[name](*case)) == pytest.approx(by_reference(name, *case), rel=FLOAT32)

    def test_gradients_are_those_of_small_steps(self, name: str) -> None:
        logits, targets, weights = (part.double() for part in loss_case(4, soft=True, weighted=True))
        assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, targets, weights), [logits.requires_grad_()])

    def test_masked_cells_have_no_loss_and_no_gradient(self, name: str) -> None:
        logits, targets, weights = loss_case(1, soft=True, weighted=True)
        logits.requires_grad_()
        loss = LOSSES[name](logits, targets, weights)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert not gradient[weights == 0].any()
        assert gradient[weights > 0].any()
        unknown = weights == 0
        changed = LOSSES[name](torch.where(unknown, 9.0, logits), torch.where(unknown, 1 - targets, targets), weights)
        assert torch.equal(changed, loss)

    def test_a_batch_without_known_cells_costs_nothing(self, name: str) -> None:
        logits = torch.randn(3, 4, requires_grad=True)
        loss = LOSSES[name](logits, torch.ones(3, 4), torch.zeros(3, 4))
        loss.backward()
        assert loss.item() == 0.0
        assert not logits.grad.any()

    def test_extreme_logits_stay_finite(self, name: str) -> None:
        logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
        loss = LOSSES[name](logits, torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.ones(1, 4))
        loss.backward()
        assert 0 < loss.item() < math.inf
        assert torch.isfinite(logits.grad).all()
        right = LOSSES[name](logits[:, :2], torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
        assert right.item() == pytest.approx(0.0, abs=1e-6)

    def test_gradient_points_towards_the_target(self, name: str) -> None:
        logits = torch.tensor([[0.3, 0.3]], requires_grad=True)
        LOSSES[name](logits, torch.tensor([[1.0, 0.0]]), torch.ones(1, 2)).backward()
        assert logits.grad[0, 0] < 0 < logits.grad[0, 1]

    def test_gradient_is_that_of_small_steps_of_the_reference(self, name: str) -> None:
        logits, targets, weights = loss_case(2, soft=True, weighted=True)
        logits = (logits / 2).requires_grad_()
        (gradient,) = torch.autograd.grad(LOSSES[name](logits, targets, weights), logits)
        for cell in [(0, 0), (1, 3), (2, 5), (4, 6)]:
            step = torch.zeros_like(logits, dtype=torch.float64)
            step[cell] = 1e-4
            up, down = (by_reference(name, logits.detach().double() + s, targets, weights) for s in (step, -step))
            assert float(gradient[cell]) == pytest.approx((up - down) / 2e-4, abs=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_is_taken_in_float32_whatever_half_comes(self, name: str, dtype: torch.dtype) -> None:
        logits, targets, weights = (tensor.to(dtype) for tensor in loss_case(3, soft=True, weighted=True))
        loss = LOSSES[name](logits, targets, weights)
        assert loss.dtype == torch.float32
        assert float(loss) == pytest.approx(by_reference(name, logits, targets, weights), rel=FLOAT32)

    def test_takes_labels_as_booleans(self, name: str) -> None:
        logits, targets, weights = loss_case(4, soft=False, weighted=False)
        found = LOSSES[name](logits, targets.bool(), weights > 0)
        assert float(found) == float(LOSSES[name](logits, targets, weights))

    def test_follows_permutations_of_images_and_of_labels(self, name: str) -> None:
        case = loss_case(5, soft=True, weighted=True)
        moved = [tensor.flip(0)[:, torch.randperm(7, generator=torch.Generator().manual_seed(0))] for tensor in case]
        assert float(LOSSES[name](*moved)) == pytest.approx(float(LOSSES[name](*case)), rel=FLOAT32)


class TestWeightedBce:
    def test_by_hand(self) -> None:
        # One positive and two negatives known, at logit 0: wt_p = 4/2, wt_n = 4/3, each -log p is log 2.
        targets, weights = torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
        found = weighted_bce(torch.zeros(1, 4), targets, weights)
        assert float(found) == pytest.approx(math.log(2) * (2 + 4 / 3 + 4 / 3) / 3)

    def test_cell_weights_enter_neither_the_counts_nor_the_divisor(self) -> None:
        logits, targets, weights = loss_case(6, soft=False, weighted=False)
        assert float(weighted_bce(logits, targets, 3 * weights)) == pytest.approx(
            3 * float(weighted_bce(logits, targets, weights)), rel=FLOAT32
        )


class TestOthers:
    def test_bce_and_soft_margin_are_torchs_where_all_is_known(self) -> None:
        logits, targets, _ = loss_case(7, soft=False, weighted=False)
        found = float(bce(logits, targets, torch.ones_like(logits)))
        assert found == pytest.approx(float(functional.multilabel_soft_margin_loss(logits, targets)), rel=FLOAT32)

    def test_focal_and_asymmetric_without_focus_are_bce(self) -> None:
        case = loss_case(8, soft=True, weighted=True)
        plain = float(bce(*case))
        assert float(focal(*case, gamma=0.0)) == pytest.approx(plain, rel=FLOAT32)
        assert float(asymmetric(*case, 0.0, 0.0, 0.0)) == pytest.approx(plain, rel=1e-4)  # log(1 - p) of a float32 p

    @pytest.mark.parametrize(("negative", "positive", "clip"), [(2.0, 1.0, 0.1), (4.0, 0.0, 0.2), (1.0, 0.0, 0.05)])
    def test_asymmetric_parameters(self, negative: float, positive: float, clip: float) -> None:
        case = loss_case(9, soft=True, weighted=True)
        expected = by_reference("asymmetric", *case, gamma_neg=negative, gamma_pos=positive, clip=clip)
        assert float(asymmetric(*case, negative, positive, clip)) == pytest.approx(expected, rel=FLOAT32)

    def test_asymmetric_drops_negatives_below_the_clip(self) -> None:
        logits = torch.full((1, 3), -4.0, requires_grad=True)  # p is 0.018
        loss = asymmetric(logits, torch.zeros(1, 3), torch.ones(1, 3))
        loss.backward()
        assert loss.item() == 0.0
        assert not logits.grad.any()

    @pytest.mark.parametrize("gamma", [1.0, 3.0])
    def test_focal_gamma(self, gamma: float) -> None:
        case = loss_case(10, soft=True, weighted=True)
        assert float(focal(*case, gamma)) == pytest.approx(by_reference("focal", *case, gamma=gamma), rel=FLOAT32)


class TestBuildLoss:
    @every_loss
    def test_finds_every_name(self, name: str) -> None:
        loss: Loss = build_loss(name)
        assert loss is LOSSES[name]

    def test_refuses_an_unknown_name(self) -> None:
        expected = "one of weighted_bce, bce, soft_margin, asymmetric, focal, but got 'hinge'"
        with pytest.raises(InputError, match=expected):
            build_loss("hinge")


def test_every_loss_has_a_reference() -> None:
    assert set(REFERENCES) == set(LOSSES)
    assert np.isfinite([by_reference(name, *loss_case(0, True, True)) for name in LOSSES]).all()
