"""The linear yardstick's updates."""

from __future__ import annotations

import numpy as np
import torch

from tagweave.data.labels import LabelMatrix
from tagweave.training.linear import BATCH, EPOCHS, train_linear


def test_it_learns_and_stops_after_as_many_updates_as_are_allowed() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * BATCH, 3)).astype(np.float32)
    labels = LabelMatrix(x[:, :2] > 0, np.ones((2 * BATCH, 2), dtype=bool), ("a", "b"))
    whole, ended = train_linear(x, labels, 0), train_linear(x, labels, 0, 2 * EPOCHS)
    torch.testing.assert_close(ended.weight, whole.weight, rtol=0, atol=0)
    assert whole.weight.argmax(dim=1).tolist() == [0, 1]  # each label by the feature that decides it
    once = train_linear(x, labels, 0, 1)
    torch.testing.assert_close(once.weight.abs(), torch.full((2, 3), 1e-3), rtol=1e-3, atol=0)  # Adam's first step
    assert not train_linear(x, labels, 0, 0).weight.any()
