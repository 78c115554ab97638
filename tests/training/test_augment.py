"""Crops and flips: inside the picture, of the stated scales, the same for the same draw."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tagweave.training.augment import SCALES, augmented, draw_box


def picture(width: int = 40, height: int = 24) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_boxes_lie_inside_and_sides_are_of_near_scales() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(500):
        left, upper, right, lower = draw_box(80, 48, rng)
        assert 0 <= left < right <= 80
        assert 0 <= upper < lower <= 48
        wide, high = (min(SCALES, key=lambda s: abs(s - side)) for side in ((right - left) / 80, (lower - upper) / 48))
        assert (right - left) / 80 == pytest.approx(wide, abs=1e-9)
        assert abs(SCALES.index(wide) - SCALES.index(high)) <= 1
        seen.add((wide, high))
    assert len(seen) == 13  # 5 equal pairs and 4 neighbours either way


@pytest.mark.parametrize("kind", ["flip", "crop"])
def test_a_draw_says_all(kind: str) -> None:
    draws = [np.array([3, 1, place]) for place in range(20)]
    first, again = ([augmented(picture(), 16, kind, draw) for draw in draws] for _ in range(2))
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert len({image.tobytes() for image in first}) == (2 if kind == "flip" else 20)


def test_half_of_the_flips_mirror_the_whole_picture() -> None:
    whole = augmented(picture(), 16, "none", np.array([0, 0, 0]))
    np.testing.assert_array_equal(whole, augmented(picture(), 16, "crop", None))
    flipped = [augmented(picture(), 16, "flip", np.array([0, 0, place])) for place in range(200)]
    mirrored = sum((image == whole[:, ::-1]).all() for image in flipped)
    assert mirrored + sum((image == whole).all() for image in flipped) == 200
    assert 70 < mirrored < 130
