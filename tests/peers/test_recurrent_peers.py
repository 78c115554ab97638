"""What holds for every head that looks or speaks step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recurrent_cases import LAYOUT, RECURRENT, build, cells, facts, images, settings
from torch import Tensor, nn

from tagweave.encoders.backbones import Layout
from tagweave.model.inputs import HeadInputs
from tagweave.peers.rdar import placement
from tagweave.peers.registry import build_head, restore_head

heads = pytest.mark.parametrize("name", RECURRENT)


def last_layer(head: nn.Module) -> Tensor:
    """The rows that make the labels' logits."""
    return (head.classify if hasattr(head, "classify") else head.embedding).weight  # type: ignore[union-attr, return-value]


@heads
@pytest.mark.parametrize("labels", [1, 2, 5])
def test_scores_and_gradients_are_finite(name: str, labels: int) -> None:
    head, (maps, features) = build(name, labels), images(6)
    value = head.objective(maps, features, *cells(6, labels))
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    logits = head.eval()(maps, features).logits
    assert logits.shape == (6, labels)
    assert torch.isfinite(logits).all()


@heads
def test_every_parameter_is_trained(name: str) -> None:
    head, (maps, features) = build(name), images(6)
    if name == "rdar":
        nn.init.normal_(head.aim.weight)
    torch.manual_seed(0)
    head.objective(maps, features, *cells(6, 5)).backward()
    untouched = [own for own, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched


@heads
def test_unknown_cells_say_nothing(name: str) -> None:
    head, (maps, features), (targets, weights) = build(name), images(6), cells(6, 5)
    values = []
    for filled in (torch.zeros_like(targets), torch.ones_like(targets)):
        torch.manual_seed(0)
        values.append(head.objective(maps, features, torch.where(weights > 0, targets, filled), weights))
    assert torch.equal(*values)


@heads
def test_a_label_that_nobody_judged_is_not_pushed_down(name: str) -> None:
    head, (maps, features), (targets, weights) = build(name), images(6), cells(6, 5)
    weights[:, 2] = 0.0
    head.objective(maps, features, targets, weights).backward()
    gradient = last_layer(head).grad
    assert gradient is not None
    assert not gradient[2].any()
    assert gradient[[0, 1, 3, 4]].any(dim=1).all()


@heads
def test_images_of_which_nothing_is_known_teach_nothing(name: str) -> None:
    head, (maps, features) = build(name), images(4)
    torch.manual_seed(0)
    value = head.objective(maps, features, torch.ones(4, 5), torch.zeros(4, 5))
    value.backward()
    labels_lost = value if name != "rdar" else value - 0.1 * placed(head, maps)
    assert abs(labels_lost.item()) < 1e-7
    assert not last_layer(head).grad.any()  # type: ignore[union-attr]


def placed(head: nn.Module, maps: list[Tensor]) -> Tensor:
    return placement(head.look(maps)[1], head.anchors)  # type: ignore[operator, arg-type]


@heads
def test_images_without_a_label_are_learnt_as_such(name: str) -> None:
    head, (maps, features) = build(name, labels=3), images(8)
    before = head.eval()(maps, features).logits.sigmoid().mean()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(30):
        optimiser.zero_grad()
        head.objective(maps, features, torch.zeros(8, 3), torch.ones(8, 3)).backward()
        optimiser.step()
    assert head(maps, features).logits.sigmoid().mean() < 0.3 * before


@heads
def test_a_saved_head_scores_the_same(name: str) -> None:
    head, (maps, features) = build(name).eval(), images(6)
    before = head(maps, features).logits
    head.fold()
    head.fold()
    other = restore_head(settings(name), LAYOUT, 5, head.state_dict())
    assert torch.equal(other(maps, features).logits, before)


@heads
def test_an_image_is_scored_alike_alone_and_among_others(name: str) -> None:
    head, (maps, features) = build(name).eval(), images(6)
    together = head(maps, features).logits
    for row in range(6):
        alone = head([m[row : row + 1] for m in maps], features[row : row + 1]).logits
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@heads
def test_labels_in_another_order_are_scored_alike(name: str) -> None:
    """Renumbering labels, with the weights that belong to them, renumbers the scores and leaves the loss."""
    labels, (maps, features), (targets, weights) = 5, images(6), cells(6, 5)
    order = torch.tensor([3, 0, 4, 1, 2])
    head = build(name, labels).eval()
    head_inputs = HeadInputs.measure(LAYOUT, facts(labels), [maps], features.mean(dim=0))
    other = build_head(settings(name), head_inputs)
    state = dict(head.state_dict())
    for key, tensor in state.items():
        if key == "order":
            state[key] = torch.argsort(order)[tensor]
        elif key == "confidence.weight":
            state[key] = tensor[:, order]
        elif key.startswith(("embedding", "classify", "confide.")):
            state[key] = torch.cat([tensor[:labels][order], tensor[labels:]])
    other.load_state_dict(state)
    other.eval()
    torch.testing.assert_close(
        other(maps, features).logits, head(maps, features).logits[:, order], atol=1e-5, rtol=1e-5
    )
    values = []
    for own, columns in ((head, torch.arange(labels)), (other, order)):
        torch.manual_seed(0)
        values.append(own.objective(maps, features, targets[:, columns], weights[:, columns]))
    torch.testing.assert_close(values[1], values[0], atol=1e-5, rtol=1e-5)


@heads
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3), (9, 8)])
def test_any_map_size_will_do(name: str, shape: tuple[int, int]) -> None:
    layout = Layout(maps=((3, *shape),), strides=(32,), parts=(4,))
    head, (maps, features) = build(name, 3, layout=layout), images(2, layout)
    assert torch.isfinite(head.objective(maps, features, *cells(2, 3)))
    assert torch.isfinite(head.eval()(maps, features).logits).all()


@heads
def test_prediction_draws_nothing(name: str) -> None:
    head, (maps, features) = build(name).eval(), images(4)
    torch.manual_seed(1)
    one = head(maps, features).logits
    torch.manual_seed(2)
    assert torch.equal(head(maps, features).logits, one)


@pytest.mark.slow
@heads
def test_a_traced_head_takes_any_batch(name: str) -> None:
    head, (maps, features) = build(name, 3).eval(), images(4)
    batch = torch.export.Dim.DYNAMIC
    traced = torch.export.export(head, (maps, features), dynamic_shapes=([{0: batch}] * 2, {0: batch})).module()
    maps, features = images(3, seed=1)
    np.testing.assert_allclose(traced(maps, features).logits.detach(), head(maps, features).logits.detach(), atol=1e-5)
