"""Grounds of the town: streets, a station, a balcony, a park, a garden.

Each painter paints the whole canvas and returns where things may stand, fly and float on it.
"""

from __future__ import annotations

from tagweave.data.demo.brush import Canvas, Ground, gradient, shade, stamp
from tagweave.data.demo.glyphs import INK, Colour
from tagweave.data.demo.scenery import (
    GRASSES,
    WALLS,
    bush,
    carriageway,
    fence,
    grass,
    house_fronts,
    rails,
    sky,
    street_lamp,
    trees,
)
from tagweave.data.demo.structures import bench, lights, path, railing, shelter, towers


def street(canvas: Canvas) -> Ground:
    """Paint a street from across it: house fronts, pavement, kerb, a road with lane marks."""
    kerb = canvas.height * canvas.between(0.56, 0.68)
    pavement = kerb - canvas.height * canvas.between(0.06, 0.1)
    sky(canvas, pavement)
    house_fronts(canvas, pavement, 0.28, 0.6)
    stone = canvas.pick(((186, 182, 176), (170, 166, 168), (200, 190, 174)))
    gradient(canvas, pavement, kerb, shade(stone, 0.92), stone)
    for step in range(14):
        x = canvas.width * step / 13
        canvas.pen.line((x, pavement, x + (x - canvas.width / 2) * 0.15, kerb), fill=shade(stone, 0.8), width=2)
    carriageway(canvas, kerb)
    for _ in canvas.several(0, 2):
        street_lamp(
            canvas, canvas.width * canvas.between(0.05, 0.95), kerb - 8, canvas.height * canvas.between(0.3, 0.42)
        )
    if canvas.chance(0.5):
        trees(canvas, kerb - 10, 1, 2, 0.32)
    return Ground(feet=(kerb / canvas.height + 0.05, 0.96), air=(0.1, 0.3))


def bus_stop(canvas: Canvas) -> Ground:
    """Paint a main street with office blocks, a shelter and a sign for buses."""
    kerb = canvas.height * canvas.between(0.6, 0.68)
    pavement = kerb - canvas.height * 0.07
    sky(canvas, pavement)
    towers(canvas, pavement)
    gradient(canvas, pavement, kerb, (172, 172, 176), (190, 190, 192))
    carriageway(canvas, kerb)
    shelter(canvas, canvas.width * canvas.between(0.04, 0.6), kerb - 6)
    stamp(canvas, "🚏", canvas.width * canvas.between(0.75, 0.95), kerb - 4, canvas.height * 0.26)
    return Ground(feet=(kerb / canvas.height + 0.08, 0.96), air=(0.08, 0.24))


def station(canvas: Canvas) -> Ground:
    """Paint a station: a hall behind the rails, and a platform in front."""
    track = canvas.height * canvas.between(0.7, 0.78)
    sky(canvas, track)
    base, wall = track - canvas.height * 0.05, canvas.pick(WALLS)
    top = base - canvas.height * canvas.between(0.34, 0.48)
    canvas.pen.rectangle((-9, top, canvas.width + 9, base), fill=wall, outline=INK, width=3)
    canvas.pen.rectangle((-9, top - 14, canvas.width + 9, top + 12), fill=shade(wall, 0.6), outline=INK, width=3)
    for number in range(6):
        x = canvas.width * (number + 0.2) / 6
        opening = (x, top + 40, x + canvas.width * 0.1, base)
        canvas.pen.rounded_rectangle(opening, 20, fill=shade(wall, 0.72), outline=shade(wall, 0.4), width=3)
    clock = (canvas.width * 0.5 - 22, top - 34, canvas.width * 0.5 + 22, top + 10)
    canvas.pen.ellipse(clock, fill=(250, 248, 240), outline=INK, width=4)
    canvas.pen.line(
        (canvas.width * 0.5, top - 28, canvas.width * 0.5, top - 12, canvas.width * 0.5 + 10, top - 8), INK, 3
    )
    gradient(canvas, base, track + 30, (128, 122, 118), (104, 98, 96))
    rails(canvas, track)
    _platform(canvas, track + canvas.height * 0.1)
    return Ground(feet=(track / canvas.height, track / canvas.height + 0.03))


def _platform(canvas: Canvas, top: float) -> None:
    gradient(canvas, top, canvas.height, (190, 186, 180), (160, 156, 152))
    canvas.pen.rectangle((0, top, canvas.width, top + 6), fill=(110, 106, 104))
    canvas.pen.rectangle((0, top + 14, canvas.width, top + 20), fill=(240, 214, 90))


def balcony(canvas: Canvas) -> Ground:
    """Paint a balcony above the roofs: tiles, a railing, a string of lights."""
    floor = canvas.height * canvas.between(0.6, 0.7)
    sky(canvas, floor)
    towers(canvas, floor + canvas.height * 0.16)
    tile: Colour = canvas.pick(((206, 140, 104), (196, 188, 176), (176, 132, 110)))
    gradient(canvas, floor, canvas.height, shade(tile, 0.9), tile)
    for number in range(-4, 17):
        x = canvas.width * number / 12
        near = canvas.width / 2 + (x - canvas.width / 2) * 1.6
        canvas.pen.line((x, floor, near, canvas.height), fill=shade(tile, 0.78), width=2)
    railing(canvas, floor)
    lights(canvas, canvas.height * canvas.between(0.06, 0.14))
    return Ground(feet=(floor / canvas.height + 0.08, 0.96), air=(0.12, 0.3), indoors=False)


def park(canvas: Canvas) -> Ground:
    """Paint a park: old trees, a winding path, benches, lamps."""
    horizon, tone = canvas.height * canvas.between(0.4, 0.5), canvas.pick(GRASSES[:3])
    sky(canvas, horizon)
    for height in (0.24, 0.36):
        trees(canvas, horizon + canvas.height * (height - 0.2) * 0.4, 3, 5, height)
    grass(canvas, horizon, canvas.height, tone)
    path(canvas, horizon, canvas.width * canvas.between(0.3, 0.7))
    for _ in canvas.several(1, 2):
        bench(canvas, canvas.width * canvas.between(0.05, 0.8), horizon + canvas.height * 0.12)
    street_lamp(canvas, canvas.width * canvas.between(0.1, 0.9), horizon + canvas.height * 0.1, canvas.height * 0.3)
    return Ground(feet=(horizon / canvas.height + 0.18, 0.96))


def garden(canvas: Canvas) -> Ground:
    """Paint a garden: a house, a hedge or a fence, a lawn with bushes."""
    edge, tone = canvas.height * canvas.between(0.46, 0.58), canvas.pick(GRASSES[:3])
    sky(canvas, edge)
    trees(canvas, edge, 1, 4, 0.34)
    if canvas.chance(0.6):
        stamp(canvas, canvas.pick("🏠🏡"), canvas.width * canvas.between(0.15, 0.85), edge + 4, canvas.height * 0.34)
    grass(canvas, edge, canvas.height, tone)
    fence(canvas, edge + 8, canvas.height * canvas.between(0.1, 0.16))
    for _ in canvas.several(1, 3):
        bush(canvas, canvas.width * canvas.between(0, 1), edge + canvas.height * 0.06, shade(tone, 0.72))
    return Ground(feet=(edge / canvas.height + 0.14, 0.96))
