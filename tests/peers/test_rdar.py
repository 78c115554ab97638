"""RDAR against loops from its equations, and on a small object that only a close look tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_cases import array, build, cells, images, linear, log_loss, lstm, mean_precision, train

from tagweave.encoders.backbones import Layout
from tagweave.peers.rdar import crop, placement, region_anchors, sampling_grid


def sample(x: np.ndarray, u: float, v: float) -> np.ndarray:
    """Return x (channels, H, W) at (u, v) by the four positions around, 0 outside; (-1, -1) is the map's own corner."""
    height, width = x.shape[1:]
    column, row = (u + 1) * width / 2 - 0.5, (v + 1) * height / 2 - 0.5
    total = np.zeros(len(x))
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * x[:, i, j]
    return total


def slow_crop(x: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    cut = np.zeros((len(x), height, width))
    for i in range(height):
        for j in range(width):
            u, v = (2 * j + 1) / width - 1, (2 * i + 1) / height - 1
            cut[:, i, j] = sample(x, box[0] * u + box[2], box[1] * v + box[3])
    return cut


def slow_look(head: Any, stage: torch.Tensor, regions: int) -> tuple[np.ndarray, list[np.ndarray]]:
    raw = array(head.standardised(stage.unsqueeze(0)))[0]
    x = np.stack([[linear(head.project, raw[:, i, j]) for j in range(raw.shape[2])] for i in range(raw.shape[1])])
    x = x.transpose(2, 0, 1)
    h = c = np.zeros(head.cell.hidden_size)
    box, boxes, scores = np.array([1.0, 1.0, 0.0, 0.0]), [], []
    for k in range(regions + 1):
        seen = np.maximum(linear(head.see, slow_crop(x, box, *x.shape[1:]).ravel()), 0)
        h, c = lstm(head.cell, seen, h, c)
        z = np.maximum(linear(head.reason, h), 0)
        if k:
            boxes.append(box)
            scores.append(linear(head.classify, z))
        box = linear(head.aim, z)
    return np.max(scores, axis=0), boxes


def slow_placement(boxes: list[list[np.ndarray]], anchors: list[tuple[float, float]]) -> float:
    terms = []
    for own in boxes:
        for (sx, sy, tx, ty), (cx, cy) in zip(own, anchors, strict=True):
            large = max(abs(sx) - 0.5, 0) ** 2 + max(abs(sy) - 0.5, 0) ** 2
            far = 0.5 * ((tx - cx) ** 2 + (ty - cy) ** 2)
            negative = max(0.1 - sx, 0) + max(0.1 - sy, 0)
            outside = max(abs(sx) + abs(tx) - 1, 0) ** 2 + max(abs(sy) + abs(ty) - 1, 0) ** 2
            terms.append(large + 0.01 * far + 0.1 * negative + outside)
    return float(np.mean(terms))


@pytest.mark.parametrize("regions", [1, 3])
def test_scores_and_objective_are_those_of_the_equations(regions: int) -> None:
    head, (maps, features), (targets, weights) = build("rdar", regions=regions), images(4), cells(4, 5)
    torch.nn.init.normal_(head.aim.weight)  # boxes of all kinds, also outside and mirrored
    found = [slow_look(head, stage, regions) for stage in maps[-1]]
    logits = np.array([own for own, _ in found])
    np.testing.assert_allclose(array(head(maps, features).logits), logits, atol=1e-4)
    expected = log_loss(logits, targets.numpy(), weights.numpy())
    anchors = [(0.0, 0.0), (0.5, 0.5), (-0.5, -0.5)][:regions]
    expected += 0.1 * slow_placement([boxes for _, boxes in found], anchors)
    assert head.objective(maps, features, targets, weights).item() == pytest.approx(expected, abs=1e-4)


def test_anchors_stand_in_the_centre_and_apart_on_a_circle() -> None:
    expected = torch.tensor([[0.0, 0.0], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    torch.testing.assert_close(region_anchors(5), expected)
    assert region_anchors(1).tolist() == [[0.0, 0.0]]


def test_a_whole_box_gives_the_map_itself_and_a_quarter_its_corner() -> None:
    x = torch.arange(32.0).view(1, 2, 4, 4)
    whole = crop(x, torch.tensor([[1.0, 1.0, 0.0, 0.0]]), sampling_grid(4, 4))
    torch.testing.assert_close(whole, x)
    corner = crop(x, torch.tensor([[0.5, 0.5, 0.5, -0.5]]), sampling_grid(2, 2))
    torch.testing.assert_close(corner, x[:, :, :2, 2:])  # to the right and up
    assert not crop(x, torch.tensor([[0.1, 0.1, 3.0, 0.0]]), sampling_grid(2, 2)).any()


def test_a_good_box_costs_nothing_and_each_fault_costs_its_own() -> None:
    anchors = torch.zeros(1, 2)
    faults = {
        (0.5, 0.5, 0.0, 0.0): 0.0, (0.7, 0.5, 0.0, 0.0): 0.04, (0.5, 0.5, 0.2, 0.0): 0.01 * 0.02,
        (0.5, 0.05, 0.0, 0.0): 0.1 * 0.05, (0.5, 0.5, 0.0, 0.6): 0.01 * 0.18 + 0.01, (-0.2, 0.5, 0.0, 0.0): 0.1 * 0.3,
    }  # fmt: skip
    for box, cost in faults.items():
        assert placement(torch.tensor([[box]]), anchors).item() == pytest.approx(cost, abs=1e-6)


def test_the_terms_alone_make_boxes_valid_and_keep_them_apart() -> None:
    boxes = (3 * torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    anchors = region_anchors(5)
    optimiser = torch.optim.Adam([boxes], lr=0.02, betas=(0.9, 0.9))
    for _ in range(600):
        optimiser.zero_grad()
        placement(boxes, anchors).backward()
        optimiser.step()
    scale, shift = boxes.detach()[..., :2], boxes.detach()[..., 2:]
    assert (scale > 0.05).all()
    assert (scale < 0.55).all()
    assert (scale + shift.abs() < 1.05).all()
    assert (shift - anchors).abs().max() < 0.1


def test_a_small_object_in_a_corner_is_found() -> None:
    """A label is one position in one of the four corners, in a map of noise; what it is shows in its channels."""
    layout = Layout(maps=((4, 5, 5),), strides=(32,), parts=(4,))
    generator = torch.Generator().manual_seed(0)

    def draw(count: int, seed: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        (stage,), features = images(count, layout, seed)
        targets = (torch.rand(count, 3, generator=generator) < 0.4).float()
        corners = torch.rand(count, 4, generator=generator).argsort(dim=1)
        for image, label in targets.nonzero().tolist():
            corner = int(corners[image, label])
            stage[image, label, 4 * (corner // 2), 4 * (corner % 2)] += 14.0
        return [stage], features, targets

    head = build("rdar", labels=3, layout=layout, width=24, regions=3)
    train(head, *draw(600, 0), steps=200, rate=0.005)
    maps, _, truth = draw(150, 1)
    logits, _ = head.look(maps)
    assert mean_precision(logits, truth) > 0.85
    averaged = maps[0][:, :3].mean(dim=(2, 3))  # what a pooled feature tells
    assert mean_precision(logits, truth) > mean_precision(averaged, truth) + 0.1
