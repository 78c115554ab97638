"""Results as tables on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from tagweave.report.compare import Comparison

SYSTEMS = {
    "linear": "linear, labelled images only",
    "ridge": "ridge, labelled images only",
    "graph": "propagated labels",
    "network": "network",
    "places": "ridge of places",
    "classifier": "classifier, mixed of these",
}
ALONE = "classifier: the network alone"  # where propagation has no say in it
SHOWN_LABELS = 30  # more are left to the report


def print_measures(metrics: dict[str, Any]) -> None:
    """Print one table of all systems on the held-out images, and average precisions where the labels are few."""
    from rich.table import Table

    console = terminal()
    split = next((name for name in ("test", "val") if name in metrics["splits"]), None)
    if split is None:
        console.print("No held-out labelled images: nothing is measured. Give more labels, or a test split.")
        return
    systems = metrics["splits"][split]["systems"]
    one = systems[metrics["main"]]
    origin = "test" if split == "test" else "val, which also chose the model"
    images, counted = f"{one['images']:,} held-out images ({origin})", one["labels_with_positives"]
    table = Table(title=f"{images}, mAP over {counted} labels with positives")
    table.add_column("system")
    for name in ("mAP", f"mAP, {one['labels_with_10_positives']} labels with ≥ 10", "CF1", "OF1"):
        table.add_column(name, justify="right")
    for name in _measured(systems):
        measured, title = systems[name], SYSTEMS[name] if name != "classifier" or metrics.get("joined", True) else ALONE
        half = measured["at_half"]
        table.add_row(title, *map(_percent, (measured["mAP"], measured["mAP_10"], half["CF1"], half["OF1"])))
    console.print(table)
    if len(one["per_label"]) <= SHOWN_LABELS:
        console.print(_label_table(systems))
    if metrics.get("review"):
        _print_review(console, metrics["review"])


def print_comparison(found: Comparison) -> None:
    """Print measures of several runs side by side, with the differences from the first."""
    from rich.table import Table

    from tagweave.report.compare import TITLES, difference

    console, first = terminal(), found.sides[0]
    if not found.same_images:
        console.print("The runs were not measured on the same images: a difference may come from the images.")
    table = Table(title=f"classifier on {found.split} images; differences in percentage points")
    table.add_column("measure")
    for side in found.sides:
        table.add_column(side.name, justify="right")
        if side is not first:
            table.add_column("difference", justify="right")
    for key, title in TITLES.items():
        cells = [_percent(first.measures[key])]
        for side in found.sides[1:]:
            cells += [_percent(side.measures[key]), difference(side.measures[key], first.measures[key])]
        table.add_row(title, *cells)
    console.print(table)
    for key, values in found.settings:
        console.print(f"{key}: {' | '.join(values)}", soft_wrap=True)


def _print_review(console: Console, review: dict[str, Any]) -> None:
    """Print mAP before and after the review's decisions."""
    if review["why_not"]:
        console.print(f"review of {review['run']}: mAP is not compared, {review['why_not']}", soft_wrap=True)
        return
    change = 100 * (review["after"] - review["before"])
    console.print(
        f"review of {review['run']}: mAP on {review['images']:,} held-out images over {review['labels']} labels "
        f"{_percent(review['before'])} before, {_percent(review['after'])} after ({change:+.1f})", soft_wrap=True,
    )  # fmt: skip


def _measured(systems: dict[str, Any]) -> list[str]:
    """Return the systems that a run has, in the order they are shown; a network alone has no places beside it."""
    return [name for name in SYSTEMS if name in systems]


def _label_table(systems: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title="average precision per label")
    table.add_column("label")
    for name in ("positives", *_measured(systems)):
        table.add_column(name, justify="right")
    for number, row in enumerate(systems["classifier"]["per_label"]):
        precisions = (_percent(systems[name]["per_label"][number]["AP"]) for name in _measured(systems))
        table.add_row(row["label"], str(row["positives"]), *precisions)
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def print_step(step: str, folder: Path, record: dict[str, Any]) -> None:
    """Print what one step says of itself."""
    console = terminal()
    hidden = ("key", "after", "started", "notes", "parts", "outputs", "mixtures")
    facts = {k: v for k, v in record.items() if k not in hidden and v is not None}
    console.print(f"{step}: done in {folder}", soft_wrap=True)
    for name, value in facts.items():
        rows = value.items() if isinstance(value, dict) else [(name, value)]
        for key, number in rows:
            if isinstance(number, dict | list):
                continue  # tables and sentences have their own places
            console.print(f"  {key.replace('_', ' ')}: {number}", soft_wrap=True)


def terminal() -> Console:
    """Return a console that prints names as they are: [brackets] and :colons: of labels and paths mean nothing."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)
