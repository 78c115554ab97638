"""Boats and aeroplanes drawn with plain shapes, beside those of the font."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tagweave.data.demo.brush import shade
from tagweave.data.demo.easel import Easel, choose
from tagweave.data.demo.glyphs import Colour

PAINTS: tuple[Colour, ...] = (
    (206, 66, 58), (62, 116, 184), (240, 178, 66), (88, 150, 98), (240, 238, 232), (60, 70, 104), (232, 120, 60),
)  # fmt: skip


def airliner(rng: np.random.Generator) -> Image.Image:
    """Draw an airliner from the side."""
    paint, easel = choose(rng, PAINTS), Easel(440, 220)
    hull = (236, 238, 242)
    easel.shape(paint, (40, 110), (22, 22), (64, 22), (118, 104))
    body = ((24, 104), (330, 84), (386, 92), (422, 118), (412, 134), (370, 146), (110, 146))
    easel.shape(hull, *body)
    easel.patch(paint, (92, 134), (404, 134), (370, 143), (114, 143))
    easel.shape((120, 188, 226), (372, 96), (392, 98), (408, 112), (378, 112))
    for x in range(120, 350, 28):
        easel.oval(x, 100, x + 18, 120, (92, 132, 168))
    easel.shape(shade(paint, 0.9), (28, 104), (8, 84), (36, 84), (76, 108))
    easel.shape((190, 194, 202), (180, 128), (266, 128), (176, 208), (142, 208))
    easel.box(216, 154, 270, 180, (150, 154, 164), 10)
    return easel.finish()


def propeller_plane(rng: np.random.Generator) -> Image.Image:
    """Draw a small high-winged aeroplane from the side."""
    paint, easel = choose(rng, PAINTS), Easel(400, 200)
    easel.shape(paint, (24, 92), (14, 36), (50, 36), (84, 90))
    easel.shape(paint, (20, 84), (250, 70), (330, 88), (350, 110), (322, 136), (214, 142), (60, 112))
    easel.shape((150, 206, 236), (214, 74), (262, 74), (292, 96), (214, 100))
    easel.box(120, 54, 296, 76, shade(paint, 0.82), 8)
    easel.line((352, 62), (352, 160), width=10)
    easel.line((226, 142), (214, 166))
    easel.line((290, 140), (302, 166))
    for x in (212, 304):
        easel.oval(x - 18, 156, x + 18, 192, (60, 60, 64))
    return easel.finish()


def sailing_boat(rng: np.random.Generator) -> Image.Image:
    """Draw a boat with two sails."""
    sail, hull, easel = choose(rng, PAINTS), choose(rng, PAINTS), Easel(320, 340)
    easel.box(148, 10, 164, 284, (136, 86, 48), 2)
    easel.shape(sail, (172, 20), (172, 254), (292, 254))
    easel.shape((248, 246, 238), (140, 46), (140, 254), (40, 254))
    easel.shape(hull, (14, 272), (308, 272), (270, 330), (52, 330))
    easel.line((24, 290), (298, 290), colour=shade(hull, 0.7))
    return easel.finish()


def fishing_boat(rng: np.random.Generator) -> Image.Image:
    """Draw a trawler with a cabin and a mast."""
    hull, cabin, easel = choose(rng, PAINTS), choose(rng, PAINTS), Easel(400, 290)
    easel.line((250, 120), (250, 14), width=10)
    easel.line((250, 30), (360, 190), width=5)
    easel.shape(choose(rng, PAINTS), (246, 16), (204, 28), (246, 44))
    easel.box(108, 100, 236, 204, (244, 242, 234), 6)
    easel.box(96, 84, 248, 112, cabin, 6)
    for left in (126, 182):
        easel.box(left, 126, left + 38, 164, (140, 200, 232), 4)
    easel.shape(hull, (12, 190), (300, 200), (392, 160), (346, 280), (62, 280))
    easel.patch(shade(hull, 0.72), (50, 250), (356, 250), (343, 276), (64, 276))
    return easel.finish()


def rowing_boat(rng: np.random.Generator) -> Image.Image:
    """Draw a wooden boat with oars."""
    hull, easel = choose(rng, PAINTS), Easel(380, 150)
    easel.shape((150, 104, 62), (14, 44), (366, 44), (330, 70), (50, 70))
    for left in (110, 220):
        easel.box(left, 46, left + 46, 66, (206, 160, 104), 3)
    easel.shape(hull, (8, 40), (60, 64), (320, 64), (372, 40), (322, 122), (66, 122))
    easel.line((150, 56), (96, 142), width=10)
    easel.line((250, 56), (304, 142), width=10)
    return easel.finish()


def city_bicycle(rng: np.random.Generator) -> Image.Image:
    """Draw a bicycle with a low frame and a basket."""
    paint, easel = choose(rng, PAINTS), Easel(400, 270)
    for x in (84, 310):
        easel.ring(x, 186, 70)
    for start, end in (((84, 186), (150, 90)), ((150, 90), (190, 196)), ((190, 196), (84, 186))):
        easel.line(start, end, width=20)
        easel.line(start, end, colour=paint, width=9)
    for start, end in (((190, 196), (286, 92)), ((276, 54), (310, 186))):
        easel.line(start, end, width=20)
        easel.line(start, end, colour=paint, width=9)
    easel.box(116, 66, 184, 90, (70, 56, 52), 10)
    easel.line((244, 54), (290, 50), width=12)
    easel.box(288, 76, 364, 124, (196, 150, 92), 6)
    easel.oval(176, 182, 204, 210, (150, 150, 156))
    return easel.finish()
