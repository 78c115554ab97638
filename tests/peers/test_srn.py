"""SRN against loops over labels, positions and kernels; its stages; and a thing that counts in one corner only."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from peers.peer_cases import (
    ALGEBRA,
    LABELS,
    array,
    batch,
    half_true,
    head_case,
    inputs,
    learned_precisions,
    permuted,
    settings,
    standardised,
)
from tagweave.model.losses import bce
from tagweave.peers.registry import build_head
from tagweave.peers.srn import stage_of

WIDTH = 3


def convolve(x: np.ndarray, layer: torch.nn.Conv2d) -> np.ndarray:
    """Convolve (channels, H, W) by loops, keeping the size, with a 1x1 or 3x3 kernel."""
    kernel, bias = array(layer.weight), array(layer.bias)
    reach = kernel.shape[2] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    out = np.zeros((len(kernel), *x.shape[1:]))
    for k, i, j in np.ndindex(out.shape):
        window = padded[:, i : i + 2 * reach + 1, j : j + 2 * reach + 1]
        out[k, i, j] = float((window * kernel[k]).sum()) + float(bias[k])
    return out


def by_loops(head: torch.nn.Module, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (C,) and the attention's own logits (C,) of one standardised map (channels, H, W)."""
    height, width = x.shape[1:]
    first, _, second, _, third = head.attend
    compatibility = convolve(np.maximum(convolve(np.maximum(convolve(x, first), 0), second), 0), third)
    confidence = convolve(x, head.confide)
    weighted, votes = np.zeros_like(confidence), []
    for label in range(LABELS):
        total = sum(math.exp(c) for c in compatibility[label].ravel())
        attention = np.array([[math.exp(c) / total for c in row] for row in compatibility[label]])
        votes.append(float((attention * confidence[label]).sum()))
        weighted[label] = height * width * attention / (1 + np.exp(-confidence[label]))
    mixed = np.maximum(convolve(weighted, head.regularise.mix[0]), 0)
    mixed = np.maximum(convolve(mixed, head.regularise.mix[2]), 0)
    kernels, bias = array(head.regularise.layout.weight), array(head.regularise.layout.bias)
    seen = [max(0.0, float((mixed[k // 4] * kernels[k, 0]).sum() + bias[k])) for k in range(4 * WIDTH)]
    linear = head.regularise.linear
    regularised = array(linear.weight) @ np.array(seen) + array(linear.bias)
    main = array(head.main.weight) @ x.mean(axis=(1, 2)) + array(head.main.bias)
    return (main + regularised) / 2, np.array(votes)


def test_equal_to_loops() -> None:
    head, (maps, feature) = head_case("srn", width=WIDTH), batch(2)
    found = head(maps, feature)
    for image, x in enumerate(standardised(head, maps[-1])):
        logits, votes = by_loops(head, x)
        assert_allclose(array(found.logits)[image], logits, atol=ALGEBRA)
        assert_allclose(array(found.auxiliary)[image], votes, atol=ALGEBRA)


def test_attention_sums_to_one_for_each_label() -> None:
    head, (maps, _) = head_case("srn"), batch()
    attention, _ = head.attention(head.standardised(maps[-1]))
    assert attention.shape == (3, LABELS, 3, 3)
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(3, LABELS))


def test_stages_follow_each_other_and_end_jointly() -> None:
    assert [stage_of(epoch, 12) for epoch in range(12)] == [
        *["main"] * 4, *["attention"] * 2, *["regularisation"] * 2, *["joint"] * 4
    ]  # fmt: skip
    assert [stage_of(epoch, 4) for epoch in range(4)] == ["main", "attention", "regularisation", "joint"]
    assert [stage_of(epoch, 2) for epoch in range(2)] == ["joint", "joint"]
    for epochs in range(1, 40):
        stages = [stage_of(epoch, epochs) for epoch in range(epochs)]
        assert stages[-1] == "joint"
        assert max(stages.count("attention"), stages.count("regularisation")) <= 2


@pytest.mark.parametrize(
    ("epoch", "learns"),
    [
        (0, {"main"}),
        (4, {"attend", "confide"}),
        (6, {"regularise"}),
        (8, {"main", "attend", "confide", "regularise"}),
    ],
)
def test_a_stage_trains_its_parts_only(epoch: int, learns: set[str]) -> None:
    head, (maps, feature) = head_case("srn"), batch()
    head.begin_epoch(epoch, 12)
    head.objective(maps, feature, torch.ones(3, LABELS), torch.ones(3, LABELS)).backward()
    moved = {name.split(".")[0] for name, p in head.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == learns


def test_the_joint_loss_is_that_of_both_heads() -> None:
    head, (maps, feature) = head_case("srn"), batch()
    targets, weights = torch.rand(3, LABELS), torch.rand(3, LABELS)
    x = head.standardised(maps[-1])
    main = head.main(x.mean(dim=(2, 3)))
    regularised = 2 * head(maps, feature).logits - main
    expected = bce(main, targets, weights) + bce(regularised, targets, weights)
    torch.testing.assert_close(head.objective(maps, feature, targets, weights), expected, atol=1e-5, rtol=1e-5)


def test_before_it_has_learned_the_regularisation_changes_no_order() -> None:
    torch.manual_seed(0)
    head, (maps, feature) = build_head(settings("srn"), inputs()).eval(), batch()
    main = head.main(head.standardised(maps[-1]).mean(dim=(2, 3)))
    prior = head.regularise.linear.bias
    torch.testing.assert_close(head(maps, feature).logits, (main + prior) / 2)


def test_follows_a_permutation_of_the_labels() -> None:
    (head, moved, order), (maps, feature) = permuted("srn"), batch()
    with torch.no_grad():
        for name in ("main", "attend.4", "confide", "regularise.linear"):
            layer, source = moved.get_submodule(name), head.get_submodule(name)
            layer.weight.copy_(source.weight[order])
            layer.bias.copy_(source.bias[order])
        moved.regularise.mix[0].weight.copy_(head.regularise.mix[0].weight[:, order])
    expected = head(maps, feature).logits[:, order]
    torch.testing.assert_close(moved(maps, feature).logits, expected, atol=ALGEBRA, rtol=ALGEBRA)


@pytest.mark.slow
def test_learns_a_label_of_which_the_place_decides() -> None:
    maps, feature, truth = half_true(240)
    stage = maps[-1]
    stage[::2, 0, 0, 0] += 4.0  # a small thing in the corner is the label,
    places = torch.randint(1, 9, (120,), generator=torch.Generator().manual_seed(4))
    for image, place in zip(range(1, 240, 2), places.tolist(), strict=True):
        stage[image, 0, place // 3, place % 3] += 4.0  # anywhere else it is not
    found = learned_precisions(("max_pool", "srn"), maps, feature, truth, epochs=120, rate=0.02)
    assert found["srn"] > 0.98
    assert found["max_pool"] < 0.8
