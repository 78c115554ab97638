"""Grounds of air and water: the open sky, shores, a harbour, a lake.

Each painter paints the whole canvas and returns where things may stand, fly and float on it.
"""

from __future__ import annotations

from tagweave.data.demo.brush import Canvas, Ground, gradient, mix, ridge, shade, soften, speckle, stamp
from tagweave.data.demo.glyphs import INK, Colour
from tagweave.data.demo.scenery import GRASSES, SANDS, SEAS, cloud, grass, hills, house_fronts, sky, trees, water


def open_sky(canvas: Canvas) -> Ground:
    """Paint nothing but sky, over a strip of land."""
    sky(canvas, canvas.height)
    for _ in canvas.several(1, 4):
        cloud(canvas, canvas.width * canvas.between(0, 1), canvas.height * canvas.between(0.1, 0.9))
    land = canvas.height * canvas.between(0.86, 1.05)
    if land < canvas.height:
        ridge(canvas, canvas.height, canvas.height - land + 14, mix(canvas.pick(GRASSES), canvas.light.low_sky, 0.35))
    return Ground(feet=(0.93, 0.98), air=(0.25, 0.65))


def sea(canvas: Canvas) -> Ground:
    """Paint the sea behind a beach."""
    return _sea(canvas, shore=canvas.between(0.8, 0.92))


def beach(canvas: Canvas) -> Ground:
    """Paint a wide beach with the sea beyond."""
    ground = _sea(canvas, shore=canvas.between(0.6, 0.7))
    if canvas.chance(0.6):
        size = canvas.height * canvas.between(0.16, 0.26)
        stamp(
            canvas, canvas.pick("🌴⛱⛱"), canvas.width * canvas.between(0.05, 0.95), canvas.height * ground.feet[0], size
        )
    return ground


def _sea(canvas: Canvas, shore: float) -> Ground:
    horizon = canvas.height * canvas.between(0.38, 0.52)
    sky(canvas, horizon)
    if canvas.chance(0.5):
        ridge(
            canvas, horizon, canvas.height * canvas.between(0.03, 0.12), mix((88, 110, 128), canvas.light.low_sky, 0.4)
        )
    low, sand = canvas.height * shore, canvas.pick(SANDS)
    water(canvas, horizon, low, canvas.pick(SEAS))
    gradient(canvas, low, canvas.height, shade(sand, 0.92), sand)
    ridge(canvas, low + 6, 14, sand, 3)
    canvas.pen.line((0, low - 2, canvas.width, low - 4), fill=(250, 250, 246, 190), width=5)
    speckle(canvas, (0, low, canvas.width, canvas.height), (shade(sand, 0.8), shade(sand, 1.1)), 90, 12)
    return Ground(feet=(shore + 0.05, 0.97), water=(horizon / canvas.height + 0.08, shore - 0.03))


def harbour(canvas: Canvas) -> Ground:
    """Paint a harbour basin between warehouses and a quay."""
    horizon, quay = canvas.height * canvas.between(0.4, 0.5), canvas.between(0.82, 0.9)
    sky(canvas, horizon)
    house_fronts(canvas, horizon, 0.12, 0.3)
    water(canvas, horizon, canvas.height * quay, canvas.pick(SEAS))
    stone: Colour = canvas.pick(((176, 172, 164), (150, 146, 146), (190, 176, 152)))
    gradient(canvas, canvas.height * quay, canvas.height, stone, shade(stone, 0.85))
    soften(canvas, (0, canvas.height * quay, canvas.width, canvas.height * quay + 9), INK, 90)
    for number in range(4):
        x = canvas.width * (0.1 + 0.27 * number)
        top = canvas.height * quay - 12
        canvas.pen.rounded_rectangle((x, top, x + 20, top + 30), 6, fill=(64, 66, 72), outline=INK, width=2)
    return Ground(feet=(quay + 0.04, 0.97), water=(horizon / canvas.height + 0.08, quay - 0.04))


def lake(canvas: Canvas) -> Ground:
    """Paint a lake between wooded hills and a grassy bank."""
    horizon, bank = canvas.height * canvas.between(0.4, 0.5), canvas.between(0.76, 0.86)
    sky(canvas, horizon)
    tone = canvas.pick(GRASSES)
    hills(canvas, horizon, shade(tone, 0.8))
    trees(canvas, horizon, 3, 8, 0.15)
    water(canvas, horizon, canvas.height * bank, canvas.pick(SEAS))
    soften(canvas, (0, horizon, canvas.width, horizon + canvas.height * 0.07), shade(tone, 0.6), 70)
    grass(canvas, canvas.height * bank, canvas.height, tone)
    return Ground(feet=(bank + 0.05, 0.97), water=(horizon / canvas.height + 0.07, bank - 0.02))
