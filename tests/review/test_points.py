from __future__ import annotations

from pathlib import Path

import numpy as np

from tagweave.api import Run
from tagweave.console import Console
from tagweave.data.manifest import Manifest
from tagweave.review.desk import Desk
from tagweave.review.points import nearest, open_points


def test_the_nearest_come_first_and_never_the_image_itself() -> None:
    angles = np.array([0, 30, 5, 90, 350]) * np.pi / 180
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = nearest(points, 0, np.array([0, 1, 3, 4]), 2)
    assert [row for row, _ in found] == [4, 1]
    np.testing.assert_allclose([likeness for _, likeness in found], np.cos(angles[[4, 1]]), atol=1e-6)


def test_points_are_made_of_the_runs_records_once(run_copy: Run) -> None:
    manifest, console = Manifest.load(run_copy.folder / "manifest.parquet"), Console(quiet=True)
    points = open_points(run_copy.folder, manifest, console)
    np.testing.assert_allclose(np.linalg.norm(points.astype(np.float32), axis=1), 1.0, atol=2e-3)
    stored = run_copy.folder / "review" / "points.npy"
    before = stored.stat().st_mtime_ns
    np.testing.assert_array_equal(open_points(run_copy.folder, manifest, console), points)
    assert stored.stat().st_mtime_ns == before


def test_without_records_there_are_no_points(run: Path) -> None:
    assert open_points(run, Manifest.load(run / "manifest.parquet"), Console(quiet=True)) is None


def test_a_finished_run_explains_its_images(run_copy: Run) -> None:
    desk = Desk(run_copy.folder, Console(quiet=True))
    kept = next(iter(desk.attention.maps))
    name = desk.ids[desk.manifest.paths.index(kept)]
    told = desk.image(name)
    assert len(told["stages"]) == 3
    assert len(told["neighbours"]) == 8
    assert name not in {near["id"] for near in told["neighbours"]}
    assert all(desk.scores.labelled[desk.row(near["id"])] for near in told["neighbours"])
    likeness = [near["likeness"] for near in told["neighbours"]]
    assert likeness == sorted(likeness, reverse=True)
    assert desk.attention.png(kept, 0).startswith(b"\x89PNG")
    desk.close()
