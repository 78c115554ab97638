"""An easel for things drawn with plain shapes: flat colours and dark outlines, as in the font's glyphs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tagweave.data.demo.glyphs import INK, Colour

Point = tuple[float, float]

_SCALE = 3  # drawn large and reduced, so that edges are smooth
_LINE = 9


def choose(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """Draw one of the colours."""
    return colours[int(rng.integers(len(colours)))]


class Easel:
    """Draw outlined shapes in the units of a grid of the given width and height, later shapes over earlier ones."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGBA", (width * _SCALE, height * _SCALE), (*INK, 0))
        self._pen = ImageDraw.Draw(self._image)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour, radius: float = 6) -> None:
        """Draw a box with rounded corners."""
        corners = (left * _SCALE, top * _SCALE, right * _SCALE, bottom * _SCALE)
        self._pen.rounded_rectangle(corners, radius * _SCALE, fill=fill, outline=INK, width=_LINE * _SCALE)

    def oval(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """Draw an ellipse."""
        corners = (left * _SCALE, top * _SCALE, right * _SCALE, bottom * _SCALE)
        self._pen.ellipse(corners, fill=fill, outline=INK, width=_LINE * _SCALE)

    def ring(self, x: float, y: float, radius: float) -> None:
        """Draw a wheel with spokes."""
        for turn in range(4):
            across = (radius * np.cos(turn * np.pi / 4), radius * np.sin(turn * np.pi / 4))
            self.line((x - across[0], y - across[1]), (x + across[0], y + across[1]), colour=(120, 120, 124), width=3)
        corners = ((x - radius) * _SCALE, (y - radius) * _SCALE, (x + radius) * _SCALE, (y + radius) * _SCALE)
        self._pen.ellipse(corners, outline=INK, width=14 * _SCALE)

    def shape(self, fill: Colour, *points: Point) -> None:
        """Draw a polygon."""
        corners = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._pen.polygon(corners, fill=fill)
        self._pen.line([*corners, *corners[:2]], fill=INK, width=_LINE * _SCALE, joint="curve")

    def patch(self, fill: Colour, *points: Point) -> None:
        """Draw a polygon without an outline."""
        self._pen.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=fill)

    def line(self, *points: Point, colour: Colour = INK, width: float = _LINE) -> None:
        """Draw a stroke."""
        self._pen.line([(x * _SCALE, y * _SCALE) for x, y in points], colour, round(width * _SCALE), joint="curve")

    def finish(self) -> Image.Image:
        """Return the drawing, reduced and cut to what is visible."""
        small = self._image.reduce(_SCALE)
        return small.crop(small.getbbox())
