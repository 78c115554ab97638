"""A batch in parts: its gradients add up to the whole batch's, whatever the loss and however cells are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys import NAMES, config, parts, toy, toy_head

from tagweave.errors import InputError
from tagweave.training.device import choose_device
from tagweave.training.optim import build_optimiser
from tagweave.training.ranks import ALONE, Ranks
from tagweave.training.state import State
from tagweave.training.step import Stepper, build_stepper, move

LOSSES = ["bce", "weighted_bce", "asymmetric", "focal"]


def whole_gradient(folder: Path, loss: str, accumulate: int) -> tuple[float, torch.Tensor]:
    """Return loss and gradient of one batch of 11 with a third of the cells unknown."""
    source, labels = toy(folder, 40)
    known = np.random.default_rng(1).random((30, len(NAMES))) < 0.66
    data, _ = parts(source, labels, 30, known)
    head = toy_head(source, labels, dropout=0.0, fusion_dropout=0.0).train()
    settings = config(loss=loss, accumulate=accumulate)
    stepper = build_stepper(head, settings, torch.device("cpu"), ALONE)
    state = State(head, head, build_optimiser(head, settings), torch.amp.GradScaler("cpu", enabled=False))
    rows = np.arange(3, 14)
    inputs = [data.source.read(rows[place]) for place in stepper.places(len(rows))]
    value = stepper.gradients(state, inputs, data, rows)
    return value.item(), torch.cat([p.grad.flatten() for p in head.parameters() if p.grad is not None])


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_add_up(loss: str, tmp_path: Path) -> None:
    value, gradient = whole_gradient(tmp_path / "1", loss, 1)
    in_parts, added = whole_gradient(tmp_path / "3", loss, 3)
    assert in_parts == pytest.approx(value, rel=1e-5)
    assert gradient.abs().max() > 1e-3
    torch.testing.assert_close(added, gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("count", "world", "cut"), [(11, 2, 3), (2, 1, 5), (6, 3, 1), (4, 4, 2)])
def test_places_cover_a_batch_once(count: int, world: int, cut: int) -> None:
    steppers = [
        Stepper(torch.nn.Identity(), torch.device("cpu"), Ranks(r, world), cut, False, False) for r in range(world)
    ]
    places = np.concatenate([part for stepper in steppers for part in stepper.places(count)])
    np.testing.assert_array_equal(np.sort(places), np.arange(count))


def test_a_process_without_an_image_still_takes_part() -> None:
    (part,) = Stepper(torch.nn.Identity(), torch.device("cpu"), Ranks(2, 3), 2, False, False).places(2)
    assert part.tolist() == [0]


def test_nested_tensors_move() -> None:
    moved = move(([torch.ones(1)], torch.zeros(2)), torch.device("cpu"))
    assert isinstance(moved[0], list)
    assert moved[0][0].item() == 1


def test_cuda_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=r"Expected a CUDA device for train\.device=cuda, but PyTorch finds none"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto", 1) == choose_device("cuda", 1) == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
