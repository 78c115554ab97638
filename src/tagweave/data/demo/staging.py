"""Where the things of a scene stand, fly or float, and how they are set into it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from tagweave.data.demo import furniture
from tagweave.data.demo.brush import Canvas, Ground, Span, shade
from tagweave.data.demo.catalogue import Figure
from tagweave.data.demo.glyphs import Colour

_TRIES = 6


@dataclass(frozen=True)
class Sprite:
    """Hold a picture at its final size, where it goes, when it is set, and how it meets the ground.

    Attributes:
        order: what has less is set first and is covered by the rest; for standing things the row of the feet.
        footing: ``shadow``, ``water`` or nothing.
    """

    label: str
    picture: Image.Image
    left: float
    top: float
    order: float
    footing: str = ""

    @property
    def right(self) -> float:
        return self.left + self.picture.width

    @property
    def bottom(self) -> float:
        return self.top + self.picture.height


@dataclass(frozen=True)
class Stage:
    """Hold what placing needs: the canvas, its ground, the scale of all things, and what is placed so far."""

    canvas: Canvas
    ground: Ground
    zoom: float
    placed: list[Sprite]


# What rests on what, and how far below the carrier's upper edge, as a share of its height.
_CARRIERS: dict[str, tuple[tuple[str, ...], float]] = {
    "diningtable": (("bottle", "pottedplant", "cat"), 0.3),
    "sofa": (("cat", "dog"), 0.74),
    "chair": (("cat",), 0.66),
    "cabinet": ((), 0.08),
}
_RAISED = ("tvmonitor", "bottle")
_CABINET = Figure(furniture.cabinet, 0.46, tilt=0)


def arrange(canvas: Canvas, ground: Ground, cast: list[tuple[str, Figure]], zoom: float) -> list[Sprite]:
    """Place the cast, carriers first so that small things may rest on them; return it in the order of painting."""
    stage = Stage(canvas, ground, zoom, [])
    for label, figure in sorted(cast, key=lambda member: member[0] not in _CARRIERS):
        carrier = _carrier(stage, label, figure)
        if carrier is not None:
            stage.placed.append(_rest(stage, label, figure, carrier))
        else:
            stage.placed.append(_place(stage, label, figure))
    return sorted(stage.placed, key=lambda sprite: sprite.order)


def _carrier(stage: Stage, label: str, figure: Figure) -> Sprite | None:
    """Return what ``label`` rests on: something placed, or a cabinet that is brought in; None for the ground."""
    canvas = stage.canvas
    able = [sprite for sprite in stage.placed if label in _CARRIERS.get(sprite.label, ((), 0.0))[0]]
    if able and figure.pose == "stand" and (label == "bottle" or canvas.chance(0.6)):
        return canvas.pick(able)
    if label in _RAISED and stage.ground.indoors and canvas.chance(0.75):
        cabinet = _place(stage, "cabinet", _CABINET)
        stage.placed.append(cabinet)
        return cabinet
    return None


def _rest(stage: Stage, label: str, figure: Figure, carrier: Sprite) -> Sprite:
    """Set a figure upon ``carrier``, no wider than it."""
    canvas, span = stage.canvas, carrier.picture.width
    picture = _sized(canvas, figure, min(0.72 * stage.zoom, 0.8 * span / (figure.size * canvas.width)))
    left = carrier.left + span * 0.05 + max(1.0, span * 0.9 - picture.width) * canvas.between(0, 1)
    foot = carrier.top + carrier.picture.height * _CARRIERS[carrier.label][1]
    return Sprite(label, picture, left, foot - picture.height, carrier.order + canvas.between(0.1, 0.9))


def _place(stage: Stage, label: str, figure: Figure) -> Sprite:
    """Put a figure where its pose says, at the least crowded of a few places."""
    canvas, ground = stage.canvas, stage.ground
    if figure.pose == "peek":
        picture = _sized(canvas, figure, stage.zoom * 1.15)
        top = canvas.height - picture.height * canvas.between(0.84, 0.97)
        return Sprite(label, picture, _least_crowded(stage, picture, top), top, canvas.height * 1.1)
    if figure.pose == "fly":
        picture = _sized(canvas, figure, stage.zoom * canvas.between(0.75, 1.1))
        top = max(4.0, canvas.height * canvas.between(*ground.air) - picture.height / 2)
        return Sprite(label, picture, _least_crowded(stage, picture, top), top, 0.0)
    if figure.pose == "float" and ground.water is not None:
        return _stand(stage, ground.water, label, figure, "water")
    return _stand(stage, ground.feet, label, figure, "shadow")


def _stand(stage: Stage, span: Span, label: str, figure: Figure, footing: str) -> Sprite:
    """Put a figure on a row of ``span``: the farther, the higher and the smaller."""
    depth = stage.canvas.between(0.05, 1) ** 0.8
    picture = _sized(stage.canvas, figure, stage.zoom * (0.75 + 0.25 * depth))
    foot = stage.canvas.height * (span[0] + (span[1] - span[0]) * depth)
    top = foot - picture.height
    return Sprite(label, picture, _least_crowded(stage, picture, top), top, foot, footing)


def _sized(canvas: Canvas, figure: Figure, scale: float) -> Image.Image:
    """Draw a figure at its size times ``scale``, mirrored half of the time, and tilted."""
    picture = figure.art(canvas.rng)
    longest = max(canvas.width, canvas.height) * min(0.68, max(0.1, figure.size * scale))
    share = longest / max(picture.size)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    small = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if canvas.chance(0.5):
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = canvas.between(-figure.tilt, figure.tilt)
    if abs(angle) < 1.5:
        return small
    turned = small.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    return turned.crop(turned.getbbox())


def _least_crowded(stage: Stage, picture: Image.Image, top: float) -> float:
    """Return, of a few random left edges, the one at which ``picture`` covers least of what is placed."""
    room = stage.canvas.width - picture.width
    lefts = [room * stage.canvas.between(-0.04, 1.04) for _ in range(_TRIES)]
    return min(lefts, key=lambda left: sum(_overlap(picture, left, top, other) for other in stage.placed))


def _overlap(picture: Image.Image, left: float, top: float, other: Sprite) -> float:
    width = min(left + picture.width, other.right) - max(left, other.left)
    height = min(top + picture.height, other.bottom) - max(top, other.top)
    return max(0.0, width) * max(0.0, height)


def set_sprite(canvas: Canvas, sprite: Sprite) -> None:
    """Paste a sprite into the canvas, above its shadow or in its ripples."""
    if sprite.footing == "shadow":
        _cast_shadow(canvas, sprite)
    canvas.image.paste(sprite.picture, (round(sprite.left), round(sprite.top)), sprite.picture)
    if sprite.footing == "water":
        _ripple(canvas, sprite)


@cache
def _soft_ellipse() -> Image.Image:
    """Return a mask that fades from its middle to its edge."""
    y, x = np.mgrid[-1:1:32j, -1:1:128j]
    fade = np.clip(1.15 - np.hypot(x, y), 0, 1) ** 1.2
    return Image.fromarray((fade * 150).astype(np.uint8), "L")


def _cast_shadow(canvas: Canvas, sprite: Sprite) -> None:
    width = round(sprite.picture.width * 1.12)
    height = max(6, round(min(sprite.picture.width * 0.2, sprite.picture.height * 0.3)))
    mask = _soft_ellipse().resize((width, height))
    corner = (round(sprite.left - sprite.picture.width * 0.06), round(sprite.bottom - height * 0.62))
    canvas.image.paste((18, 20, 36), (*corner, corner[0] + width, corner[1] + height), mask)


def _ripple(canvas: Canvas, sprite: Sprite) -> None:
    """Draw the waterline over a floating thing's lower edge."""
    # Water left of the hull gives the tone, so that ripples suit any light.
    column = min(canvas.width - 1, max(0, round(sprite.left) - 4))
    row = min(canvas.height - 1, round(sprite.bottom))
    red, green, blue = canvas.image.getpixel((column, row))[:3]  # type: ignore[index]
    tone: Colour = (red, green, blue)
    for line in range(4):
        inset = sprite.picture.width * 0.08 * line
        y = sprite.bottom - 4 + 6 * line
        wave = (sprite.left - 8 + inset, y, sprite.right + 8 - inset, y)
        canvas.pen.line(wave, fill=shade(tone, 1.25 if line % 2 == 0 else 0.85), width=6)
