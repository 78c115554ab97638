"""The shares of the classifier's parts, chosen on validation images where those speak clearly."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from tagweave.api import Run
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.steps.collection import open_images
from tagweave.steps.fitting import Task
from tagweave.steps.job import Job
from tagweave.steps.joining import FEWEST, _fit_local, _mixture, choose_shares, usual_shares
from tagweave.steps.judged import common_curve

LABELS = 6
EVEN = (1 / 3, 1 / 3, 1 / 3)


def drawn(images: int, seed: int = 0) -> tuple[np.ndarray, LabelMatrix]:
    """Return logits (n, C) and labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(images, LABELS)) - 1
    values = rng.random(logits.shape) < expit(logits)
    return logits, LabelMatrix(values, np.ones_like(values), tuple("abcdef"))


def noisy(logits: np.ndarray, amount: float, seed: int) -> np.ndarray:
    return logits + amount * np.random.default_rng(seed).normal(size=logits.shape)


def test_a_part_that_knows_more_than_the_others_is_left_alone() -> None:
    logits, truth = drawn(300)
    wild = noisy(logits, 6.0, 1), noisy(logits, 6.0, 2)
    shares, facts = choose_shares([expit(wild[0]), expit(wild[1]), expit(logits)], truth, EVEN)
    assert shares == (0.0, 0.0, 1.0)
    assert facts["tried"][facts["best"]]["mAP"] == max(row["mAP"] for row in facts["tried"])
    assert choose_shares([expit(logits), expit(wild[1]), expit(wild[0])], truth, EVEN)[0] == (1.0, 0.0, 0.0)


def test_parts_that_err_alike_in_amount_stay_even() -> None:
    logits, truth = drawn(60)
    shares, facts = choose_shares([expit(noisy(logits, 1.0, seed)) for seed in (1, 2, 3)], truth, EVEN)
    assert shares == EVEN
    assert facts["ahead"][0] <= 0 <= facts["ahead"][1]


def test_few_images_and_images_without_positives_change_nothing() -> None:
    logits, truth = drawn(FEWEST - 1)
    assert choose_shares([expit(logits), expit(-logits), expit(-logits)], truth, EVEN) == (EVEN, {})
    logits, truth = drawn(100)
    none = LabelMatrix(np.zeros_like(truth.values), truth.known, truth.names)
    assert choose_shares([expit(logits), expit(-logits), expit(-logits)], none, EVEN) == (EVEN, {})


def test_unknown_cells_count_for_nothing() -> None:
    logits, truth = drawn(200)
    known = np.random.default_rng(5).random(truth.known.shape) < 0.5
    labels = LabelMatrix(truth.values & known, known, truth.names)
    wrong = np.where(known, logits, -9 * logits)
    given = [expit(noisy(logits, 5.0, 1)), expit(noisy(logits, 5.0, 2))]
    assert choose_shares([*given, expit(logits)], labels, EVEN) == choose_shares([*given, expit(wrong)], labels, EVEN)


def test_the_common_curve_is_the_same_for_all_labels_and_undoes_a_shift() -> None:
    logits, truth = drawn(2000)
    none = LabelMatrix(truth.values & (np.arange(LABELS) > 0), truth.known, truth.names)
    slope, offset = common_curve(2 * logits + 1, none)
    assert (slope, offset) == pytest.approx((0.5, -0.5), abs=0.1)
    blank = LabelMatrix(np.zeros_like(truth.values), truth.known, truth.names)
    assert common_curve(logits, blank) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("graph_share", "shares"), [(0.0, (0.5, 0.5, 0.0)), (0.25, (0.4, 0.4, 0.2)), (0.5, EVEN), (1.0, EVEN)]
)
def test_propagation_counts_for_what_the_graph_does(
    graph_share: float, shares: tuple[float, ...], tmp_path: Path
) -> None:
    (tmp_path / "graph").mkdir()
    np.savez(tmp_path / "graph" / "inductive-final.npz", share=np.float32(graph_share))
    assert usual_shares(tmp_path, "final") == pytest.approx(shares)


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [
        (None, [False, False, True, False]),
        ((0.5, 0.5, 0.0), [False] * 4),
        ((0.0, 0.5, 0.5), [False, False, True, False]),
    ],
)
def test_propagation_alone_tells_what_has_a_name_and_no_example(
    shares: tuple[float, ...] | None, wanted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label 1 has its example among the hidden images, label 2 outside the pool, label 3 no name like a class's."""
    values = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=bool)
    labels = LabelMatrix(values, np.ones_like(values), ("a", "b", "c", "d"))
    images = SimpleNamespace(labels=labels, is_pool=np.array([True, True, False]))
    propagated = nn.Identity()
    propagated.names = SimpleNamespace(tells=torch.tensor([True, True, True, False]))  # type: ignore[assignment]
    monkeypatch.setattr("tagweave.steps.inductive.load_inductive", lambda _: propagated)
    job = SimpleNamespace(folder=Path("run"), config=SimpleNamespace(train=SimpleNamespace(shares=shares)))
    fitted = SimpleNamespace(network=nn.Identity(), task=Task("choice", "", np.array([1])))
    head: Any = _mixture(job, images, fitted, nn.Identity(), ((1.0, 0.0), (1.0, 0.0)), (0.5, 0.5, 0.0))  # type: ignore[arg-type]
    assert head.untaught.tolist() == wanted


def test_the_ridge_of_places_learns_nothing_from_hidden_and_unreached_images(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job.load(finished.folder, Console(quiet=True))
    images = open_images(job)
    stored = dict(np.load(finished.folder / "graph" / "choice.npz"))
    val, pool = images.labelled("val"), stored["pool"]
    unlabelled = pool[~images.labels.labelled[pool]]
    stored["reached"] = ~np.isin(pool, unlabelled[:3])
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    monkeypatch.setattr(
        "tagweave.training.local_ridge.fit_local_ridge", lambda source, targets: seen.append((source, targets))
    )
    monkeypatch.setattr("tagweave.steps.joining.np.load", lambda *_, **__: nullcontext(stored))
    monkeypatch.setattr(type(images), "maps", lambda _, rows: rows)
    _fit_local(job, images, SimpleNamespace(task=Task("choice", "", val)))  # type: ignore[arg-type]
    ((rows, targets),) = seen
    assert len(val)
    assert set(rows) == set(pool) - set(val) - set(unlabelled[:3])
    np.testing.assert_array_equal(targets, stored["probabilities"][np.isin(pool, rows)])
