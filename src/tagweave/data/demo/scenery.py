"""What a landscape is made of: sky, hills, grass, water, houses, roads, rails."""

from __future__ import annotations

from tagweave.data.demo.brush import Canvas, gradient, mix, ridge, shade, speckle, stamp
from tagweave.data.demo.glyphs import INK, Colour

GRASSES: tuple[Colour, ...] = ((126, 176, 84), (104, 158, 78), (160, 184, 96), (196, 182, 104), (90, 140, 88))
SANDS: tuple[Colour, ...] = ((236, 214, 164), (222, 196, 148), (214, 204, 180))
EARTHS: tuple[Colour, ...] = ((164, 126, 86), (142, 108, 78), (178, 146, 104))
SEAS: tuple[Colour, ...] = ((54, 122, 176), (44, 142, 160), (78, 110, 150), (70, 150, 190))
WALLS: tuple[Colour, ...] = (
    (206, 128, 100), (222, 190, 140), (178, 188, 194), (198, 158, 160), (150, 168, 142), (232, 216, 186),
    (160, 116, 98),
)  # fmt: skip
WOODS: tuple[Colour, ...] = ((150, 112, 76), (236, 232, 222), (120, 92, 70))
ASPHALTS: tuple[Colour, ...] = ((112, 114, 120), (96, 98, 108), (132, 130, 128))


def sky(canvas: Canvas, bottom: float) -> None:
    """Paint the sky down to row ``bottom``, with sun or moon and clouds as the light has it."""
    light = canvas.light
    gradient(canvas, 0, bottom, light.sky, light.low_sky)
    if light.lamp and canvas.chance(0.6):
        size = canvas.height * canvas.between(0.1, 0.17)
        stamp(canvas, light.lamp, canvas.width * canvas.between(0.08, 0.92), size * 1.4, size)
    for _ in canvas.several(0, round(5 * light.cloudiness)):
        cloud(canvas, canvas.width * canvas.between(0, 1), bottom * canvas.between(0.08, 0.75))


def cloud(canvas: Canvas, x: float, y: float) -> None:
    """Paint a flat-bottomed cloud around (x, y)."""
    size = canvas.width * canvas.between(0.03, 0.075)
    white = mix((255, 255, 255), canvas.light.low_sky, canvas.between(0.1, 0.5))
    for step in range(5):
        radius = size * (1.0 - abs(step - 2) * 0.27) * canvas.between(0.8, 1.1)
        middle = x + (step - 2) * size * 0.85
        canvas.pen.ellipse((middle - radius, y - radius, middle + radius, y + radius * 0.5), fill=(*white, 235))
    canvas.pen.rectangle((x - size * 1.7, y + size * 0.1, x + size * 1.7, y + size * 0.45), fill=(*white, 235))


def rain(canvas: Canvas) -> None:
    """Let it rain over all that is painted."""
    lean = canvas.between(-0.3, 0.3)
    for x, y, length in canvas.rng.random((90, 3)).tolist():
        left, top, fall = x * canvas.width, y * canvas.height, 12 + 22 * length
        canvas.pen.line((left, top, left + lean * fall, top + fall), fill=(222, 230, 240, 130), width=2)


def hills(canvas: Canvas, base: float, tone: Colour) -> None:
    """Paint two or three ranges of hills on row ``base``, the farther the paler."""
    ranges = int(canvas.rng.integers(1, 4))
    for nearness in range(ranges):
        share = 0.65 - 0.25 * nearness
        height = canvas.height * canvas.between(0.07, 0.2) * (1 - 0.2 * nearness)
        ridge(canvas, base, height, mix(tone, canvas.light.low_sky, share), canvas.between(1.2, 3))


def trees(canvas: Canvas, base: float, few: int, many: int, tall: float = 0.2) -> None:
    """Set trees along row ``base``."""
    for _ in canvas.several(few, many):
        height = canvas.height * tall * canvas.between(0.6, 1.2)
        stamp(
            canvas, canvas.pick("🌳🌳🌲🌲"), canvas.width * canvas.between(0, 1), base + 3, height, canvas.chance(0.5)
        )


def grass(canvas: Canvas, top: float, bottom: float, tone: Colour) -> None:
    """Paint grass from row ``top`` to row ``bottom``: blades, and at times flowers."""
    gradient(canvas, top, bottom, mix(tone, canvas.light.low_sky, 0.25), shade(tone, 0.86))
    box = (0, top + 4, canvas.width, bottom + 10)
    speckle(canvas, box, (shade(tone, 0.78), shade(tone, 1.15), shade(tone, 0.9)), 170, canvas.height * 0.045, 1.0)
    if canvas.chance(0.3):
        bloom = canvas.pick("🌼🌷🌻🌸")
        for _ in canvas.several(3, 8):
            depth = canvas.between(0.1, 0.9)
            size = canvas.height * (0.03 + 0.06 * depth)
            stamp(canvas, bloom, canvas.width * canvas.between(0, 1), top + (bottom - top) * depth, size)


def water(canvas: Canvas, top: float, bottom: float, tone: Colour) -> None:
    """Paint water from row ``top`` to row ``bottom``, with glints and crests."""
    gradient(canvas, top, bottom, mix(tone, canvas.light.low_sky, 0.5), tone)
    pale, deep = mix(tone, (255, 255, 255), 0.55), shade(tone, 0.8)
    speckle(canvas, (-20, top, canvas.width, bottom), (pale, deep, mix(tone, pale, 0.5)), 120, canvas.width * 0.09)
    for _ in canvas.several(3, 9):
        depth = canvas.between(0.15, 0.95)
        x, y, span = (
            canvas.width * canvas.between(0, 1),
            top + (bottom - top) * depth,
            canvas.width * 0.05 * (0.4 + depth),
        )
        for step in range(3):
            crest = (x + step * span, y - span * 0.3, x + (step + 1) * span, y + span * 0.3)
            canvas.pen.arc(crest, 20, 160, fill=pale, width=3)


def fence(canvas: Canvas, base: float, height: float, paint: Colour | None = None) -> None:
    """Draw a fence of posts and two rails on row ``base``, in ``paint`` or in one of the ``WOODS``."""
    wood = paint or canvas.pick(WOODS)
    step, post = canvas.width * canvas.between(0.07, 0.12), max(5, round(canvas.width * 0.013))
    for share in (0.35, 0.75):
        y = base - height * share
        canvas.pen.rectangle((-4, y - 3, canvas.width + 4, y + 4), fill=wood, outline=INK, width=2)
    for number in range(round(canvas.width / step) + 1):
        x = number * step
        canvas.pen.rectangle((x, base - height, x + post, base), fill=wood, outline=INK, width=2)


def house_fronts(canvas: Canvas, base: float, low: float, high: float) -> None:
    """Draw a row of house fronts on row ``base``, from ``low`` to ``high`` tall as shares of the canvas height."""
    x = -canvas.width * canvas.between(0, 0.1)
    lit = canvas.light.lamp == "🌕"
    while x < canvas.width:
        width, height = canvas.width * canvas.between(0.16, 0.34), canvas.height * canvas.between(low, high)
        _front(canvas, (x, base - height, x + width, base), lit)
        x += width


def _front(canvas: Canvas, box: tuple[float, float, float, float], lit: bool) -> None:
    """Draw one house front: wall, roof edge, rows of windows, and a shop or a door."""
    left, top, right, base = box
    wall = canvas.pick(WALLS)
    canvas.pen.rectangle(box, fill=wall, outline=shade(wall, 0.5), width=3)
    canvas.pen.rectangle((left - 3, top, right + 3, top + 9), fill=shade(wall, 0.7))
    glass = (250, 222, 130) if lit else canvas.pick(((150, 192, 214), (120, 160, 186), (196, 220, 230)))
    columns, storey = int(canvas.rng.integers(2, 5)), canvas.height * 0.13
    cell = (right - left) / columns
    y = top + storey * 0.35
    while y + storey * 1.5 < base:
        for column in range(columns):
            x = left + cell * (column + 0.25)
            canvas.pen.rectangle(
                (x, y, x + cell * 0.5, y + storey * 0.6), fill=glass, outline=shade(wall, 0.5), width=2
            )
        y += storey
    _shop(canvas, (left, base - storey * 0.95, right, base), wall)


def _shop(canvas: Canvas, box: tuple[float, float, float, float], wall: Colour) -> None:
    left, top, right, base = box
    awning = canvas.pick(((196, 70, 62), (70, 120, 96), (72, 104, 150), (226, 172, 80)))
    middle = left + (right - left) * 0.62
    canvas.pen.rectangle(
        (left + 10, top + 12, middle, base - 8), fill=(176, 208, 220), outline=shade(wall, 0.4), width=2
    )
    canvas.pen.rectangle(
        (middle + 8, top + 8, right - 10, base), fill=shade(awning, 0.7), outline=shade(wall, 0.4), width=2
    )
    for stripe in range(6):
        x = left + 4 + (right - left - 8) * stripe / 6
        colour = awning if stripe % 2 else (244, 240, 232)
        canvas.pen.rectangle((x, top, x + (right - left - 8) / 6, top + 12), fill=colour)


def street_lamp(canvas: Canvas, x: float, foot: float, height: float) -> None:
    """Draw a lamp post, which shines by night."""
    lit: Colour = (255, 236, 150) if canvas.light.lamp == "🌕" else (236, 236, 228)
    canvas.pen.rectangle((x - 3, foot - height, x + 3, foot), fill=(58, 62, 66))
    canvas.pen.rectangle((x - 3, foot - height, x + height * 0.16, foot - height + 5), fill=(58, 62, 66))
    lantern = (x + height * 0.1, foot - height + 3, x + height * 0.2, foot - height * 0.9)
    canvas.pen.ellipse(lantern, fill=lit, outline=INK, width=2)


def road(canvas: Canvas, horizon: float, vanish: float, near: float, far: float) -> None:
    """Draw a road towards (vanish, horizon): ``near`` and ``far`` are its widths as shares of the canvas."""
    tar, width, low = canvas.pick(ASPHALTS), canvas.width, canvas.height
    middle = width * 0.5
    edges = [(vanish - far * width / 2, horizon), (vanish + far * width / 2, horizon)]
    canvas.pen.polygon([*edges, (middle + near * width / 2, low), (middle - near * width / 2, low)], fill=tar)
    for step in range(6):
        start, end = (step / 6) ** 1.8, ((step + 0.5) / 6) ** 1.8
        points = [(vanish + (middle - vanish) * t, horizon + (low - horizon) * t) for t in (start, end)]
        canvas.pen.line(points, fill=(238, 234, 214), width=3 + step * 2)


def carriageway(canvas: Canvas, kerb: float) -> None:
    """Draw a road with lane marks, seen from its side, below a kerb on row ``kerb``."""
    tar = canvas.pick(ASPHALTS)
    gradient(canvas, kerb, canvas.height, shade(tar, 1.05), shade(tar, 0.85))
    canvas.pen.rectangle((0, kerb, canvas.width, kerb + 8), fill=(206, 204, 198), outline=(90, 90, 92), width=2)
    box = (0, kerb + 10, canvas.width, canvas.height)
    speckle(canvas, box, (shade(tar, 0.8), shade(tar, 1.2)), 110, 10)
    lane, dash = kerb + (canvas.height - kerb) * 0.55, canvas.width * 0.13
    start = -canvas.between(0, dash)
    for number in range(7):
        x = start + number * dash * 1.6
        canvas.pen.polygon(
            [(x + 8, lane), (x + dash + 8, lane), (x + dash, lane + 9), (x, lane + 9)], fill=(238, 234, 220)
        )


def rails(canvas: Canvas, track: float) -> None:
    """Draw ballast, sleepers and two rails, seen from the side, around row ``track``."""
    depth = canvas.height * 0.075
    gradient(canvas, track - depth * 0.4, track + depth, (146, 138, 130), (116, 108, 102))
    box = (0, track - depth * 0.4, canvas.width, track + depth)
    speckle(canvas, box, ((92, 86, 82), (180, 172, 164)), 130, 9)
    for number in range(18):
        x = canvas.width * number / 17
        corners = [(x, track - 8), (x + 14, track - 8), (x + 8, track + depth * 0.7), (x - 12, track + depth * 0.7)]
        canvas.pen.polygon(corners, fill=(96, 68, 50), outline=(56, 40, 30))
    for y in (track - 4, track + depth * 0.45):
        canvas.pen.rectangle((0, y, canvas.width, y + 6), fill=(176, 180, 188), outline=(70, 70, 76), width=2)


def barn(canvas: Canvas, x: float, base: float, width: float) -> None:
    """Draw a barn with its lower left corner at (x, base)."""
    red, eaves = canvas.pick(((176, 68, 56), (150, 104, 74), (196, 186, 170))), base - width * 0.5
    canvas.pen.rectangle((x, eaves, x + width, base), fill=red, outline=INK, width=3)
    roof = [(x - 12, eaves), (x + width * 0.2, eaves - width * 0.28), (x + width * 0.8, eaves - width * 0.28)]
    canvas.pen.polygon([*roof, (x + width + 12, eaves)], fill=(92, 84, 86), outline=INK, width=3)
    gate = (x + width * 0.3, eaves + width * 0.14, x + width * 0.7, base)
    canvas.pen.rectangle(gate, fill=shade(red, 0.7), outline=(244, 240, 230), width=4)
    canvas.pen.line((gate[0], gate[1], gate[2], gate[3]), fill=(244, 240, 230), width=4)
    canvas.pen.line((gate[2], gate[1], gate[0], gate[3]), fill=(244, 240, 230), width=4)


def bush(canvas: Canvas, x: float, base: float, tone: Colour) -> None:
    """Draw a bush in flower around (x, base)."""
    size = canvas.height * canvas.between(0.05, 0.09)
    for dx, dy in ((-0.9, 0), (0.9, 0), (-0.45, -0.6), (0.45, -0.6), (0, -0.2)):
        left, top = x + (dx - 0.7) * size, base + (dy - 0.9) * size
        canvas.pen.ellipse((left, top, left + 1.4 * size, top + 1.4 * size), fill=shade(tone, 1 - 0.15 * dy))
    bloom = canvas.pick(((226, 92, 110), (246, 206, 90), (240, 236, 240)))
    for _ in canvas.several(0, 7):
        px, py = x + size * canvas.between(-1.2, 1.2), base - size * canvas.between(0, 1.2)
        canvas.pen.ellipse((px, py, px + 9, py + 9), fill=bloom)
