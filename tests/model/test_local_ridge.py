"""Scores of the whole image and of its best places, against loops."""

from __future__ import annotations

import math

import numpy as np
import torch

from tagweave.model.local_ridge import AT_ONCE, SHARPNESS, LocalRidge, side_by_side

LABELS, CHANNELS = 3, 5


def drawn() -> LocalRidge:
    torch.manual_seed(1)
    average, maximum = torch.randn(LABELS, CHANNELS), torch.randn(LABELS, CHANNELS)
    return LocalRidge(average, maximum, torch.randn(LABELS), torch.rand(LABELS) + 0.5, torch.randn(LABELS))


def by_loops(scorer: LocalRidge, image: np.ndarray) -> np.ndarray:
    """Return the logits (C,) of one image's map (K, H, W)."""
    v, w, o = (part.double().numpy() for part in (scorer.average, scorer.maximum, scorer.bias))
    _, height, width = image.shape
    logits = []
    for c in range(len(o)):
        whole = o[c]
        for k in range(len(image)):
            whole += v[c, k] * image[k].mean() + w[c, k] * image[k].max()
        total = 0.0
        for y in range(height):
            for x in range(width):
                place = o[c] + sum((v[c, k] + w[c, k]) * image[k, y, x] for k in range(len(image)))
                total += math.exp(SHARPNESS * place) / (height * width)
        logits.append((whole + math.log(total) / SHARPNESS) * float(scorer.slope[c]) + float(scorer.offset[c]))
    return np.array(logits)


def test_it_scores_as_loops_over_places_do() -> None:
    scorer = drawn()
    maps = [torch.randn(4, 2, 3, 4), torch.randn(4, 3, 3, 4)]
    found = scorer(maps, torch.zeros(4, 1)).logits.numpy()
    both = torch.cat(maps, dim=1).double().numpy()
    np.testing.assert_allclose(found, [by_loops(scorer, image) for image in both], rtol=1e-4, atol=1e-4)


def test_an_image_that_looks_alike_everywhere_scores_the_same_whole_and_by_place() -> None:
    scorer = drawn()
    colour = torch.randn(1, CHANNELS, 1, 1)
    small, large = (scorer.scores([colour.expand(1, CHANNELS, side, side)]) for side in (1, 6))
    torch.testing.assert_close(small, large)
    whole = (scorer.average + scorer.maximum) @ colour.flatten() + scorer.bias
    torch.testing.assert_close(large[0], 2 * whole)


def test_finer_maps_are_brought_to_the_coarsest() -> None:
    fine, coarse = torch.rand(2, 2, 6, 8), torch.rand(2, 3, 3, 4)
    joined = side_by_side([fine, coarse])
    assert joined.shape == (2, 5, 3, 4)
    torch.testing.assert_close(joined[:, :2], torch.nn.functional.avg_pool2d(fine, 2))
    torch.testing.assert_close(joined[:, 2:], coarse)


def test_nothing_between_the_points_of_a_resize_is_left_out() -> None:
    fine = torch.zeros(1, 1, 13, 12)
    fine[0, 0, 1, 0] = 144.0
    assert side_by_side([fine, torch.zeros(1, 1, 3, 3)])[0, 0].sum() > 1
    assert side_by_side([torch.rand(1, 1, 3, 3), torch.zeros(1, 1, 6, 6)]).shape == (1, 2, 6, 6)


def test_labels_in_blocks_are_the_same_as_one_by_one() -> None:
    torch.manual_seed(2)
    count = AT_ONCE + 3
    parts = (torch.randn(count, CHANNELS), torch.randn(count, CHANNELS), torch.randn(count))
    m, rest = [torch.randn(2, CHANNELS, 3, 3)], (torch.ones(1), torch.zeros(1))
    found = LocalRidge(*parts, torch.ones(count), torch.zeros(count)).scores(m)
    for label in (0, AT_ONCE - 1, AT_ONCE, count - 1):
        one = LocalRidge(*(part[label : label + 1] for part in parts), *rest).scores(m)
        torch.testing.assert_close(found[:, label : label + 1], one)


def test_the_places_of_a_label_are_how_much_each_of_them_moves_its_score() -> None:
    scorer = drawn()
    m = torch.randn(1, CHANNELS, 2, 3)
    places = scorer.places([m])
    torch.testing.assert_close(places.sum(dim=(2, 3)), torch.ones(1, LABELS))
    local = ((scorer.average + scorer.maximum) @ m.flatten(2) + scorer.bias.unsqueeze(1)).requires_grad_()
    soft_maximum = torch.logsumexp(SHARPNESS * local, dim=2) / SHARPNESS
    (moved,) = torch.autograd.grad(soft_maximum.sum(), local)
    torch.testing.assert_close(places.flatten(2), moved)
