"""The charts of a run as files of their own, to put into other documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tagweave.report.curves import Curves
from tagweave.report.sections import LabelGraph, Reliability, Training
from tagweave.runs import atomic

SVG = "http://www.w3.org/2000/svg"
# The style sheet of the page is not there: light and dark colours and fonts of the drawings alone.
STYLE = """
svg { background: #fcfcfa; color-scheme: light dark; font-family: system-ui, sans-serif; }
text { fill: #5b6367; font-size: 12px; } text.name { fill: #1c2023; } text.mark { fill: #0b6b70; font-weight: 600; }
.line { fill: none; stroke: #0b6b70; stroke-width: 2; stroke-linejoin: round; }
.dot { fill: #0b6b70; stroke: #fcfcfa; stroke-width: 1.5; }
.grid { stroke: #d9dcd6; fill: none; } .axis { stroke: #5b6367; fill: none; }
.guide { stroke: #5b6367; stroke-dasharray: 3 3; fill: none; }
.link { stroke: #0b6b70; fill: none; stroke-linecap: round; }
@media (prefers-color-scheme: dark) {
  svg { background: #15181a; } text { fill: #9da6a9; } text.name { fill: #e6e8e4; } text.mark { fill: #6cc8c4; }
  .line, .link { stroke: #6cc8c4; } .dot { fill: #6cc8c4; stroke: #15181a; } .grid { stroke: #333a3d; }
  .axis, .guide { stroke: #9da6a9; }
}
"""


def charts_of(
    curves: Curves | None, reliability: list[Reliability], training: Training | None, graph: LabelGraph | None
) -> dict[str, str]:
    """Return file name without ending -> SVG text of the charts that the run has."""
    found: dict[str, str] = {}
    if curves is not None:
        found["precision-recall"] = str(curves.chart)
    for picture in reliability:
        found[f"reliability-{_plain(picture.system)}"] = str(picture.chart)
    for chart, name in zip(training.charts if training else [], training.names if training else [], strict=True):
        found[f"training-{_plain(name)}"] = str(chart)
    if graph is not None:
        found["label-graph"] = str(graph.chart)
    return found


def write_plots(folder: Path, charts: Mapping[str, str]) -> None:
    """Write each chart as ``NAME.svg``, in light and dark colours; earlier ones that are gone are removed."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.svg"):
        if path.stem not in charts:
            path.unlink()
    for name, chart in charts.items():
        head, space, rest = chart.partition(" ")
        with atomic(folder / f"{name}.svg") as partial:
            partial.write_text(f'{head} xmlns="{SVG}"{space}{_styled(rest)}', encoding="utf-8")


def _styled(rest: str) -> str:
    opening, bracket, body = rest.partition(">")
    return f"{opening}{bracket}<style>{STYLE}</style>{body}"


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
