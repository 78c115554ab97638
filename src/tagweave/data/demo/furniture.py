"""Furniture and things of the house for which the font has no glyph, or too few."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tagweave.data.demo.brush import mix, shade
from tagweave.data.demo.easel import Easel, choose
from tagweave.data.demo.glyphs import Colour

WOODS: tuple[Colour, ...] = ((176, 122, 66), (136, 86, 48), (214, 170, 112), (96, 62, 42), (232, 226, 214))
CLOTHS: tuple[Colour, ...] = (
    (198, 70, 62), (74, 122, 178), (96, 150, 92), (224, 166, 66), (146, 106, 160), (120, 124, 132), (216, 198, 168),
    (52, 92, 104), (226, 140, 150),
)  # fmt: skip
GLASSES: tuple[Colour, ...] = ((62, 116, 66), (120, 44, 50), (150, 100, 44), (150, 206, 226), (206, 226, 214))
LEAVES: tuple[Colour, ...] = ((92, 158, 73), (64, 124, 78), (126, 176, 62), (104, 150, 112))
POTS: tuple[Colour, ...] = ((206, 112, 66), (236, 232, 222), (84, 134, 168), (226, 180, 84), (122, 118, 122))
PLASTICS: tuple[Colour, ...] = ((44, 46, 52), (74, 76, 84), (206, 208, 212), (150, 96, 60))
LABELS: tuple[Colour, ...] = ((244, 238, 220), (232, 190, 88), (206, 72, 62), (250, 250, 250))


def plain_table(rng: np.random.Generator) -> Image.Image:
    """Draw a wooden table, seen a little from above, with plates or a bowl of fruit."""
    wood, easel = choose(rng, WOODS), Easel(420, 250)
    for left, bottom in ((64, 215), (330, 215), (24, 242), (372, 242)):
        easel.box(left, 80, left + 24, bottom, shade(wood, 0.8), 3)
    easel.shape(wood, (66, 40), (354, 40), (412, 88), (8, 88))
    easel.box(8, 86, 412, 112, shade(wood, 0.88), 4)
    for x in (150, 270):
        easel.oval(x - 42, 50, x + 42, 78, (246, 244, 238))
    easel.oval(188, 44, 232, 62, choose(rng, CLOTHS))
    return easel.finish()


def laid_table(rng: np.random.Generator) -> Image.Image:
    """Draw a table under a cloth, with plates and a vase."""
    cloth, easel = choose(rng, CLOTHS), Easel(420, 300)
    for left in (52, 344):
        easel.box(left, 150, left + 24, 294, choose(rng, WOODS), 3)
    easel.shape(mix(cloth, (255, 255, 255), 0.45), (62, 92), (358, 92), (410, 138), (10, 138))
    scallops = [(410 - 40 * step, 206 if step % 2 else 190) for step in range(11)]
    easel.shape(cloth, (10, 138), (410, 138), *scallops)
    for x in (110, 310):
        easel.oval(x - 46, 100, x + 46, 130, (250, 248, 242))
    easel.box(192, 62, 228, 118, choose(rng, POTS), 10)
    for x, y in ((188, 40), (212, 26), (234, 42)):
        easel.line((210, 64), (x, y), colour=(72, 120, 60))
        easel.oval(x - 16, y - 16, x + 16, y + 16, choose(rng, CLOTHS))
    return easel.finish()


def round_table(rng: np.random.Generator) -> Image.Image:
    """Draw a round table on one leg, with cups."""
    wood, easel = choose(rng, WOODS), Easel(360, 260)
    easel.box(164, 80, 196, 224, shade(wood, 0.82), 3)
    easel.oval(100, 214, 260, 248, shade(wood, 0.75))
    easel.oval(10, 52, 350, 122, shade(wood, 0.85))
    easel.oval(10, 38, 350, 106, wood)
    easel.oval(140, 52, 220, 88, choose(rng, CLOTHS))
    for x in (96, 258):
        easel.oval(x - 34, 62, x + 34, 86, (250, 248, 242))
        easel.box(x - 14, 40, x + 14, 74, choose(rng, CLOTHS), 6)
    return easel.finish()


def _sofa(rng: np.random.Generator, seats: int) -> Image.Image:
    cloth, width = choose(rng, CLOTHS), 110 * seats + 90
    easel = Easel(width + 12, 210)
    for left in (34, width - 48):
        easel.box(left, 170, left + 22, 204, choose(rng, WOODS), 3)
    easel.box(30, 16, width - 18, 140, shade(cloth, 0.86), 26)
    for seat in range(seats):
        left = 50 + 110 * seat
        easel.box(left, 30, left + 104, 112, cloth, 18)
        easel.box(left, 104, left + 104, 146, shade(cloth, 1.1), 12)
    easel.box(44, 140, width - 32, 182, shade(cloth, 0.86), 8)
    for left in (8, width - 52):
        easel.box(left, 76, left + 52, 184, cloth, 20)
    pillow = choose(rng, CLOTHS)
    easel.shape(pillow, (74, 62), (120, 54), (128, 100), (80, 106))
    return easel.finish()


def settee(rng: np.random.Generator) -> Image.Image:
    """Draw a sofa for two."""
    return _sofa(rng, 2)


def long_sofa(rng: np.random.Generator) -> Image.Image:
    """Draw a sofa for three."""
    return _sofa(rng, 3)


def corner_sofa(rng: np.random.Generator) -> Image.Image:
    """Draw a sofa with a chaise at its right."""
    cloth, easel = choose(rng, CLOTHS), Easel(430, 220)
    easel.box(16, 16, 400, 130, shade(cloth, 0.86), 20)
    for left in (46, 160, 274):
        easel.box(left, 34, left + 112, 112, cloth, 16)
    easel.box(40, 104, 300, 170, shade(cloth, 1.1), 14)
    easel.box(270, 104, 420, 208, shade(cloth, 1.05), 18)
    easel.box(8, 66, 58, 180, cloth, 18)
    return easel.finish()


def slat_chair(rng: np.random.Generator) -> Image.Image:
    """Draw a wooden chair from the front."""
    wood, easel = choose(rng, WOODS), Easel(180, 300)
    for left in (28, 132):
        easel.box(left, 12, left + 20, 292, shade(wood, 0.85), 4)
    for top in (26, 66, 106):
        easel.box(40, top, 140, top + 24, wood, 4)
    easel.shape(choose(rng, CLOTHS), (34, 150), (146, 150), (166, 186), (14, 186))
    easel.box(14, 184, 166, 204, wood, 4)
    for left in (16, 144):
        easel.box(left, 202, left + 20, 294, wood, 4)
    return easel.finish()


def office_chair(rng: np.random.Generator) -> Image.Image:
    """Draw a swivel chair."""
    cloth, easel = choose(rng, CLOTHS), Easel(200, 300)
    easel.line((100, 190), (100, 262), width=18)
    easel.line((36, 276), (100, 250), (164, 276), width=14)
    for x in (34, 100, 166):
        easel.oval(x - 14, 268, x + 14, 296, (60, 60, 64))
    easel.box(46, 12, 154, 132, cloth, 26)
    easel.line((100, 130), (100, 170), width=16)
    easel.box(24, 152, 176, 194, shade(cloth, 0.9), 18)
    easel.line((26, 168), (14, 116), (44, 112), width=12)
    easel.line((174, 168), (186, 116), (156, 112), width=12)
    return easel.finish()


def flat_screen(rng: np.random.Generator) -> Image.Image:
    """Draw a television that shows a landscape."""
    case, easel = choose(rng, PLASTICS), Easel(340, 240)
    easel.box(140, 184, 200, 222, shade(case, 0.9), 3)
    easel.box(86, 214, 254, 234, case, 8)
    easel.box(8, 8, 332, 194, case, 10)
    _programme(easel, rng, 26, 26, 314, 176)
    return easel.finish()


def old_television(rng: np.random.Generator) -> Image.Image:
    """Draw a television set with knobs and an aerial."""
    case, easel = choose(rng, WOODS + PLASTICS), Easel(280, 290)
    easel.line((140, 74), (82, 14), width=8)
    easel.line((140, 74), (206, 22), width=8)
    for left in (44, 212):
        easel.box(left, 240, left + 22, 284, shade(case, 0.7), 3)
    easel.box(12, 70, 268, 256, case, 22)
    _programme(easel, rng, 34, 94, 196, 230)
    for top in (104, 150):
        easel.oval(214, top, 246, top + 32, (232, 226, 208))
    return easel.finish()


def _programme(easel: Easel, rng: np.random.Generator, left: float, top: float, right: float, bottom: float) -> None:
    """Show hills under a sky, or a dark screen with a sheen."""
    easel.box(left, top, right, bottom, choose(rng, ((126, 192, 236), (246, 176, 120), (52, 58, 74), (66, 76, 104))), 8)
    middle, low, width = (top + bottom) / 2, bottom - 7, right - left
    if rng.random() < 0.6:
        hills = [
            (left + 7, low),
            (left + width * 0.3, middle),
            (left + width * 0.55, low - 10),
            (right - 40, middle + 10),
        ]
        easel.patch(choose(rng, LEAVES), *hills, (right - 7, low))
    else:
        easel.patch((190, 206, 222), (left + 30, low), (left + 60, low), (left + 120, top + 7), (left + 90, top + 7))


def wine_bottle(rng: np.random.Generator) -> Image.Image:
    """Draw a bottle of wine or oil."""
    glass, easel = choose(rng, GLASSES), Easel(110, 300)
    shoulders = ((40, 34), (70, 34), (70, 96), (98, 136), (98, 286), (12, 286), (12, 136), (40, 96))
    easel.shape(glass, *shoulders)
    easel.patch(mix(glass, (255, 255, 255), 0.35), (24, 142), (34, 130), (34, 272), (24, 272))
    easel.box(36, 12, 74, 50, choose(rng, CLOTHS), 4)
    easel.box(12, 166, 98, 246, choose(rng, LABELS), 2)
    return easel.finish()


def soda_bottle(rng: np.random.Generator) -> Image.Image:
    """Draw a plastic bottle with a coloured band."""
    drink, easel = choose(rng, (*GLASSES, (236, 146, 52), (72, 42, 36))), Easel(120, 290)
    easel.shape(drink, (46, 40), (74, 40), (106, 110), (106, 280), (14, 280), (14, 110))
    easel.box(40, 12, 80, 44, choose(rng, CLOTHS), 4)
    easel.box(14, 136, 106, 208, choose(rng, CLOTHS), 2)
    easel.patch(mix(drink, (255, 255, 255), 0.4), (28, 112), (40, 92), (40, 128), (28, 128))
    return easel.finish()


def _pot(easel: Easel, rng: np.random.Generator, top: float) -> None:
    """Set a pot of 100 units' height with its rim at ``top``, in the middle of a grid 220 wide."""
    clay = choose(rng, POTS)
    easel.shape(clay, (58, top + 10), (162, top + 10), (146, top + 98), (74, top + 98))
    easel.box(48, top, 172, top + 28, shade(clay, 1.06), 4)


def cactus(rng: np.random.Generator) -> Image.Image:
    """Draw a cactus in a pot."""
    green, easel = choose(rng, LEAVES), Easel(220, 320)
    easel.box(34, 96, 66, 160, green, 15)
    easel.box(40, 134, 100, 164, green, 12)
    easel.box(154, 70, 186, 130, green, 15)
    easel.box(120, 104, 180, 134, green, 12)
    easel.box(80, 20, 140, 230, green, 28)
    for y in range(50, 200, 36):
        easel.line((102, y), (102, y + 14), width=5)
        easel.line((120, y + 16), (120, y + 30), width=5)
    _pot(easel, rng, 212)
    return easel.finish()


def leafy_plant(rng: np.random.Generator) -> Image.Image:
    """Draw a plant of long pointed leaves."""
    green, easel = choose(rng, LEAVES), Easel(220, 330)
    for tip, height in ((20, 90), (200, 96), (48, 40), (172, 36), (110, 12)):
        middle, waist = (tip + 110) / 2, (height + 230) / 2
        easel.shape(
            shade(green, 0.8 + tip / 600),
            (96, 232),
            (middle - 20, waist),
            (tip, height),
            (middle + 20, waist),
            (124, 232),
        )
    _pot(easel, rng, 222)
    return easel.finish()


def flower_pot(rng: np.random.Generator) -> Image.Image:
    """Draw flowers in a pot."""
    green, bloom, easel = choose(rng, LEAVES), choose(rng, CLOTHS), Easel(220, 320)
    easel.oval(36, 130, 184, 236, green)
    for x, y in ((52, 84), (110, 50), (168, 82)):
        easel.line((110, 190), (x, y), colour=shade(green, 0.7), width=9)
        for dx, dy in ((-20, 0), (20, 0), (0, -20), (0, 20)):
            easel.oval(x + dx - 20, y + dy - 20, x + dx + 20, y + dy + 20, bloom)
        easel.oval(x - 14, y - 14, x + 14, y + 14, (250, 206, 80))
    _pot(easel, rng, 214)
    return easel.finish()


def cabinet(rng: np.random.Generator) -> Image.Image:
    """Draw a low cabinet with doors, on which things stand; it is no label."""
    wood, easel = choose(rng, WOODS), Easel(420, 170)
    for left in (40, 356):
        easel.box(left, 130, left + 22, 164, shade(wood, 0.7), 3)
    easel.box(10, 8, 410, 144, wood, 6)
    for left in (28, 154, 280):
        easel.box(left, 30, left + 114, 128, shade(wood, 0.92), 4)
        easel.oval(left + 48, 70, left + 66, 88, (240, 220, 160))
    return easel.finish()
