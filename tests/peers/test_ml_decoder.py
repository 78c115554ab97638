"""ML-Decoder against loops over heads, queries and positions; and what only a look at single positions can tell."""

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
from tagweave.model.losses import asymmetric
from tagweave.peers.registry import build_head


def normed(x: np.ndarray, norm: torch.nn.LayerNorm) -> np.ndarray:
    return (x - x.mean()) / math.sqrt(x.var() + norm.eps) * array(norm.weight) + array(norm.bias)


def attended(q: np.ndarray, tokens: np.ndarray, layer: torch.nn.MultiheadAttention) -> np.ndarray:
    """Let one query (E,) read tokens (n, E), head by head."""
    width, heads = layer.embed_dim, layer.num_heads
    each = width // heads
    into, bias = array(layer.in_proj_weight), array(layer.in_proj_bias)
    asks = into[:width] @ q + bias[:width]
    keys = [into[width : 2 * width] @ t + bias[width : 2 * width] for t in tokens]
    values = [into[2 * width :] @ t + bias[2 * width :] for t in tokens]
    read = []
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        scores = [math.exp(float(asks[part] @ key[part]) / math.sqrt(each)) for key in keys]
        read.append(sum(s / sum(scores) * value[part] for s, value in zip(scores, values, strict=True)))
    return array(layer.out_proj.weight) @ np.concatenate(read) + array(layer.out_proj.bias)


def by_loops(head: torch.nn.Module, x: np.ndarray) -> list[float]:
    """Return logits (C,) of one standardised map (channels, H, W)."""
    positions = x.reshape(len(x), -1).T
    tokens = np.maximum(positions @ array(head.embed.weight).T + array(head.embed.bias), 0)
    layer, logits = head.layer, []
    for group, query in enumerate(array(head.queries)):
        q = normed(2 * query, layer.norms[0])
        q = normed(q + attended(q, tokens, layer.attention), layer.norms[1])
        inner = np.maximum(array(layer.first.weight) @ q + array(layer.first.bias), 0)
        q = normed(q + array(layer.second.weight) @ inner + array(layer.second.bias), layer.norms[2])
        logits += [float(q @ w) for w in array(head.weight)[group]]
    return [y + float(b) for y, b in zip(logits, array(head.bias), strict=False)]


@pytest.mark.parametrize("labels", [1, 5, 103])
def test_equal_to_loops(labels: int) -> None:
    head, (maps, feature) = head_case("ml_decoder", inputs(labels)), batch(2)
    assert head.layer.attention.num_heads == 8
    expected = [by_loops(head, x) for x in standardised(head, maps[-1])]
    assert_allclose(array(head(maps, feature).logits), expected, atol=ALGEBRA)


def test_equal_to_the_layer_in_timm() -> None:
    from timm.layers.ml_decoder import MLDecoder

    head, (maps, feature) = head_case("ml_decoder"), batch()
    theirs = MLDecoder(LABELS, decoder_embedding=8, initial_num_features=4).eval()
    layer = theirs.decoder = theirs.decoder.layers[0]  # torch's wrapper asks it for a self-attention
    with torch.no_grad():
        layer.linear1, layer.linear2 = head.layer.first, head.layer.second
        layer.norm1, layer.norm2, layer.norm3 = head.layer.norms
        layer.multihead_attn.load_state_dict(head.layer.attention.state_dict())
        theirs.embed_standart = head.embed
        theirs.query_embed.weight.copy_(head.queries)
        theirs.duplicate_pooling.copy_(head.weight.transpose(1, 2))
        theirs.duplicate_pooling_bias.copy_(head.bias)
    expected = theirs(head.standardised(maps[-1]))
    torch.testing.assert_close(head(maps, feature).logits, expected, atol=ALGEBRA, rtol=ALGEBRA)


@pytest.mark.parametrize(("labels", "groups", "each"), [(1, 1, 1), (100, 100, 1), (101, 100, 2), (1000, 100, 10)])
def test_queries_are_a_hundred_at_most(labels: int, groups: int, each: int) -> None:
    head = build_head(settings("ml_decoder"), inputs(labels))
    assert head.weight.shape == (groups, each, 8)
    assert not head.queries.requires_grad


@pytest.mark.parametrize(("width", "heads"), [(1, 1), (6, 6), (7, 7), (10, 5), (11, 1), (256, 8)])
def test_any_width(width: int, heads: int) -> None:
    head = head_case("ml_decoder", width=width)
    assert head.layer.attention.num_heads == heads
    assert torch.isfinite(head(*batch()).logits).all()


def test_trains_with_the_asymmetric_loss() -> None:
    head, (maps, feature) = head_case("ml_decoder"), batch()
    targets, weights = torch.rand(3, LABELS), torch.rand(3, LABELS)
    expected = asymmetric(head(maps, feature).logits, targets, weights)
    torch.testing.assert_close(head.objective(maps, feature, targets, weights), expected)


def test_follows_a_permutation_of_the_labels_and_their_queries() -> None:
    (head, moved, order), (maps, feature) = permuted("ml_decoder"), batch()
    with torch.no_grad():
        for name in ("queries", "weight", "bias"):
            getattr(moved, name).copy_(getattr(head, name)[order])
    expected = head(maps, feature).logits[:, order]
    torch.testing.assert_close(moved(maps, feature).logits, expected, atol=ALGEBRA, rtol=ALGEBRA)


def test_learns_what_lies_in_one_place_together() -> None:
    maps, feature, truth = half_true(120)
    stage = maps[-1]
    drawn = torch.randint(0, 9, (120,), generator=torch.Generator().manual_seed(4)).tolist()
    for image, place in enumerate(drawn):
        other = place if image % 2 == 0 else (place + 1 + image % 8) % 9  # two channels, in one cell or in two
        stage[image, 0, place // 3, place % 3] += 4.0
        stage[image, 1, other // 3, other % 3] += 4.0
    found = learned_precisions(("both_pool", "ml_decoder"), maps, feature, truth, epochs=100, rate=0.03)
    assert found["ml_decoder"] > 0.98
    assert found["both_pool"] < 0.8
