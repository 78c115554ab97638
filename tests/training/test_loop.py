"""The training loop: it learns, stops, resumes to the bit, and says what went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import NAMES, config, part, parts, toy, toy_head

from tagweave.config import TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.model.losses import build_loss
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.training import loop
from tagweave.training.batches import MapSource, TrainingSet
from tagweave.training.loop import Validation, score_images, train
from tagweave.training.objective import Objective

Toy = tuple[MapSource, LabelMatrix]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return toy(tmp_path_factory.mktemp("toy"))


def fitted(
    data: Toy, folder: Path, settings: TrainConfig, seed: int = 0, key: str = "k", **options: Any
) -> tuple[nn.Module, tuple[dict[str, Any], ...]]:
    """Train a new head on the toy."""
    head = toy_head(*data)
    history = train(head, *parts(*data), settings, seed=seed, folder=folder, key=key, **options)
    return head, history


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


def without_seconds(history: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


def test_what_the_maps_show_is_learnt(data: Toy, tmp_path: Path) -> None:
    _, history = fitted(data, tmp_path, config(epochs=15))
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["val_mAP"] > 0.95
    assert [record["epoch"] for record in history] == list(range(1, 16))
    written = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == list(history)


@pytest.mark.parametrize("loss", ["bce", "weighted_bce", "soft_margin", "asymmetric", "focal"])
def test_every_loss_is_learnt(loss: str, data: Toy, tmp_path: Path) -> None:
    _, history = fitted(data, tmp_path, config(epochs=15, loss=loss))
    assert history[-1]["val_mAP"] > 0.9


def test_the_same_seed_gives_the_same_bits_and_another_does_not(data: Toy, tmp_path: Path) -> None:
    one, first = fitted(data, tmp_path / "1", config())
    two, second = fitted(data, tmp_path / "2", config())
    other, _ = fitted(data, tmp_path / "3", config(), seed=1)
    assert same(one, two)
    assert without_seconds(first) == without_seconds(second)
    assert not same(one, other)


class Stopped(Exception):
    pass


def stop_after(epochs: int) -> Callable[[int, int, dict[str, Any]], None]:
    def report(epoch: int, of: int, record: dict[str, Any]) -> None:
        if epoch == epochs:
            raise Stopped

    return report


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_stopped_training_goes_on_to_the_same_bits(optimiser: str, data: Toy, tmp_path: Path) -> None:
    settings = config(optimiser=optimiser)
    straight, history = fitted(data, tmp_path / "straight", settings)
    with pytest.raises(Stopped):
        fitted(data, tmp_path / "stopped", settings, report=stop_after(2))
    seen: list[int] = []
    resumed, again = fitted(data, tmp_path / "stopped", settings, report=lambda epoch, *_: seen.append(epoch))
    assert seen == [3, 4]
    assert same(resumed, straight)
    assert without_seconds(again) == without_seconds(history)
    states = [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("straight", "stopped")]
    for name in ("head", "average"):
        assert all(torch.equal(tensor, states[1][name][key]) for key, tensor in states[0][name].items())


def test_a_training_stopped_within_an_epoch_does_that_epoch_again(
    data: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, _ = fitted(data, tmp_path / "straight", config())
    real, calls = loop.update_average, 0

    def failing(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 7:  # four batches an epoch: within the second
            raise Stopped
        real(*arguments)

    monkeypatch.setattr(loop, "update_average", failing)
    with pytest.raises(Stopped):
        fitted(data, tmp_path / "stopped", config())
    monkeypatch.undo()
    resumed, history = fitted(data, tmp_path / "stopped", config())
    assert same(resumed, straight)
    assert len(history) == 4


def test_a_finished_training_is_not_done_again(data: Toy, tmp_path: Path) -> None:
    done, _ = fitted(data, tmp_path, config())
    again, history = fitted(data, tmp_path, config(), report=stop_after(4))
    assert same(again, done)
    assert len(history) == 4


def test_a_checkpoint_of_another_training_is_not_continued(data: Toy, tmp_path: Path) -> None:
    fitted(data, tmp_path / "used", config(learning_rate=0.1), key="other")
    used, history = fitted(data, tmp_path / "used", config())
    new, _ = fitted(data, tmp_path / "new", config())
    assert same(used, new)
    assert len(history) == 4


def scores_in_turn(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    left = iter(scores)
    monkeypatch.setattr(loop, "_score", lambda *_: next(left))


def test_training_stops_after_patience_and_the_best_weights_are_kept(
    data: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[int, dict[str, Tensor]] = {}

    def keep(epoch: int, epochs: int, record: dict[str, Any]) -> None:
        kept[epoch] = torch.load(tmp_path / "last.pt", weights_only=True)["average"]

    scores_in_turn(monkeypatch, [0.2, 0.6, 0.5, 0.6, 0.1, 0.9, 0.9])
    head, history = fitted(data, tmp_path, config(epochs=30, patience=3), report=keep)
    assert len(history) == 5  # an equal score is not a better one
    assert all(torch.equal(tensor, kept[2][name]) for name, tensor in head.state_dict().items())
    assert not all(torch.equal(tensor, kept[5][name]) for name, tensor in head.state_dict().items())


def test_a_stopped_patience_is_counted_on(data: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores_in_turn(monkeypatch, [0.6, 0.5, 0.4, 0.3])
    with pytest.raises(Stopped):
        fitted(data, tmp_path, config(epochs=30, patience=3), report=stop_after(2))
    _, history = fitted(data, tmp_path, config(epochs=30, patience=3))
    assert [record["val_mAP"] for record in history] == [0.6, 0.5, 0.4, 0.3]


@pytest.mark.parametrize("known", [False, True])
def test_without_validation_positives_the_last_weights_are_kept(known: bool, data: Toy, tmp_path: Path) -> None:
    source, labels = data
    rows = np.arange(60, 70 if known else 60)
    nothing = np.zeros((len(rows), len(NAMES)), dtype=bool)
    validation = Validation(part(source, rows), LabelMatrix(nothing, nothing | known, NAMES))
    head = toy_head(source, labels)
    history = train(head, parts(*data)[0], validation, config(patience=1), seed=0, folder=tmp_path, key="k")
    assert [record["val_mAP"] for record in history] == [None] * 4
    last = torch.load(tmp_path / "last.pt", weights_only=True)["average"]
    assert all(torch.equal(tensor, last[name]) for name, tensor in head.state_dict().items())


def test_without_ema_the_chosen_weights_are_the_trained_ones(data: Toy, tmp_path: Path) -> None:
    fitted(data, tmp_path, config(ema=0.0))
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert all(torch.equal(tensor, last["head"][name]) for name, tensor in last["average"].items())


def test_a_loss_that_is_not_finite_names_epoch_and_images(data: Toy, tmp_path: Path) -> None:
    training, validation = parts(*data)
    targets = training.targets.copy()
    targets[17, 1] = np.nan
    broken = TrainingSet(training.source, targets, training.weights, training.labelled, training.names)
    head = toy_head(*data)
    with pytest.raises(FloatingPointError) as caught:
        train(head, broken, validation, config(batch=8), seed=0, folder=tmp_path, key="k")
    text = str(caught.value)
    assert text.startswith("The loss is nan in epoch 1, batch of ")
    assert "17.png" in text
    assert text.endswith(
        f"; all 8 names are in {tmp_path / 'not-finite.txt'}. Look at these images, or lower train.learning_rate."
    )
    listed = (tmp_path / "not-finite.txt").read_text().splitlines()
    assert len(listed) == 8
    assert "17.png" in listed
    assert all(torch.isfinite(tensor).all() for tensor in head.state_dict().values())


class Steep(nn.Module):
    """One weight per label whose gradient is huge, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(NAMES)))

    def forward(self, maps: list[Tensor], feature: Tensor) -> HeadOutput:
        return HeadOutput(1000 * self.weight.expand(len(feature), -1), None, ())


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_gradients_are_cut_to_their_length(clip: float, data: Toy, tmp_path: Path) -> None:
    head = Steep()
    training, _ = parts(*data)
    nothing = Validation(part(data[0], np.arange(0)), LabelMatrix.unlabelled(0, NAMES))
    settings = config(
        epochs=1, batch=60, optimiser="sgd", learning_rate=1.0, warm_up=0.0, ema=0.0, clip=clip, labelled_share=0.0
    )
    train(head, training, nothing, settings, seed=0, folder=tmp_path, key="k")
    gradient = 1000 * (0.5 - training.targets.astype(np.float64)).mean(axis=0) / len(NAMES)
    length = np.linalg.norm(gradient)
    assert length > 10
    np.testing.assert_allclose(head.weight.detach().numpy(), -gradient * min(1.0, clip / length), rtol=1e-4)


def test_unknown_cells_train_nothing(data: Toy, tmp_path: Path) -> None:
    known = np.random.default_rng(1).random((60, len(NAMES))) < 0.6
    training, validation = parts(*data, known=known)
    turned = np.where(known, training.targets, 1 - training.targets).astype(np.float32)
    other = TrainingSet(training.source, turned, training.weights, training.labelled, training.names)
    heads = []
    for number, part_of in enumerate((training, other)):
        heads.append(toy_head(*data))
        train(heads[-1], part_of, validation, config(), seed=0, folder=tmp_path / str(number), key="k")
    assert same(*heads)


class Saying(nn.Module):
    """Says the same of every batch."""

    def __init__(self, output: HeadOutput) -> None:
        super().__init__()
        self.output = output

    def forward(self, *_: Any) -> HeadOutput:
        return self.output


def test_the_auxiliary_loss_counts_with_its_weight(data: Toy) -> None:
    output = HeadOutput(torch.zeros(2, 3), torch.ones(2, 3), ())
    ones = torch.ones(2, 3)
    for weight in (0.0, 0.25):
        value = Objective(Saying(output), build_loss("bce"), weight)(([], ones), ones, ones)
        assert value.item() == pytest.approx(np.log(2) + weight * np.log1p(np.exp(-1)), abs=1e-6)
    alone = HeadOutput(torch.zeros(2, 3), None, ())
    value = Objective(Saying(alone), build_loss("bce"), 1.0)(([], ones), ones, ones)
    assert value.item() == pytest.approx(np.log(2))


class OwnObjective(torch.nn.Linear):
    """A head with its own objective and stages: it counts the calls and the last epoch begun."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.at = (epoch, epochs)

    def objective(self, maps: list[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return ((self(feature) - targets) ** 2 * weights).mean()

    def forward(self, *inputs: Any) -> Any:
        logits = super().forward(inputs[-1])
        return HeadOutput(logits, None, ()) if len(inputs) > 1 else logits


def test_a_head_may_bring_its_own_objective_and_stages(data: Toy, tmp_path: Path) -> None:
    source, _ = data
    head = OwnObjective(source.cache.layout.features, len(NAMES))
    training, validation = parts(*data)
    history = train(head, training, validation, config(epochs=3), seed=0, folder=tmp_path, key="k")
    assert head.at == (2, 3)
    maps, features = source.read(np.arange(len(source)))
    nothing = torch.zeros(len(source), len(NAMES))
    expected = Objective(head, build_loss("bce"), 1.0)((maps, features), nothing, nothing)
    assert expected.item() == 0.0
    assert history[-1]["loss"] < history[0]["loss"]


def test_scores_do_not_depend_on_the_batch(data: Toy) -> None:
    source, labels = data
    head = toy_head(source, labels)
    whole = score_images(head, source)
    told: list[tuple[int, int]] = []
    parts = score_images(head, replace(source, batch=30), lambda *step: told.append(step))
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert told == [(30, 80), (60, 80), (80, 80)]
    assert not head.training
