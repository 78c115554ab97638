"""Pooled features under one linear layer, against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from peers.peer_cases import ALGEBRA, LABELS, array, batch, head_case, learn, precision, standardised
from tagweave.model.losses import asymmetric


def pooled_by_loops(x: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    rows = []
    for image in x:
        cells = [[float(v) for v in channel.ravel()] for channel in image]
        averages, maxima = [sum(c) / len(c) for c in cells], [max(c) for c in cells]
        rows.append([*(averages if "average" in kinds else []), *(maxima if "max" in kinds else [])])
    return np.array(rows)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("average_pool", ("average",)), ("max_pool", ("max",)), ("both_pool", ("average", "max"))],
)
def test_equal_to_loops(name: str, kinds: tuple[str, ...]) -> None:
    head, (maps, feature) = head_case(name), batch()
    x = pooled_by_loops(standardised(head, maps[-1]), kinds)
    expected = x @ array(head.linear.weight).T + array(head.linear.bias)
    assert_allclose(array(head(maps, feature).logits), expected, atol=ALGEBRA)


def test_the_linear_head_reads_the_pooled_feature_and_has_the_asymmetric_loss() -> None:
    head, (maps, feature) = head_case("asl_linear"), batch()
    logits = head.linear(head.pooled(feature))
    torch.testing.assert_close(head(maps, feature).logits, logits)
    targets, weights = torch.rand(3, LABELS), torch.rand(3, LABELS)
    expected = asymmetric(logits, targets, weights)
    torch.testing.assert_close(head.objective(maps, feature, targets, weights), expected)


@pytest.mark.parametrize(("name", "finds"), [("average_pool", False), ("max_pool", True), ("both_pool", True)])
def test_maxima_find_a_small_thing_where_averages_drown(name: str, finds: bool) -> None:
    maps, feature = batch(200)
    truth = torch.zeros(200, LABELS)
    truth[::2] = 1.0
    noise, stage = torch.randn(200, 4, 3, 3, generator=torch.Generator().manual_seed(5)), maps[-1]
    stage[:] = 0.3 * noise + 2 * torch.randn(200, 4, 1, 1, generator=torch.Generator().manual_seed(6)).clamp(max=0)
    stage[::2, 0, 1, 1] = 3.0  # one bright cell, before a ground whose brightness varies more
    stage[:, 0] -= stage[:, 0].mean(dim=(1, 2), keepdim=True)  # and that leaves the average as it is
    head = head_case(name)
    learn(head, maps, feature, truth, epochs=150, rate=0.05)
    assert bool(precision(head, maps, feature, truth)[0] > 0.99) is finds
