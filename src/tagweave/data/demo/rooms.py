"""Grounds within doors: living room, dining room, kitchen, study."""

from __future__ import annotations

from itertools import pairwise

from tagweave.data.demo.brush import Box, Canvas, Ground, gradient, mix, shade, speckle, stamp
from tagweave.data.demo.glyphs import INK, Colour

LIVING_PAPERS: tuple[Colour, ...] = (
    (236, 222, 196),
    (240, 214, 190),
    (234, 206, 150),
    (240, 234, 222),
    (222, 212, 226),
)
DINING_PAPERS: tuple[Colour, ...] = ((150, 70, 66), (178, 106, 82), (120, 84, 104), (196, 140, 104))
KITCHEN_PAPERS: tuple[Colour, ...] = ((220, 236, 238), (206, 226, 214), (244, 240, 224), (222, 216, 236))
BEDROOM_PAPERS: tuple[Colour, ...] = ((238, 196, 206), (206, 190, 230), (186, 212, 238), (246, 218, 206))
STUDY_PAPERS: tuple[Colour, ...] = ((92, 124, 116), (96, 118, 146), (126, 140, 128), (120, 128, 150))
PAPERS = (*LIVING_PAPERS, *KITCHEN_PAPERS)
BEDROOM_CARPETS: tuple[Colour, ...] = ((226, 214, 204), (206, 214, 224), (230, 206, 200))
CARPETS: tuple[Colour, ...] = ((126, 92, 84), (104, 112, 128), (148, 130, 108))
FLOORS: tuple[Colour, ...] = ((186, 140, 94), (160, 112, 74), (206, 176, 134), (122, 86, 66), (98, 70, 58))
FABRICS: tuple[Colour, ...] = ((190, 84, 74), (84, 118, 160), (108, 146, 104), (222, 178, 92), (140, 110, 150))


def living_room(canvas: Canvas) -> Ground:
    """Paint a living room: a window with curtains, pictures, a lamp, a rug."""
    floor = _shell(canvas, LIVING_PAPERS, canvas.pick(FLOORS[:3]))
    _boards(canvas, floor)
    _rug(canvas, floor)
    side = canvas.pick((0.22, 0.5, 0.78))
    window(canvas, canvas.width * side, floor * canvas.between(0.42, 0.5))
    for share in (0.22, 0.5, 0.78):
        if share != side and canvas.chance(0.75):
            frame(canvas, canvas.width * share, floor * canvas.between(0.25, 0.42))
    if canvas.chance(0.5):
        floor_lamp(canvas, canvas.width * canvas.pick((0.07, 0.93)), floor + 14)
    return _room(canvas, floor)


def dining_room(canvas: Canvas) -> Ground:
    """Paint a dining room: a hanging lamp, panelled wall, pictures or a window."""
    floor = _shell(canvas, DINING_PAPERS, canvas.pick(FLOORS[3:]))
    _boards(canvas, floor)
    panel = canvas.pick(PAPERS)
    canvas.pen.rectangle((0, floor * 0.72, canvas.width, floor), fill=shade(panel, 0.85))
    for number in range(7):
        x = canvas.width * number / 6
        canvas.pen.rectangle((x, floor * 0.77, x + canvas.width / 8, floor * 0.95), outline=shade(panel, 0.68), width=3)
    if canvas.chance(0.6):
        window(canvas, canvas.width * canvas.pick((0.2, 0.8)), floor * 0.4)
    frame(canvas, canvas.width * canvas.pick((0.36, 0.64)), floor * canvas.between(0.25, 0.4))
    pendant(canvas, canvas.width * canvas.between(0.4, 0.6), floor * canvas.between(0.22, 0.36))
    return _room(canvas, floor)


def kitchen(canvas: Canvas) -> Ground:
    """Paint a kitchen: tiles, a worktop with cupboards, shelves with crockery."""
    floor = _shell(canvas, KITCHEN_PAPERS, (232, 230, 224))
    _checks(canvas, floor, canvas.pick(((120, 150, 156), (170, 110, 92), (96, 98, 104), (140, 164, 128))))
    tile = canvas.pick(((220, 232, 232), (240, 236, 226), (206, 224, 214)))
    canvas.pen.rectangle((0, floor * 0.4, canvas.width, floor), fill=tile)
    for number in range(1, 16):
        x = canvas.width * number / 15
        canvas.pen.line((x, floor * 0.4, x, floor), fill=shade(tile, 0.86), width=2)
    for row in range(5):
        y = floor * (0.4 + 0.12 * row)
        canvas.pen.line((0, y, canvas.width, y), fill=shade(tile, 0.86), width=2)
    _worktop(canvas, floor)
    _crockery(canvas, floor * canvas.between(0.26, 0.34))
    if canvas.chance(0.5):
        pendant(canvas, canvas.width * canvas.between(0.3, 0.7), floor * 0.14)
    return _room(canvas, floor)


def study(canvas: Canvas) -> Ground:
    """Paint a study: bookshelves, a window, a clock."""
    carpet = canvas.pick(CARPETS)
    floor = _shell(canvas, STUDY_PAPERS, carpet)
    _carpet(canvas, floor, carpet)
    left = canvas.chance(0.5)
    start = 0.03 if left else 0.55
    box = (canvas.width * start, floor * 0.12, canvas.width * (start + 0.42), floor + 6)
    bookshelf(canvas, box)
    window(canvas, canvas.width * (0.76 if left else 0.24), floor * 0.42)
    if canvas.chance(0.5):
        stamp(canvas, canvas.pick("🕐🕓🕘"), canvas.width * 0.5, floor * 0.16, floor * 0.13)
    return _room(canvas, floor)


def bedroom(canvas: Canvas) -> Ground:
    """Paint a bedroom: a bed against a pastel wall, a window, a soft carpet."""
    carpet = canvas.pick(BEDROOM_CARPETS)
    floor = _shell(canvas, BEDROOM_PAPERS, carpet)
    _carpet(canvas, floor, carpet)
    side = canvas.pick((0.3, 0.7))
    window(canvas, canvas.width * (1 - side), floor * 0.42)
    frame(canvas, canvas.width * side, floor * canvas.between(0.22, 0.34))
    bed = canvas.width * canvas.between(0.4, 0.5)
    stamp(canvas, "🛏", canvas.width * side, floor + canvas.height * 0.05, bed * 0.62, side > 0.5)
    return _room(canvas, floor)


def _room(canvas: Canvas, floor: float) -> Ground:
    return Ground(feet=(floor / canvas.height + 0.07, 0.96), air=(0.12, 0.36), indoors=True)


def _shell(canvas: Canvas, papers: tuple[Colour, ...], ground: Colour) -> float:
    """Paint a papered wall, a skirting board and a floor of colour ``ground``; return the row where they meet."""
    floor = canvas.height * canvas.between(0.56, 0.7)
    paper = canvas.pick(papers)
    gradient(canvas, 0, floor, shade(paper, 0.94), paper)
    _paper_pattern(canvas, floor, paper)
    gradient(canvas, floor, canvas.height, shade(ground, 0.86), shade(ground, 1.06))
    canvas.pen.rectangle(
        (0, floor - 10, canvas.width, floor), fill=(244, 240, 232), outline=shade(ground, 0.5), width=2
    )
    return floor


def _paper_pattern(canvas: Canvas, floor: float, paper: Colour) -> None:
    """Print stripes or dots on the wall, or nothing."""
    pattern, tone = canvas.pick(("stripes", "dots", "")), mix(paper, canvas.pick(FABRICS), 0.16)
    for number in range(18 if pattern == "stripes" else 0):
        x = canvas.width * number / 18
        canvas.pen.rectangle((x, 0, x + canvas.width / 44, floor), fill=tone)
    for number in range(70 if pattern == "dots" else 0):
        x, y = canvas.width * (number % 10 + 0.5 * (number // 10 % 2)) / 10, floor * (number // 10) / 7
        canvas.pen.ellipse((x, y, x + 10, y + 10), fill=tone)


def _boards(canvas: Canvas, floor: float) -> None:
    """Draw the joints of floorboards that run towards the viewer."""
    for number in range(-8, 21):
        x = canvas.width * number / 12
        near = canvas.width / 2 + (x - canvas.width / 2) * 1.7
        canvas.pen.line((x, floor, near, canvas.height), fill=(40, 24, 14, 110), width=2)


def _checks(canvas: Canvas, floor: float, tone: Colour) -> None:
    """Lay tiles of ``tone`` like a draughtboard, every other one left as it is."""
    middle, rows = canvas.width / 2, [floor + (canvas.height - floor) * (row / 6) ** 1.4 for row in range(7)]
    for row, (top, bottom) in enumerate(pairwise(rows)):
        far, near = (1 + 0.7 * (y - floor) / (canvas.height - floor) for y in (top, bottom))
        for column in range(-6 + row % 2, 7, 2):
            left, right = column * canvas.width / 10, (column + 1) * canvas.width / 10
            corners = [(middle + left * far, top), (middle + right * far, top)]
            canvas.pen.polygon([*corners, (middle + right * near, bottom), (middle + left * near, bottom)], fill=tone)


def _carpet(canvas: Canvas, floor: float, tone: Colour) -> None:
    """Give a floor of colour ``tone`` the pile of a carpet."""
    box = (0, floor, canvas.width, canvas.height)
    speckle(canvas, box, (shade(tone, 0.88), shade(tone, 1.08)), 150, 9, 1.0)


def _rug(canvas: Canvas, floor: float) -> None:
    if canvas.chance(0.35):
        return
    cloth, middle = canvas.pick(FABRICS), canvas.width * canvas.between(0.4, 0.6)
    top, bottom = floor + (canvas.height - floor) * 0.3, canvas.height * 0.97
    far, near = canvas.width * 0.26, canvas.width * 0.4
    for inset, tone in ((0, cloth), (14, mix(cloth, (255, 246, 230), 0.6)), (22, shade(cloth, 0.88))):
        left, right = middle - far + inset, middle + far - inset
        lower = [
            (middle + near - inset * 1.4, bottom - inset * 0.7),
            (middle - near + inset * 1.4, bottom - inset * 0.7),
        ]
        canvas.pen.polygon([(left, top + inset * 0.5), (right, top + inset * 0.5), *lower], fill=tone)


def window(canvas: Canvas, x: float, y: float) -> None:
    """Draw a window around (x, y) that shows the sky, with curtains at times."""
    half, tall, light = (
        canvas.width * canvas.between(0.1, 0.14),
        canvas.height * canvas.between(0.13, 0.18),
        canvas.light,
    )
    box = (x - half, y - tall, x + half, y + tall)
    canvas.pen.rectangle(box, fill=mix(light.sky, light.low_sky, 0.5))
    green: Colour = (112, 160, 96)
    crests = [(x - half, y + tall * 0.5), (x - half * 0.4, y + tall * 0.2), (x + half * 0.3, y + tall * 0.6)]
    outside = [*crests, (x + half, y + tall * 0.3), (x + half, y + tall), (x - half, y + tall)]
    canvas.pen.polygon(outside, fill=mix(green, light.sky, 0.2))
    frame_colour: Colour = canvas.pick(((248, 246, 240), (150, 108, 70)))
    sill = (x - half - 10, y + tall, x + half + 10, y + tall + 10)
    canvas.pen.rectangle(sill, fill=frame_colour, outline=INK, width=2)
    canvas.pen.rectangle((x - 3, y - tall, x + 3, y + tall), fill=frame_colour)
    canvas.pen.rectangle((x - half, y - 3, x + half, y + 3), fill=frame_colour)
    canvas.pen.rectangle(box, outline=INK, width=3)
    if canvas.chance(0.6):
        _curtains(canvas, box)


def _curtains(canvas: Canvas, box: Box) -> None:
    left, top, right, bottom = box
    cloth, wide, drop = canvas.pick(FABRICS), (right - left) * 0.24, bottom + 24
    canvas.pen.rectangle((left - wide * 0.8, top - 12, right + wide * 0.8, top - 6), fill=(92, 70, 54))
    for inner, outer in ((left + wide * 0.6, left - wide * 0.6), (right - wide * 0.6, right + wide * 0.6)):
        panel = [(outer, top - 8), (inner, top - 8), ((inner + outer) / 2, drop), (outer, drop)]
        canvas.pen.polygon(panel, fill=cloth, outline=shade(cloth, 0.6), width=2)
        canvas.pen.line(((outer * 2 + inner) / 3, top, (outer * 3 + inner) / 4, drop), fill=shade(cloth, 0.75), width=2)


def frame(canvas: Canvas, x: float, y: float) -> None:
    """Hang a picture with its middle at (x, y)."""
    half, tall = canvas.width * canvas.between(0.05, 0.09), canvas.height * canvas.between(0.06, 0.1)
    box = (x - half, y - tall, x + half, y + tall)
    wood = canvas.pick(((150, 108, 70), (64, 60, 60), (220, 184, 96), (240, 236, 228)))
    canvas.pen.rectangle(box, fill=canvas.pick(PAPERS), outline=wood, width=8)
    hill = [(x - half + 8, y + tall - 8), (x - half * 0.2, y - tall * 0.2), (x + half - 8, y + tall - 8)]
    canvas.pen.polygon(hill, fill=canvas.pick(FABRICS))
    sun = (x + half * 0.2, y - tall * 0.6, x + half * 0.2 + 14, y - tall * 0.6 + 14)
    canvas.pen.ellipse(sun, fill=canvas.pick(FABRICS))
    canvas.pen.rectangle(box, outline=INK, width=2)


def floor_lamp(canvas: Canvas, x: float, foot: float) -> None:
    """Set a floor lamp with its foot at (x, foot)."""
    tall, cloth = canvas.height * 0.42, canvas.pick(FABRICS)
    canvas.pen.rectangle((x - 3, foot - tall, x + 3, foot), fill=(70, 62, 58))
    canvas.pen.ellipse((x - 20, foot - 7, x + 20, foot + 5), fill=(70, 62, 58))
    top = foot - tall - 12
    lampshade = [(x - 18, top - 26), (x + 18, top - 26), (x + 32, top + 22), (x - 32, top + 22)]
    canvas.pen.polygon(lampshade, fill=mix(cloth, (255, 240, 190), 0.5), outline=INK, width=3)


def pendant(canvas: Canvas, x: float, y: float) -> None:
    """Hang a lamp whose lower edge is on row ``y``."""
    cloth, half = canvas.pick(FABRICS), canvas.width * 0.08
    canvas.pen.rectangle((x - 2, 0, x + 2, y - half * 0.7), fill=(60, 56, 54))
    canvas.pen.ellipse((x - half * 0.3, y - half * 0.3, x + half * 0.3, y + half * 0.3), fill=(255, 240, 180))
    canvas.pen.pieslice(
        (x - half, y - half * 0.9, x + half, y + half * 0.9), 180, 360, fill=cloth, outline=INK, width=3
    )


def bookshelf(canvas: Canvas, box: Box) -> None:
    """Draw a shelf full of books in ``box``."""
    left, top, right, bottom = box
    wood = canvas.pick(FLOORS)
    canvas.pen.rectangle(box, fill=shade(wood, 0.6), outline=INK, width=3)
    shelves = 4
    for shelf in range(shelves):
        base = top + (bottom - top) * (shelf + 1) / shelves
        x = left + 8
        while x < right - 22:
            width, height = canvas.between(7, 17), (bottom - top) / shelves * canvas.between(0.5, 0.78)
            canvas.pen.rectangle(
                (x, base - height, x + width, base - 6), fill=canvas.pick(FABRICS), outline=(50, 44, 42)
            )
            x += width + (0 if canvas.chance(0.9) else 22)
        canvas.pen.rectangle((left, base - 7, right, base), fill=wood, outline=INK)


def _worktop(canvas: Canvas, floor: float) -> None:
    """Draw cupboards under a worktop, with a stove, and things on it."""
    top, paint = floor - canvas.height * 0.17, canvas.pick(PAPERS + FABRICS)
    canvas.pen.rectangle((0, top, canvas.width, floor + 6), fill=paint, outline=INK, width=3)
    for number in range(6):
        x = canvas.width * (number + 0.08) / 6
        door = (x, top + 20, x + canvas.width * 0.14, floor - 4)
        canvas.pen.rectangle(door, fill=shade(paint, 0.92), outline=shade(paint, 0.6), width=3)
        canvas.pen.rectangle((x + 10, top + 30, x + 26, top + 34), fill=(80, 76, 74))
    canvas.pen.rectangle((0, top - 6, canvas.width, top + 8), fill=(214, 206, 194), outline=INK, width=2)
    for _ in canvas.several(1, 3):
        stamp(
            canvas,
            canvas.pick("🍲🫖🍋🍞🥣🥕🍎"),
            canvas.width * canvas.between(0.05, 0.95),
            top - 4,
            canvas.height * 0.08,
        )


def _crockery(canvas: Canvas, y: float) -> None:
    """Draw a shelf with cups and plates on row ``y``."""
    left = canvas.width * canvas.between(0.06, 0.4)
    right = left + canvas.width * 0.44
    x = left + 12
    while x < right - 30:
        size, tone = canvas.between(20, 34), canvas.pick(FABRICS + PAPERS)
        canvas.pen.rounded_rectangle((x, y - size, x + size * 0.9, y), 6, fill=tone, outline=INK, width=2)
        x += size + 8
    canvas.pen.rectangle((left, y, right, y + 8), fill=canvas.pick(FLOORS), outline=INK, width=2)
