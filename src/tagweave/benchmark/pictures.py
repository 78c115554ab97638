"""Pictures of tables: dots with deviations, or lines with bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagweave.runs import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]

SUFFIXES = ("svg", "png")
OURS, PRINTED = "#4269d0", "#808080"
PERCENT = 100.0


@dataclass(frozen=True)
class Dots:
    """Draw one dot with its deviation a record, in the table's order; printed figures are hollow.

    Attributes:
        value: which measure, a mean with its deviation, written in percent. name: what names the row.
    """

    value: str
    name: str


@dataclass(frozen=True)
class Lines:
    """Draw one line for each distinct ``name``, through the records' ``value`` over their ``x``.

    Attributes:
        value: which measure, a mean with its deviation, written in percent. x: which number. name: what tells lines
        apart. x_name: for the axis. logarithmic: the x axis.
    """

    value: str
    x: str
    name: str
    x_name: str
    logarithmic: bool = False


Picture = Dots | Lines


def draw(picture: Picture, title: str, records: Records, folder: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png, each whole or not at all, and return their paths; none without a number to draw."""
    drawn = [record for record in records if record.get(picture.value, {}).get("mean") is not None]
    if not drawn:
        return []
    figure = _dots(picture, drawn) if isinstance(picture, Dots) else _lines(picture, drawn)
    figure.axes[0].set_title(title, fontsize=10, loc="left", wrap=True)
    paths = [folder / f"{name}.{suffix}" for suffix in SUFFIXES]
    for path in paths:
        with atomic(path) as partial:
            figure.savefig(partial, dpi=150, bbox_inches="tight")
    return paths


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _dots(picture: Dots, records: Records) -> Figure:
    figure, axes = _figure(7, 0.8 + 0.28 * len(records))
    for place, record in enumerate(records):
        found, printed = record[picture.value], bool(record.get("printed"))
        axes.errorbar(
            PERCENT * found["mean"], place, xerr=PERCENT * (found["deviation"] or 0.0), fmt="o", markersize=5,
            color=PRINTED if printed else OURS, markerfacecolor="white" if printed else OURS, elinewidth=1.5,
        )  # fmt: skip
    axes.set_yticks(range(len(records)), [str(record[picture.name]) for record in records], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{picture.value}, %")
    axes.grid(alpha=0.3)
    return figure


def _lines(picture: Lines, records: Records) -> Figure:
    figure, axes = _figure(7, 4.2)
    for name in dict.fromkeys(record[picture.name] for record in records):
        own = sorted((r for r in records if r[picture.name] == name), key=lambda record: record[picture.x])
        x = [record[picture.x] for record in own]
        means = [PERCENT * record[picture.value]["mean"] for record in own]
        spread = [PERCENT * (record[picture.value]["deviation"] or 0.0) for record in own]
        style: dict[str, Any] = {"color": PRINTED, "linestyle": "--"} if own[0].get("printed") else {}
        line = axes.plot(x, means, marker="o", markersize=3, label=str(name), **style)[0]
        low, high = ([mean + side * error for mean, error in zip(means, spread, strict=True)] for side in (-1, 1))
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    if picture.logarithmic:
        axes.set_xscale("log")
        places = sorted({record[picture.x] for record in records})
        axes.set_xticks(places, [f"{place:,g}" for place in places])  # those measured, not powers of ten
        axes.minorticks_off()
    axes.set_xlabel(picture.x_name)
    axes.set_ylabel(f"{picture.value}, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return figure
