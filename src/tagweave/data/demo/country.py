"""Grounds of the country: fields, roads, a railway, an airfield, a treetop.

Each painter paints the whole canvas and returns where things may stand, fly and float on it.
"""

from __future__ import annotations

from tagweave.data.demo.brush import Canvas, Ground, gradient, mix, ridge, shade, speckle, stamp
from tagweave.data.demo.glyphs import INK
from tagweave.data.demo.scenery import (
    EARTHS,
    GRASSES,
    SANDS,
    barn,
    carriageway,
    fence,
    grass,
    hills,
    rails,
    road,
    sky,
    trees,
)
from tagweave.data.demo.structures import barrier, hay_bale, stables, stone_wall


def runway(canvas: Canvas) -> Ground:
    """Paint an airfield: grass, a runway that runs to the horizon, a tower."""
    horizon = canvas.height * canvas.between(0.5, 0.66)
    sky(canvas, horizon)
    hills(canvas, horizon, (96, 128, 110))
    tower, tall = canvas.width * canvas.between(0.1, 0.9), canvas.height * canvas.between(0.14, 0.24)
    canvas.pen.rectangle((tower - 9, horizon - tall, tower + 9, horizon), fill=(206, 204, 198), outline=INK, width=2)
    cabin = (tower - 18, horizon - tall - 22, tower + 18, horizon - tall)
    canvas.pen.rectangle(cabin, fill=(120, 170, 196), outline=INK, width=3)
    canvas.pen.rectangle((tower + 9, horizon - 22, tower + 160, horizon), fill=(190, 194, 198), outline=INK, width=2)
    grass(canvas, horizon, canvas.height, canvas.pick(GRASSES))
    road(canvas, horizon, canvas.width * 0.5, canvas.between(0.9, 1.5), 0.12)
    return Ground(feet=(horizon / canvas.height + 0.14, 0.95), air=(0.14, 0.4))


def country_road(canvas: Canvas) -> Ground:
    """Paint a road through fields."""
    horizon, tone = canvas.height * canvas.between(0.4, 0.54), canvas.pick(GRASSES)
    sky(canvas, horizon)
    hills(canvas, horizon, tone)
    trees(canvas, horizon, 1, 5, 0.2)
    grass(canvas, horizon, canvas.height, tone)
    road(canvas, horizon, canvas.width * canvas.between(0.25, 0.75), canvas.between(0.9, 1.3), 0.04)
    return Ground(feet=(horizon / canvas.height + 0.16, 0.96))


def mountain_road(canvas: Canvas) -> Ground:
    """Paint a pass road with a crash barrier before high mountains."""
    kerb = canvas.height * canvas.between(0.58, 0.68)
    sky(canvas, kerb)
    for share in (0.15, 0.5, 0.85):
        height = canvas.height * canvas.between(0.3, 0.5)
        stamp(canvas, "🏔", canvas.width * (share + canvas.between(-0.1, 0.1)), kerb + 6, height, canvas.chance(0.5))
    ridge(canvas, kerb, canvas.height * 0.12, (92, 122, 100), 3)
    trees(canvas, kerb, 1, 4, 0.16)
    carriageway(canvas, kerb)
    barrier(canvas, kerb)
    return Ground(feet=(kerb / canvas.height + 0.06, 0.96), air=(0.1, 0.3))


def railway(canvas: Canvas) -> Ground:
    """Paint a railway line through the country."""
    track = canvas.height * canvas.between(0.66, 0.8)
    horizon, tone = track - canvas.height * canvas.between(0.1, 0.2), canvas.pick(GRASSES)
    sky(canvas, horizon)
    hills(canvas, horizon, tone)
    trees(canvas, horizon, 1, 6)
    grass(canvas, horizon, canvas.height, tone)
    rails(canvas, track)
    _masts(canvas, track)
    return Ground(feet=(track / canvas.height, track / canvas.height + 0.05))


def _masts(canvas: Canvas, track: float) -> None:
    top = track - canvas.height * 0.46
    if top < 0 or canvas.chance(0.4):
        return
    canvas.pen.line((0, top + 8, canvas.width, top + 8), fill=(60, 60, 66), width=2)
    for share in (0.14, 0.86):
        x = canvas.width * share
        canvas.pen.rectangle((x - 4, top, x + 4, track - 8), fill=(110, 114, 118), outline=(50, 50, 54))


def meadow(canvas: Canvas) -> Ground:
    """Paint a meadow before hills and trees, often fenced."""
    horizon, tone = canvas.height * canvas.between(0.34, 0.56), canvas.pick(GRASSES)
    sky(canvas, horizon)
    hills(canvas, horizon, tone)
    trees(canvas, horizon, 0, 6)
    grass(canvas, horizon, canvas.height, tone)
    if canvas.chance(0.5):
        fence(canvas, horizon + canvas.height * 0.07, canvas.height * 0.1)
    return Ground(feet=(horizon / canvas.height + 0.14, 0.96))


def farmyard(canvas: Canvas) -> Ground:
    """Paint a farm: a barn, a fence, bales of hay on trodden earth."""
    horizon, tone = canvas.height * canvas.between(0.44, 0.56), canvas.pick(GRASSES)
    sky(canvas, horizon)
    hills(canvas, horizon, tone)
    trees(canvas, horizon, 1, 3, 0.26)
    base = horizon + 8
    barn(canvas, canvas.width * canvas.between(0.02, 0.5), base, canvas.width * canvas.between(0.4, 0.5))
    earth = canvas.pick(EARTHS)
    gradient(canvas, base, canvas.height, mix(tone, earth, 0.7), earth)
    straw = (shade(earth, 0.75), (222, 190, 116), shade(earth, 1.2))
    speckle(canvas, (0, base, canvas.width, canvas.height), straw, 130, 20)
    fence(canvas, base + canvas.height * 0.05, canvas.height * 0.1)
    for _ in canvas.several(1, 3):
        hay_bale(canvas, canvas.width * canvas.between(0, 1), base + canvas.height * canvas.between(0.07, 0.12))
    return Ground(feet=(base / canvas.height + 0.14, 0.96))


def highland(canvas: Canvas) -> Ground:
    """Paint a bare green slope with dry stone walls and rocks under a wide sky."""
    horizon, tone = (
        canvas.height * canvas.between(0.3, 0.42),
        canvas.pick(((112, 170, 96), (136, 178, 110), (98, 158, 104))),
    )
    sky(canvas, horizon + 12)
    for _ in canvas.several(1, 2):
        stamp(
            canvas, "🏔", canvas.width * canvas.between(0.1, 0.9), horizon + 9, canvas.height * canvas.between(0.2, 0.34)
        )
    ridge(canvas, horizon + 10, canvas.height * 0.1, mix(tone, canvas.light.low_sky, 0.3), 1.5)
    grass(canvas, horizon, canvas.height, tone)
    stone_wall(canvas, horizon + canvas.height * canvas.between(0.05, 0.1))
    return Ground(feet=(horizon / canvas.height + 0.18, 0.96))


def paddock(canvas: Canvas) -> Ground:
    """Paint a riding ground of sand between white rails, before stables."""
    horizon = canvas.height * canvas.between(0.42, 0.52)
    sky(canvas, horizon)
    trees(canvas, horizon, 2, 5, 0.26)
    stables(canvas, horizon)
    sand = canvas.pick(SANDS)
    gradient(canvas, horizon, canvas.height, shade(sand, 0.9), shade(sand, 0.98))
    speckle(canvas, (0, horizon, canvas.width, canvas.height), (shade(sand, 0.78), shade(sand, 1.08)), 120, 14)
    jump = canvas.height * 0.11
    fence(canvas, horizon + canvas.height * 0.06, jump, (246, 244, 238))
    return Ground(feet=(horizon / canvas.height + 0.16, 0.96))


def foliage(canvas: Canvas) -> Ground:
    """Paint a treetop from near: leaves out of focus and a branch to sit on."""
    tone = canvas.pick(GRASSES)
    gradient(canvas, 0, canvas.height, mix(tone, canvas.light.low_sky, 0.6), shade(tone, 0.8))
    for _ in range(46):
        x, y, size = canvas.width * canvas.between(0, 1), canvas.height * canvas.between(0, 1), canvas.between(14, 52)
        leaf = mix(shade(tone, canvas.between(0.6, 1.2)), canvas.light.low_sky, canvas.between(0, 0.4))
        canvas.pen.ellipse((x - size, y - size * 0.7, x + size, y + size * 0.7), fill=(*leaf, 110))
    branch, bark = (
        canvas.height * canvas.between(0.68, 0.82),
        canvas.pick(((112, 82, 58), (86, 66, 54), (140, 116, 92))),
    )
    canvas.pen.line((-10, branch + 10, canvas.width * 0.5, branch + 8, canvas.width + 10, branch + 14), INK, 30)
    canvas.pen.line((-10, branch + 10, canvas.width * 0.5, branch + 8, canvas.width + 10, branch + 14), bark, 22)
    for _ in canvas.several(3, 7):
        stamp(canvas, "🌿", canvas.width * canvas.between(0, 1), branch + canvas.between(0, 34), canvas.height * 0.11)
    return Ground(feet=(branch / canvas.height, branch / canvas.height + 0.012), air=(0.15, 0.45))
