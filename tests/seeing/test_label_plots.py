"""Drawings of the label side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import NAMES
from tagweave.api import Run
from tagweave.errors import InputError
from tagweave.seeing.label_plots import (
    draw_cooccurrence,
    draw_embedding,
    flat_points,
    label_embedding,
    write_label_plots,
)


def test_points_keep_the_distances_of_directions_in_a_plane() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, 9)
    basis = np.linalg.qr(rng.normal(size=(7, 2)))[0]
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ basis.T
    points = flat_points(unit * rng.uniform(0.5, 4, (9, 1)))
    wanted = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points[None], axis=2), wanted, atol=1e-9)


def test_one_or_two_labels_are_drawn_too() -> None:
    for count in (1, 2):
        points = flat_points(np.eye(count))
        assert points.shape == (count, 2)
        assert np.isfinite(points).all()
        draw_embedding(points, np.eye(count), np.arange(count), [str(i) for i in range(count)])
        draw_cooccurrence(np.eye(count), [str(i) for i in range(count)])


def test_from_the_command_line(finished: Run, run_copy: Run, tagweave: Callable[..., Any]) -> None:
    said = tagweave("plots", run_copy.folder)
    assert said.code == 0
    paths = [run_copy.folder / "plots" / name for name in ("cooccurrence.svg", "label_embedding.svg")]
    assert said.out.split() == [str(path) for path in paths]
    for path in paths:
        text = path.read_text()
        assert text.rstrip().endswith("</svg>")
        assert all(f"<!-- {name} -->" in text for name in NAMES)
    embedding = label_embedding(finished.classifier)
    assert embedding is not None
    assert embedding.shape == (4, 32)


def test_a_run_that_was_not_measured(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.folder / "model", tmp_path / "model")
    with pytest.raises(InputError, match=r"^Expected a measured run in .*; run 'tagweave evaluate' first\.$"):
        write_label_plots(tmp_path, finished.classifier)
