"""The closed form against a dense solution, and what comparing places is good for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from toys import toy

from tagweave.data.labels import LabelMatrix
from tagweave.metrics import average_precisions
from tagweave.model.local_ridge import side_by_side
from tagweave.training.batches import Inputs
from tagweave.training.local_ridge import SUREST, fit_local_ridge


class Drawn:
    """Give maps from memory."""

    readers, batch = 1, 64

    def __init__(self, maps: torch.Tensor) -> None:
        self.maps = maps

    def __len__(self) -> int:
        return len(self.maps)

    def read(self, rows: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Inputs:
        return [self.maps[torch.from_numpy(rows)]], torch.zeros(len(rows), 1)


def test_it_is_ridge_regression_of_standardised_averages_and_maxima(tmp_path: Path) -> None:
    source, _ = toy(tmp_path, images=50)
    targets = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    found = fit_local_ridge(replace(source, batch=16), targets, penalty=0.7)
    m = side_by_side(source.read(np.arange(50))[0])
    x = torch.cat([m.mean(dim=(2, 3)), m.amax(dim=(2, 3))], dim=1).double().numpy()
    u = (x - x.mean(axis=0)) / x.std(axis=0)
    weight = np.linalg.solve(u.T @ u + 0.7 * u.shape[1] * np.eye(u.shape[1]), u.T @ (targets - targets.mean(axis=0)))
    whole = x @ torch.cat([found.average, found.maximum], dim=1).double().numpy().T + found.bias.double().numpy()
    np.testing.assert_allclose(whole, u @ weight + targets.mean(axis=0), atol=1e-5)


def test_its_logits_have_the_targets_mean_and_deviation(tmp_path: Path) -> None:
    source, labels = toy(tmp_path)
    targets = np.clip(0.8 * labels.values + 0.1, 0, 1).astype(np.float32)
    targets[:, 2] = 0.25  # nothing to tell apart
    logits = fit_local_ridge(source, targets)(*source.read(np.arange(len(source)))).logits.numpy()
    wanted = np.log(targets / (1 - targets))
    np.testing.assert_allclose(logits.mean(axis=0), wanted.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(logits.std(axis=0), wanted.std(axis=0), atol=1e-3)


def test_sure_targets_and_a_constant_channel_stay_finite() -> None:
    maps = torch.randn(30, 4, 3, 3)
    maps[:, 1] = 2.0
    targets = (maps[:, :1, 0, 0] > 0).float().numpy()
    found = fit_local_ridge(Drawn(maps), targets)
    logits = found(*Drawn(maps).read(np.arange(30))).logits
    assert torch.isfinite(logits).all()
    wanted = np.log((1 - SUREST) / SUREST) * (2 * targets - 1)
    np.testing.assert_allclose(logits.std(dim=0, correction=0).numpy(), wanted.std(axis=0), rtol=1e-3)
    assert not found.average[:, 1].any()


def test_best_places_tell_what_stands_together_from_what_stands_apart() -> None:
    """A label is two colours on one of 49 places; other images have both, apart, or neither."""
    rng = np.random.default_rng(3)
    kind = rng.choice(3, size=600, p=(0.5, 0.2, 0.3))  # together, apart, neither
    maps = 0.3 * rng.normal(size=(600, 4, 7, 7)).astype(np.float32)
    for image in np.flatnonzero(kind < 2):
        first, second = rng.choice(49, size=2, replace=False)
        maps[image, 0].flat[first] += 4.0
        maps[image, 1].flat[first if kind[image] == 0 else second] += 4.0
    values = (kind == 0)[:, None]
    found = fit_local_ridge(Drawn(torch.from_numpy(maps[:300])), values[:300].astype(np.float32))
    test, truth = torch.from_numpy(maps[300:]), LabelMatrix(values[300:], np.ones((300, 1), dtype=bool), ("both",))
    whole = test.mean(dim=(2, 3)) @ found.average.T + test.amax(dim=(2, 3)) @ found.maximum.T
    assert average_precisions(whole.numpy(), truth)[0] < 0.85
    assert average_precisions(found.scores([test]).numpy(), truth)[0] > 0.98
