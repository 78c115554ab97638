"""Strong views: a draw says all, every change changes, and a square is gray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagweave.training.distortion import CHANGES, GRAY, cut_out, distorted
from tagweave.training.pixels import PixelSource

SIDE = 24


def picture() -> np.ndarray:
    """Return pixels without one of the gray of the square."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    pixels = np.array(smooth)
    pixels[pixels == GRAY] += 1
    return pixels


@pytest.mark.parametrize("name", CHANGES)
def test_changes_keep_the_size_and_change_by_their_strength(name: str) -> None:
    whole = Image.fromarray(picture())
    weak, strong = (np.asarray(CHANGES[name](whole, strength)) for strength in (0.1, 0.9))
    assert weak.shape == strong.shape == (SIDE, SIDE, 3)
    assert weak.dtype == np.uint8
    without_strength = name in ("identity", "autocontrast", "equalise")
    assert (weak == strong).all() == without_strength
    unchanged = [(view == picture()).all() for view in (weak, strong)]
    assert all(unchanged) == (name == "identity")


def test_places_move_as_far_as_is_said() -> None:
    dot = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    dot[12, 12] = 255
    for name, axis in (("shift across", 1), ("shift down", 0)):
        moved = np.asarray(CHANGES[name](Image.fromarray(dot), 0.75))[..., 0]  # half of 0.3 of 24: 3.6 pixels
        inside = np.where(moved == GRAY, 0, moved).astype(float)
        centre = (inside.sum(axis=1 - axis) * np.arange(SIDE)).sum() / inside.sum()
        assert centre == pytest.approx(12 - 3.6, abs=0.5)
    still = np.asarray(CHANGES["turn"](Image.fromarray(dot), 0.5))
    np.testing.assert_array_equal(still, dot)


def test_the_square_is_gray_and_at_most_half_as_wide() -> None:
    rng, sizes = np.random.default_rng(0), []
    for _ in range(300):
        gray = (cut_out(picture(), rng) == GRAY).all(axis=2)
        rows, columns = np.flatnonzero(gray.any(axis=1)), np.flatnonzero(gray.any(axis=0))
        assert gray.sum() == len(rows) * len(columns)  # nothing but one rectangle
        sizes += [len(rows), len(columns)]
    assert max(sizes) in (SIDE // 2, SIDE // 2 + 1)  # its sides are rounded apart
    assert min(sizes) == 0


def test_a_draw_says_all_and_views_differ() -> None:
    draws = [np.array([3, 1, place]) for place in range(30)]
    first, again = ([distorted(picture(), draw) for draw in draws] for _ in range(2))
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert len({view.tobytes() for view in first}) == 30


def test_a_source_gives_both_views_in_training_only(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "one.png")
    files, rows, draws = (tmp_path / "one.png",), np.array([0]), np.array([[0, 0, 5]])
    source = PixelSource(files, SIDE, "crop", 1, strong=True)
    weak, strong = source.read(rows, draws)
    (alone,) = PixelSource(files, SIDE, "crop", 1).read(rows, draws)
    assert (weak == alone).all()
    np.testing.assert_array_equal(strong[0].numpy(), distorted(weak[0].numpy(), draws[0]))
    (whole,) = source.read(rows)
    np.testing.assert_array_equal(whole[0].numpy(), picture())
