"""Charts as SVG text: drawn in view-box units, coloured by the page's style sheet through their classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from tagweave.report import numerals

WIDTH, HEIGHT = 400.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 16.0, 42.0, 40.0
LONGEST_NAME = 22
# Wide enough for the widest usual system font at 12 units.
LETTER = 7.4


@dataclass(frozen=True)
class Axis:
    """Map values in low..high to places in start..end."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Link:
    """Draw one line of a label graph between two label numbers; ``probability`` is P(j | i)."""

    i: int
    j: int
    probability: float


def ticks(low: float, high: float, most: int = 6, least_step: float = 0.0) -> list[float]:
    """Return round values within low..high, at most ``most``, in steps of 1, 2 or 5 times a power of ten."""
    rough = max((high - low) / max(most - 1, 1), least_step)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def line_chart(
    x: Sequence[float], y: Sequence[float], *, title: str, y_name: str, x_name: str, mark: int | None, percent: bool
) -> str:
    """Draw y over whole-numbered x as one line.

    Args:
        title: what the chart shows, for those who cannot see it.
        mark: the x to mark with its value written above.
        percent: write y in percent; y is in 0..1 then.
    """
    across = Axis(min(x) - (len(x) == 1), max(x) + (len(x) == 1), LEFT, WIDTH - RIGHT)
    low, high = _padded(min(y), max(y), ceiling=1.0 if percent else math.inf)
    up = Axis(low, high, HEIGHT - BOTTOM, TOP)
    body = _frame(across, up, x_name, f"{y_name}, %" if percent else y_name, percent)
    points = " ".join(f"{across.at(a):.1f},{up.at(b):.1f}" for a, b in zip(x, y, strict=True))
    body.append(f'<polyline class="line" points="{points}"/>')
    if len(x) == 1:
        body.append(f'<circle class="dot" cx="{across.at(x[0]):.1f}" cy="{up.at(y[0]):.1f}" r="4"/>')
    if mark in x:
        body += _mark(across, up, x[x.index(mark)], y[x.index(mark)], percent)
    return _svg(WIDTH, HEIGHT, title, body)


def reliability_chart(
    probabilities: Sequence[float], shares: Sequence[float], cells: Sequence[int], *, title: str
) -> str:
    """Draw the share of true cells over the mean probability of each bin, beside the diagonal of perfect calibration.

    Args:
        probabilities, shares: in 0..1, one per bin.
        cells: the number of cells of each bin; a dot's area grows with it.
    """
    across, up = Axis(0, 1, LEFT, 280 - RIGHT), Axis(0, 1, 300 - BOTTOM, TOP)
    body = _frame(across, up, "mean probability, %", "share that is true, %", percent=True)
    body.append(f'<path class="guide" d="M{across.at(0):.1f} {up.at(0):.1f}L{across.at(1):.1f} {up.at(1):.1f}"/>')
    places = [(across.at(a), up.at(b)) for a, b in zip(probabilities, shares, strict=True)]
    body.append('<polyline class="line" points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in places) + '"/>')
    for (a, b), number in zip(places, cells, strict=True):
        radius = 2 + 6 * math.sqrt(number / max(cells))
        body.append(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="{radius:.1f}"/>')
    return _svg(280, 300, title, body)


def recall_chart(recall: Sequence[float], precision: Sequence[float], *, title: str) -> str:
    """Draw precision over recall, both in 0..1, on square axes."""
    across, up = Axis(0, 1, LEFT, 360 - RIGHT), Axis(0, 1, 320 - BOTTOM, TOP)
    body = _frame(across, up, "recall, %", "precision, %", percent=True)
    body.append(_curve_line(across, up, recall, precision))
    return _svg(360, 320, title, body)


def small_recall_chart(
    recall: Sequence[float], precision: Sequence[float], mark: tuple[float, float] | None, *, title: str
) -> str:
    """Draw precision over recall without numbers; ``mark`` is recall and precision at the label's threshold."""
    across, up = Axis(0, 1, 5, 95), Axis(0, 1, 65, 5)
    body = ['<path class="axis" d="M5 5V65H95"/>', '<path class="grid" d="M5 35H95M50 5V65"/>']
    body.append(_curve_line(across, up, recall, precision))
    if mark is not None:
        body.append(f'<circle class="dot" cx="{across.at(mark[0]):.1f}" cy="{up.at(mark[1]):.1f}" r="3"/>')
    return _svg(100, 70, title, body)


def _curve_line(across: Axis, up: Axis, x: Sequence[float], y: Sequence[float]) -> str:
    """Draw a line through the points, level from the left edge to the first."""
    places = [(across.at(a), up.at(b)) for a, b in zip([0.0, *x], [y[0], *y], strict=True)]
    return '<polyline class="line" points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in places) + '"/>'


def label_graph(
    names: Sequence[str], counts: Sequence[int], links: Sequence[Link], order: NDArray[np.int64], *, title: str
) -> str:
    """Draw labels on a circle in the order given, sized by their counts, with a line for each link.

    Args:
        names, counts: C labels.
        links: numbers into ``names``; the stronger, the thicker and the less see-through.
        order: (C,) as ``circle_order`` returns it.
    """
    radius = max(120.0, 19.0 * len(names) / (2 * math.pi))
    angles = np.empty(len(names))
    angles[order] = 2 * np.pi * np.arange(len(names)) / len(names) - np.pi / 2
    widest = min(14.0, 0.4 * 2 * math.pi * radius / len(names))
    body = [_link(link, angles, radius, names) for link in sorted(links, key=lambda link: link.probability)]
    for name, count, angle in zip(names, counts, angles, strict=True):
        size = 2 + (widest - 2) * math.sqrt(count / max(max(counts), 1))
        body.append(_node(name, count, float(angle), radius, size, widest))
    left, top, right, bottom = _reach(names, angles, radius + widest)
    inner = [f'<g transform="translate({-left:.1f} {-top:.1f})">', *body, "</g>"]
    # Names stay readable: below the least width the page scrolls the drawing instead of shrinking it.
    sizes = f"min-width:{0.7 * (right - left):.0f}px;max-width:{1.3 * (right - left):.0f}px"
    return _svg(right - left, bottom - top, title, inner, sizes)


def _svg(width: float, height: float, title: str, body: Sequence[str], sizes: str = "") -> str:
    name, style = escape(title), f' style="{sizes}"' if sizes else ""
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{name}"{style}><title>{name}</title>'
    return "".join([head, *body, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "value") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.10g}" if percent else f"{value:g}"


def _padded(low: float, high: float, ceiling: float) -> tuple[float, float]:
    """Widen a range a little, without crossing 0 or the ceiling."""
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    return (max(0.0, low - room) if low >= 0 else low - room), min(max(ceiling, high), high + room)


def _frame(across: Axis, up: Axis, x_name: str, y_name: str, percent: bool) -> list[str]:
    """Draw grid lines, ticks and the names of the axes; x in percent only where it lies within 0..1."""
    shares = (across.low, across.high) == (0, 1)
    body = [_text(2, 13, y_name, kind="name")]
    for value in ticks(up.low, up.high):
        y = up.at(value)
        body.append(f'<path class="grid" d="M{across.start:.1f} {y:.1f}H{across.end:.1f}"/>')
        body.append(_text(across.start - 6, y + 4, _number(value, percent), "end"))
    for value in ticks(across.low, across.high, least_step=0.0 if shares else 1.0):
        body.append(_text(across.at(value), up.start + 17, _number(value, shares), "middle"))
    body.append(f'<path class="axis" d="M{across.start:.1f} {up.start:.1f}H{across.end:.1f}"/>')
    body.append(_text(across.end, up.start + 34, x_name, "end", "name"))
    return body


def _mark(across: Axis, up: Axis, x: float, y: float, percent: bool) -> list[str]:
    """Draw a line down from a note that stays within the chart."""
    place = across.at(x)
    side = (place - across.start) / (across.end - across.start)
    anchor = "start" if side < 0.3 else "end" if side > 0.7 else "middle"
    value = numerals.percent(y) if percent else f"{y:.3g}"
    return [
        f'<path class="guide" d="M{place:.1f} {up.end - 6:.1f}V{up.start:.1f}"/>',
        f'<circle class="dot" cx="{place:.1f}" cy="{up.at(y):.1f}" r="4.5"/>',
        _text(place, up.end - 11, f"epoch {x:g}: {value}", anchor, "mark"),
    ]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _reach(names: Sequence[str], angles: NDArray[np.float64], radius: float) -> list[float]:
    """Return how far the names reach to the left, top, right and bottom of the centre."""
    lengths = np.array([radius + 12 + LETTER * len(_short(name)) for name in names])
    ends = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return [*np.minimum(ends.min(axis=0), -radius).tolist(), *np.maximum(ends.max(axis=0), radius).tolist()]


def _link(link: Link, angles: NDArray[np.float64], radius: float, names: Sequence[str]) -> str:
    """Draw a curve that bends towards the centre, the more so the farther apart its ends are."""
    ends = radius * np.stack([np.cos(angles[[link.i, link.j]]), np.sin(angles[[link.i, link.j]])], axis=1)
    bend = 0.85 - 0.6 * np.linalg.norm(ends[0] - ends[1]) / (2 * radius)
    (ax, ay), (bx, by), (mx, my) = ends[0], ends[1], bend * ends.mean(axis=0)
    about = escape(f"{names[link.j]} where {names[link.i]}: {numerals.percent(link.probability)}")
    return (
        f'<path class="link" d="M{ax:.1f} {ay:.1f}Q{mx:.1f} {my:.1f} {bx:.1f} {by:.1f}" '
        f'stroke-width="{0.8 + 4.2 * link.probability:.2f}" opacity="{0.2 + 0.7 * link.probability:.2f}">'
        f"<title>{about}</title></path>"
    )


def _node(name: str, count: int, angle: float, radius: float, size: float, widest: float) -> str:
    """Draw a dot and its name, which reads outwards on the right and inwards on the left."""
    degrees = math.degrees(angle)
    left = math.cos(angle) < -1e-9
    turn, anchor, offset = (degrees + 180, "end", -1) if left else (degrees, "start", 1)
    away = offset * (radius + widest + 5)
    x, y = radius * math.cos(angle), radius * math.sin(angle)
    return (
        f"<g><title>{escape(f'{name}: {count:,} images')}</title>"
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
        f'<text class="name" transform="rotate({turn:.1f})" x="{away:.1f}" y="4" text-anchor="{anchor}">'
        f"{escape(_short(name))}</text></g>"
    )
