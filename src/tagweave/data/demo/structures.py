"""Things built into landscapes: walls, benches, shelters, towers, railings."""

from __future__ import annotations

from tagweave.data.demo.brush import Canvas, mix, shade
from tagweave.data.demo.glyphs import INK, Colour
from tagweave.data.demo.scenery import WALLS


def stone_wall(canvas: Canvas, base: float) -> None:
    """Draw a dry stone wall on row ``base``."""
    size = canvas.height * 0.036
    for course in (2, 1, 0):
        x = -canvas.between(0, size)
        while x < canvas.width:
            width, tone = (
                size * canvas.between(0.9, 1.8),
                canvas.pick(((150, 150, 148), (128, 130, 130), (172, 168, 160))),
            )
            corner = (x, base - size * (course + 1), x + width, base - size * course)
            canvas.pen.rounded_rectangle(corner, 6, fill=tone, outline=(66, 66, 68), width=2)
            x += width


def hay_bale(canvas: Canvas, x: float, foot: float) -> None:
    """Draw a round bale of hay that stands at (x, foot)."""
    size, hay = canvas.height * canvas.between(0.1, 0.14), (226, 192, 104)
    canvas.pen.rounded_rectangle((x, foot - size, x + size * 1.3, foot), size * 0.4, fill=hay, outline=INK, width=3)
    for ring in (0.0, 0.16, 0.32):
        loop = (x + size * ring, foot - size * (1 - ring), x + size * (1 - ring), foot - size * ring)
        canvas.pen.ellipse(loop, fill=shade(hay, 0.96), outline=(134, 104, 48), width=2)


def stables(canvas: Canvas, base: float) -> None:
    """Draw a long low building with half doors on row ``base``."""
    wall, top = canvas.pick(((180, 96, 76), (170, 124, 84), (222, 208, 182))), base - canvas.height * 0.17
    left, right = canvas.width * canvas.between(-0.05, 0.2), canvas.width * canvas.between(0.75, 1.05)
    canvas.pen.rectangle((left, top, right, base), fill=wall, outline=INK, width=3)
    roof = [(left - 14, top), (left + 16, top - canvas.height * 0.08), (right - 16, top - canvas.height * 0.08)]
    canvas.pen.polygon([*roof, (right + 14, top)], fill=(104, 84, 78), outline=INK, width=3)
    for number in range(5):
        x = left + (right - left) * (number + 0.3) / 5
        door = (x, top + 16, x + (right - left) * 0.09, base)
        canvas.pen.rectangle(door, fill=(52, 44, 42), outline=(244, 240, 230), width=3)
        canvas.pen.rectangle(
            (door[0], (top + base) / 2 + 8, door[2], base), fill=shade(wall, 0.65), outline=INK, width=2
        )


def path(canvas: Canvas, horizon: float, x: float) -> None:
    """Draw a gravel path that winds from (x, horizon) towards the viewer."""
    gravel: Colour = canvas.pick(((222, 204, 168), (206, 196, 182), (198, 172, 136)))
    sway, low = canvas.between(-0.2, 0.2) * canvas.width, canvas.height
    near, far = canvas.width * 0.2, canvas.width * 0.015
    left, right = [], []
    for step in range(13):
        t = step / 12
        middle = x + sway * (t * (1 - t) * 4) + (canvas.width / 2 - x) * t
        half, y = far + (near - far) * t**1.3, horizon + (low - horizon) * t
        left.append((middle - half, y))
        right.append((middle + half, y))
    canvas.pen.polygon([*left, *reversed(right)], fill=gravel, outline=shade(gravel, 0.8))


def bench(canvas: Canvas, x: float, foot: float) -> None:
    """Draw a park bench with its left foot at (x, foot)."""
    width, wood = canvas.width * 0.15, canvas.pick(((150, 104, 66), (96, 132, 92), (176, 136, 92)))
    for dx in (0.08, 0.86):
        canvas.pen.rectangle((x + width * dx, foot - 22, x + width * (dx + 0.06), foot), fill=(58, 58, 62))
    for rise in (22, 34, 46):
        plank = (x, foot - rise - 4, x + width, foot - rise + 4)
        canvas.pen.rectangle(plank, fill=wood, outline=INK, width=2)


def barrier(canvas: Canvas, base: float) -> None:
    """Draw a crash barrier along row ``base``."""
    for number in range(9):
        x = canvas.width * (number + 0.2) / 9
        canvas.pen.rectangle((x, base - 26, x + 8, base + 2), fill=(130, 134, 140), outline=INK, width=2)
    canvas.pen.rectangle((-4, base - 34, canvas.width + 4, base - 16), fill=(206, 210, 216), outline=INK, width=2)
    canvas.pen.line((0, base - 25, canvas.width, base - 25), fill=(150, 154, 160), width=3)


def towers(canvas: Canvas, base: float) -> None:
    """Draw office blocks of glass on row ``base``."""
    lit, x = canvas.light.lamp == "🌕", -canvas.width * 0.06
    while x < canvas.width:
        width, top = canvas.width * canvas.between(0.13, 0.24), base - canvas.height * canvas.between(0.26, 0.58)
        wall = mix(
            canvas.pick(((128, 150, 176), (150, 162, 170), (108, 128, 150), (176, 168, 160))), canvas.light.low_sky, 0.3
        )
        canvas.pen.rectangle((x, top, x + width, base), fill=wall, outline=shade(wall, 0.55), width=3)
        glass: Colour = (250, 226, 140) if lit else mix(canvas.light.sky, (255, 255, 255), 0.35)
        y = top + 12
        while y < base - 20:
            canvas.pen.rectangle((x + 8, y, x + width - 8, y + 9), fill=glass)
            y += 20
        for share in (0.33, 0.66):
            canvas.pen.line((x + width * share, top, x + width * share, base), fill=shade(wall, 0.8), width=3)
        x += width + canvas.between(0, 14)


def shelter(canvas: Canvas, x: float, foot: float) -> None:
    """Draw a bus shelter of glass with its left foot at (x, foot)."""
    width, tall = canvas.width * 0.28, canvas.height * 0.22
    canvas.pen.rectangle(
        (x, foot - tall, x + width, foot - 8), fill=(186, 220, 232, 150), outline=(70, 76, 84), width=4
    )
    canvas.pen.rectangle((x + width * 0.5, foot - tall, x + width * 0.5 + 3, foot - 8), fill=(70, 76, 84))
    advert = canvas.pick(WALLS)
    poster = (x + width * 0.72, foot - tall * 0.85, x + width * 0.95, foot - tall * 0.2)
    canvas.pen.rectangle(poster, fill=advert, outline=INK, width=2)
    canvas.pen.rectangle(
        (x - 10, foot - tall - 10, x + width + 10, foot - tall + 4), fill=(84, 92, 104), outline=INK, width=2
    )
    canvas.pen.rectangle((x + 14, foot - 30, x + width * 0.66, foot - 22), fill=(170, 122, 78), outline=INK, width=2)


def railing(canvas: Canvas, base: float) -> None:
    """Draw an iron railing on row ``base``."""
    top = base - canvas.height * 0.17
    for number in range(27):
        x = canvas.width * number / 26
        canvas.pen.line((x, top, x, base), fill=(52, 56, 62), width=3)
    for y in (top, base - 8):
        canvas.pen.rectangle((-4, y - 4, canvas.width + 4, y + 5), fill=(62, 66, 74), outline=INK, width=2)


def lights(canvas: Canvas, y: float) -> None:
    """Hang a string of coloured lamps around row ``y``."""
    points = []
    for step in range(25):
        bay = (step % 8) / 8
        points.append((canvas.width * step / 24, y + canvas.height * 0.2 * bay * (1 - bay)))
    canvas.pen.line(points, fill=(60, 60, 64), width=2)
    for number, (x, row) in enumerate(points[1::2]):
        bulb: Colour = ((250, 210, 90), (240, 120, 100), (130, 190, 230))[number % 3]
        canvas.pen.ellipse((x - 6, row, x + 6, row + 14), fill=bulb, outline=INK, width=1)
