"""The canvas of a scene and the strokes that all painters share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from tagweave.data.demo.glyphs import Colour, glyph

T = TypeVar("T")
Span = tuple[float, float]
Box = tuple[float, float, float, float]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return ``first`` moved towards ``second``: 0 is the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Return ``colour`` darker (factor below 1) or lighter (above 1)."""
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


@dataclass(frozen=True)
class Light:
    """Say how a time of day and its weather look; ``tint`` multiplies the finished picture's channels."""

    sky: Colour
    low_sky: Colour
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lamp: str = ""  # the sun or the moon
    cloudiness: float = 0.5


LIGHTS = (
    Light((92, 172, 236), (206, 236, 250), lamp="☀", cloudiness=0.4),
    Light((66, 146, 222), (176, 220, 246), cloudiness=0.7),
    Light((128, 190, 232), (240, 238, 214), (1.03, 1.0, 0.95), "☀", 0.3),
    Light((150, 162, 176), (218, 223, 227), (0.92, 0.94, 0.97), cloudiness=1.0),
    Light((122, 140, 196), (252, 206, 158), (1.05, 0.97, 0.9), "☀", 0.5),
    Light((88, 84, 148), (248, 148, 108), (1.02, 0.88, 0.84), cloudiness=0.6),
    Light((26, 36, 88), (84, 92, 158), (0.62, 0.68, 0.9), "🌕", 0.3),
)
LIGHT_CHANCES = (0.25, 0.22, 0.15, 0.16, 0.1, 0.08, 0.04)
LAMPLIGHT = ((1.0, 1.0, 1.0), (1.0, 0.98, 0.94), (0.97, 0.9, 0.8))  # tints of a room by day and in the evening


@dataclass(frozen=True)
class Canvas:
    """Hold the picture in progress, at twice the size of the finished one, and the dice and light that shape it."""

    image: Image.Image
    rng: np.random.Generator
    light: Light

    @cached_property
    def pen(self) -> ImageDraw.ImageDraw:
        """A pen that blends translucent colours with what is there."""
        return ImageDraw.Draw(self.image, "RGBA")

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def between(self, low: float, high: float) -> float:
        """Draw a number evenly from [low, high)."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Say yes with the given probability."""
        return bool(self.rng.random() < probability)

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of the choices, all equally likely."""
        return choices[int(self.rng.integers(len(choices)))]

    def several(self, few: int, many: int) -> range:
        """Return a range of random length from ``few`` to ``many``, both possible."""
        return range(int(self.rng.integers(few, many + 1)))


@dataclass(frozen=True)
class Ground:
    """Say where things go, in shares of the canvas height counted from its upper edge.

    Attributes:
        feet: where things stand, from the farthest to the nearest.
        air: where the middle of flying things may be.
        water: where boats float; None where there is no water.
        indoors: whether it is a room.
    """

    feet: Span
    air: Span = (0.12, 0.4)
    water: Span | None = None
    indoors: bool = False


def gradient(canvas: Canvas, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
    """Fill the rows from ``top`` to ``bottom`` with colours that run from ``upper`` to ``lower``."""
    first, last = round(top), round(bottom)
    if last <= first:
        return
    share = np.linspace(0, 1, last - first)[:, None]
    column = np.array(upper) + (np.array(lower) - np.array(upper)) * share
    strip = Image.fromarray(column.astype(np.uint8)[:, None, :], "RGB")
    canvas.image.paste(strip.resize((canvas.width, last - first)), (0, first))


def ridge(canvas: Canvas, base: float, height: float, colour: Colour, waves: float = 2.0) -> None:
    """Draw a skyline of hills that stand on row ``base`` and reach up to ``height`` above it."""
    x = np.linspace(0, 1, 40)
    heights = np.full_like(x, 0.55)
    for octave in range(3):
        phase, frequency = canvas.between(0, 6.3), waves * 2**octave * canvas.between(0.7, 1.3)
        heights += np.sin(x * frequency * 3.14 + phase) * 0.3 / 2**octave
    points = [(float(a) * canvas.width, base - height * max(0.05, float(b))) for a, b in zip(x, heights, strict=True)]
    canvas.pen.polygon([(0, base + 1), *points, (canvas.width, base + 1)], fill=colour)


def speckle(canvas: Canvas, box: Box, colours: Sequence[Colour], count: int, size: float, slope: float = 0.0) -> None:
    """Scatter short strokes in ``box``, longer towards its lower edge; ``slope`` 0 is level, 1 upright."""
    left, top, right, bottom = box
    spots = canvas.rng.random((count, 4))
    for x, y, lean, tone in spots.tolist():
        row = top + (bottom - top) * y**0.7
        length = size * (0.25 + 0.75 * y)
        start = left + (right - left) * x
        end = (start + length * (1 - slope) + length * 0.5 * slope * (lean - 0.5), row - length * slope)
        colour = colours[int(tone * len(colours))]
        canvas.pen.line((start, row, *end), fill=(*colour, 150), width=2 if y < 0.6 else 3)


def soften(canvas: Canvas, box: Box, colour: Colour, alpha: int) -> None:
    """Lay a translucent veil over ``box``."""
    canvas.pen.rectangle(box, fill=(*colour, alpha))


def stamp(canvas: Canvas, char: str, x: float, foot: float, height: float, mirror: bool = False) -> None:
    """Set a glyph of the given height with the middle of its lower edge at (x, foot)."""
    picture = glyph(char)
    width = max(1, round(picture.width * height / picture.height))
    small = picture.resize((width, max(1, round(height))), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if mirror:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas.image.paste(small, (round(x - width / 2), round(foot - height)), small)
