"""People: OpenMoji's busts with drawn bodies, and its full figures, dressed."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image, ImageDraw

from tagweave.data.demo.easel import choose
from tagweave.data.demo.glyphs import INK, STROKE, Colour, glyph, painted_glyph, repaint

SKINS: tuple[Colour, ...] = ((250, 220, 188), (226, 186, 143), (198, 146, 101), (150, 104, 66), (98, 66, 46))
HAIRS: tuple[Colour, ...] = ((240, 196, 84), (164, 84, 40), (92, 58, 36), (44, 38, 38), (150, 146, 142), (206, 92, 44))
CLOTHES: tuple[Colour, ...] = (
    (206, 62, 54), (240, 170, 60), (90, 160, 84), (66, 134, 196), (60, 74, 132), (150, 96, 168), (232, 140, 166),
    (236, 232, 222), (84, 84, 90), (64, 166, 160), (190, 140, 92),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = ((58, 78, 128), (70, 66, 72), (120, 96, 72), (92, 112, 96), (134, 134, 142))

# Head and shoulders: children, adults, the old, and people of several callings.
BUSTS = "👦👧👨👩👱👴👵🧑🧒🧓🧔🧕👮👷💁🤵💂🕵👨👩🧑👱👧👦\ue300\ue301\ue340\ue341\ue188"
# Whole figures, in yellow throughout, with the rows where the neck and the waist are as shares of the height.
FIGURES: tuple[tuple[str, float, float], ...] = (
    ("🚶", 0.22, 0.55), ("🏃", 0.22, 0.55), ("💃", 0.24, 0.5), ("🕺", 0.22, 0.55),
)  # fmt: skip


def bust(rng: np.random.Generator) -> Image.Image:
    """Draw head and shoulders."""
    return _bust(rng, choose(rng, SKINS))


def _bust(rng: np.random.Generator, skin: Colour) -> Image.Image:
    char = BUSTS[int(rng.integers(len(BUSTS)))]
    paints = (("yellow", skin), ("amber", choose(rng, HAIRS)), ("blue", choose(rng, CLOTHES)))
    return painted_glyph(char, paints)


def dressed(rng: np.random.Generator, char: str, neck: float, waist: float) -> Image.Image:
    """Dress a yellow figure: what is yellow becomes skin above the neck, then a shirt, then trousers."""
    picture = glyph(char)
    rows = (0, round(picture.height * neck), round(picture.height * waist), picture.height)
    result = picture.copy()
    for top, bottom, colours in zip(rows, rows[1:], (SKINS, CLOTHES, TROUSERS), strict=False):
        band = picture.crop((0, top, picture.width, bottom))
        result.paste(repaint(band, {"yellow": choose(rng, colours)}), (0, top))
    return result


def figure(rng: np.random.Generator) -> Image.Image:
    """Draw a person who walks, runs, dances or stands."""
    char, neck, waist = FIGURES[int(rng.integers(len(FIGURES)))]
    return dressed(rng, char, neck, waist)


def standing(rng: np.random.Generator) -> Image.Image:
    """Draw a bust and, beneath it, a body: arms, trousers or a skirt, shoes."""
    skin = choose(rng, SKINS)
    upper = _bust(rng, skin)
    left, right = _shoulders(upper)
    width, height = upper.width + 4 * STROKE, upper.height
    left, right = left + 2 * STROKE, right + 2 * STROKE
    picture = Image.new("RGBA", (width, round(height * 2.15)), (*INK, 0))
    pen = ImageDraw.Draw(picture)
    shirt = _base_colour(upper)
    _legs(pen, (left, height * 1.4, right, height * 2.13), choose(rng, TROUSERS), skin, bool(rng.random() < 0.25))
    for side, lean in ((left, -1), (right, 1)):
        _arm(pen, side - lean * STROKE * 1.5, side, height * 0.93, height * 1.42, shirt, skin)
    inset = (right - left) * 0.1
    torso = [(left, height - 2), (right, height - 2), (right - inset, height * 1.5), (left + inset, height * 1.5)]
    pen.polygon(torso, fill=shirt, outline=INK, width=STROKE)
    # Wipes out the torso's upper outline, so that bust and body become one.
    pen.rectangle((left + STROKE, height - STROKE, right - STROKE, height + STROKE), fill=shirt)
    picture.alpha_composite(upper, (2 * STROKE, 0))
    return picture.crop(picture.getbbox())


def _shoulders(upper: Image.Image) -> tuple[int, int]:
    """Return the columns where the bust's lower edge begins and ends."""
    edge = np.flatnonzero((np.asarray(upper)[-24:, :, 3] > 128).any(axis=0))
    return int(edge[0]), int(edge[-1])


def _base_colour(upper: Image.Image) -> Colour:
    """Return the colour most seen along the bust's lower edge, ink apart."""
    rows = np.asarray(upper)[-24:-8].reshape(-1, 4)
    seen = Counter(
        tuple(int(v) // 8 * 8 for v in pixel[:3]) for pixel in rows if pixel[3] > 250 and max(pixel[:3]) > 50
    )
    red, green, blue = seen.most_common(1)[0][0] if seen else (63, 63, 63)
    return red + 4, green + 4, blue + 4


def _arm(
    pen: ImageDraw.ImageDraw, start: float, end: float, top: float, bottom: float, sleeve: Colour, skin: Colour
) -> None:
    hand = STROKE * 2.6
    pen.ellipse((end - hand, bottom - hand, end + hand, bottom + hand), fill=skin, outline=INK, width=STROKE)
    pen.line((start, top, end, bottom), fill=INK, width=6 * STROKE)
    pen.line((start, top, end, bottom - STROKE), fill=sleeve, width=4 * STROKE)


def _legs(
    pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], cloth: Colour, skin: Colour, skirt: bool
) -> None:
    """Draw two legs with shoes in ``box``, in trousers or beneath a skirt."""
    left, top, right, bottom = box
    middle, inset = (left + right) / 2, (right - left) * 0.1
    for near, far in ((left + inset, middle), (middle, right - inset)):
        trim = (far - near) * 0.2 if skirt else 0.0
        leg = (near + trim, top, far - trim, bottom - 2 * STROKE)
        pen.rectangle(leg, fill=skin if skirt else cloth, outline=INK, width=STROKE)
        shoe = (near - STROKE * 0.5, bottom - 4.5 * STROKE, far + STROKE * 0.5, bottom)
        pen.rounded_rectangle(shoe, 2 * STROKE, fill=(70, 56, 52), outline=INK, width=STROKE)
    if skirt:
        hem = top + (bottom - top) * 0.55
        outline = [(left + inset, top), (right - inset, top), (right + inset / 2, hem), (left - inset / 2, hem)]
        pen.polygon(outline, fill=cloth, outline=INK, width=STROKE)
