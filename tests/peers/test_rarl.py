"""RARL: its course against loops from the equations, its gradient against all courses, and a choice it must learn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_cases import array, build, cells, images, linear, log_loss, lstm, mean_precision, train

from tagweave.encoders.backbones import Layout
from tagweave.peers.rarl import agent_loss, gains, region_masks

SMALL = Layout(maps=((4, 2, 1),), strides=(32,), parts=(4,))  # few regions: all courses can be counted


def forced(choices: list[torch.Tensor]) -> Any:
    """Choose what is given, step by step."""
    given = iter(choices)
    return lambda policy: next(given)


def slow_course(
    head: Any, stage: torch.Tensor, choices: tuple[int, ...]
) -> tuple[list[np.ndarray], list[float], list[float]]:
    """Return running scores, log-probability of each choice, and what was expected of it, for one image."""
    raw, masks, place = array(head.standardised(stage.unsqueeze(0)))[0], array(head.masks), array(head.place)
    flat = raw.reshape(len(raw), -1)
    local = np.stack([linear(head.project, flat[:, i]) for i in range(flat.shape[1])])
    inside = [local[mask > 0] for mask in masks]
    h = c = np.zeros(head.cell.hidden_size)
    best, scores, chances, values = np.full(head.classify.out_features, -np.inf), [], [], []
    for step, region in enumerate((0, *choices)):
        mean, highest = inside[region].mean(axis=0), inside[region].max(axis=0)
        seen = np.maximum(linear(head.glimpse, np.concatenate([mean, highest])) + place[region], 0)
        h, c = lstm(head.cell, seen, h, c)
        best = np.maximum(best, linear(head.classify, h))
        scores.append(best)
        if step < len(choices):
            free = [r for r in range(len(masks)) if r not in (0, *choices)[: step + 1]]
            query = linear(head.query, h)
            compatible = {
                r: float(query @ (linear(head.key, inside[r].mean(axis=0)) + place[r])) / math.sqrt(len(query))
                for r in free
            }
            total = math.log(sum(map(math.exp, compatible.values())))
            chances.append(compatible[choices[step]] - total)
            values.append(linear(head.value, h).item())
    return scores, chances, values


def test_a_course_is_that_of_the_equations() -> None:
    head, (maps, _) = build("rarl").eval(), images(3)
    count = len(head.masks)
    random = np.random.default_rng(0)
    choices = [1 + random.permutation(count - 1)[:2] for _ in range(3)]
    course = head.explore(maps, forced([torch.tensor([own[t] for own in choices]) for t in range(2)]))
    for row in range(3):
        scores, chances, values = slow_course(head, maps[-1][row], tuple(int(r) for r in choices[row]))
        np.testing.assert_allclose(array(course.scores[:, row]), scores, atol=1e-5)
        np.testing.assert_allclose(array(course.chances[:, row]), chances, atol=1e-5)
        np.testing.assert_allclose(array(course.values[:, row]), values, atol=1e-5)


def test_prediction_takes_the_most_probable_regions() -> None:
    head, (maps, features) = build("rarl").eval(), images(3)
    found = head(maps, features).logits
    for row in range(3):
        chosen: tuple[int, ...] = ()
        for _ in range(2):
            free = [r for r in range(1, len(head.masks)) if r not in chosen]
            chosen += (max(free, key=lambda r: slow_course(head, maps[-1][row], (*chosen, r))[1][-1]),)
        np.testing.assert_allclose(array(found[row]), slow_course(head, maps[-1][row], chosen)[0][-1], atol=1e-5)


def test_losses_of_the_agent_by_loops() -> None:
    head, (maps, _), (targets, weights) = build("rarl"), images(6), cells(6, 5)
    choices = [torch.tensor([3, 1, 2, 4, 5, 6]), torch.tensor([1, 2, 3, 5, 4, 7])]
    found = agent_loss(head.explore(maps, forced(choices)), targets, weights)
    total, steps, t, w = 0.0, 0, targets.numpy(), weights.numpy()
    for row in range(1, 6):  # of image 0 nothing is known
        scores, chances, values = slow_course(head, maps[-1][row], tuple(int(part[row]) for part in choices))
        losses = [log_loss(own, t[row], w[row]) for own in scores]
        for step in range(2):
            rewards = [losses[later] - losses[later + 1] for later in range(step, 2)]
            advantage = sum(rewards) - values[step]
            total += -chances[step] * advantage + 0.5 * advantage**2
            steps += 1
    assert found.item() == pytest.approx(total / steps, abs=1e-5)


def test_on_average_the_gradient_is_that_of_the_expected_gain() -> None:
    """Over all courses, weighted by their probability, REINFORCE's gradient is the exact one, whatever the baseline."""
    head = build("rarl", labels=2, layout=SMALL, regions=3)
    maps, _ = images(1, SMALL)
    targets, weights = torch.tensor([[1.0, 0.0]]), torch.ones(1, 2)
    policy = [head.query.weight, head.query.bias, head.key.weight]
    regions = range(1, len(head.masks))
    expected_gain, average = torch.zeros(()), [torch.zeros_like(p) for p in policy]
    count = 0
    for first, second in itertools.permutations(regions, 2):
        course = head.explore(maps, forced([torch.tensor([first]), torch.tensor([second])]))
        chance = course.chances.sum().exp()
        held = course._replace(values=torch.full_like(course.values, 0.3), scores=course.scores.detach())
        gradient = torch.autograd.grad(agent_loss(held, targets, weights), policy, retain_graph=True)
        average = [sum_ + chance.detach() * own for sum_, own in zip(average, gradient, strict=True)]
        expected_gain = expected_gain + chance * gains(held.scores, targets, weights)[0, 0]
        count += 1
    # The expected gain's gradient by the policy alone: state and scores do not depend on query and key.
    exact = torch.autograd.grad(expected_gain, policy)
    assert count == 2
    for own, true in zip(average, exact, strict=True):
        torch.testing.assert_close(own * 2, -true, atol=1e-6, rtol=1e-4)  # the loss is a mean over two steps


def test_regions_cover_the_map_in_three_sizes() -> None:
    masks = region_masks(6, 6)
    assert len(masks) == 1 + 9 + 25
    assert masks[0].all()
    assert sorted(masks.sum(dim=1).tolist()) == [4.0] * 25 + [9.0] * 9 + [36.0]
    assert masks[1].view(6, 6)[:3, :3].all()
    assert masks[1].sum() == 9
    assert region_masks(1, 1).tolist() == [[1.0]]
    assert (region_masks(3, 2).sum(dim=1) > 0).all()


@pytest.mark.slow
def test_it_learns_to_look_where_the_label_is_told() -> None:
    """A cue over the whole map names one of its four positions; the labels are what stands there, not elsewhere."""
    layout = Layout(maps=((7, 2, 2),), strides=(32,), parts=(4,))
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        spots = (torch.rand(count, 3, 4, generator=generator) < 0.5).float()
        cue, rows = torch.randint(0, 4, (count,), generator=generator), torch.arange(count)
        stage = torch.zeros(count, 7, 2, 2)
        stage[:, :3] = 4 * spots.view(count, 3, 2, 2)
        stage[rows, 3 + cue] = 4.0
        return [stage], torch.zeros(count, 4), spots[rows, :, cue]

    head = build("rarl", labels=3, layout=layout, width=16, regions=2)
    train(head, *draw(300), steps=300, rate=0.01)
    maps, features, truth = draw(300)
    reached = mean_precision(head(maps, features).logits, truth)
    elsewhere = head.explore(maps, lambda policy: policy.argmin(dim=1)).scores[-1]
    assert reached > 0.8
    assert reached > mean_precision(elsewhere, truth) + 0.1
