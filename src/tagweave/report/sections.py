"""The sections of the page: each turns artefacts into what the page prints, or None where they are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tagweave.data.manifest import SPLITS, Quarantined
from tagweave.report import charts
from tagweave.report.artefacts import Artefacts, measured_split
from tagweave.report.circle import circle_order

SYSTEM_NAMES = {
    "linear": "Linear classifier, labelled images only",
    "ridge": "Ridge regression, labelled images only",
    "graph": "Label propagation over the graph",
    "network": "Network, labelled and propagated images",
    "places": "Ridge of places, labelled and propagated images",
    "classifier": "Classifier: network, places and propagation, joined",
}
ALONE = "Classifier: the network alone"  # where propagation has no say in it
RULES = {
    "at_tuned": "tuned threshold per label",
    "at_half": "threshold 0.5",
    "top3": "three highest per image",
    "top3_at_half": "three highest per image, from 0.5 up",
}
GRAPH_LABELS = 60
GRAPH_LINKS = 90
LISTED_LINKS = 12
# A link as weak as this says little and hides the others.
WEAKEST_LINK = 0.1
QUARANTINE_ROWS = 50


@dataclass(frozen=True)
class System:
    """Hold one row of the comparison; ``best`` names the measures in which no system prints a higher value."""

    name: str
    measures: dict[str, float | None]
    best: frozenset[str]


@dataclass(frozen=True)
class Headline:
    """Hold what was done and how well it went, on one split.

    ``main`` is the measured dict of the main system, ``rule`` how its CF1 and OF1 turn probabilities into labels.
    """

    split: str
    images: int
    labels: int
    labelled: int | None
    main: dict[str, Any]
    main_name: str
    decisions: dict[str, float]
    rule: str
    rules: list[tuple[str, dict[str, float]]]
    systems: list[System]


@dataclass(frozen=True)
class LabelBar:
    """Hold one label's average precision, None where the split has no positive of it."""

    name: str
    positives: int
    precision: float | None
    baseline: float | None


@dataclass(frozen=True)
class Training:
    """Hold the curves over the epochs and the epoch that was kept."""

    epochs: int
    seconds: float
    best: int | None
    best_precision: float | None
    charts: list[Markup]
    names: list[str]


@dataclass(frozen=True)
class LabelGraph:
    """Hold the drawing of who occurs with whom and its strongest links in words."""

    chart: Markup
    shown_labels: int
    labels: int
    links: int
    strongest: list[tuple[str, str, float, int]]


@dataclass(frozen=True)
class Reliability:
    """Hold one system's calibration picture."""

    system: str
    chart: Markup
    error: float | None
    cells: int


@dataclass(frozen=True)
class Threshold:
    """Hold the probability from which a label is predicted, and what that gives; None where there is no positive."""

    name: str
    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Review:
    """Hold what corrections did to mAP, on the same held-out images; ``why_not`` says why it is not compared."""

    run: str
    said: str
    before: float | None
    after: float | None
    images: int
    labels: int
    why_not: str


@dataclass(frozen=True)
class LabelCounts:
    """Hold the known positives per split, and the propagated ones, of each label."""

    rows: list[tuple[str, list[int], int]]
    images: list[int]
    labelled: list[int]
    missing: dict[str, list[str]]


def headline(artefacts: Artefacts) -> Headline:
    """Return the main measures of the test split, or of the validation split where there is no test split."""
    split = _split(artefacts)
    measured = _systems(artefacts)
    main = measured[artefacts.metrics["main"]]
    rule = "at_tuned" if all(system.get("at_tuned") for system in measured.values()) else "at_half"
    given = artefacts.given
    return Headline(
        split=split,
        images=len(artefacts.manifest),
        labels=len(artefacts.names),
        labelled=None if given is None else int((given.labelled & (artefacts.manifest.splits == "train")).sum()),
        main=main,
        main_name=system_name(artefacts, artefacts.metrics["main"]),
        decisions=main[rule],
        rule=RULES[rule],
        rules=[(words, main[key]) for key, words in RULES.items() if main.get(key)],
        systems=_compare({system_name(artefacts, key): system for key, system in measured.items()}, rule),
    )


def label_bars(artefacts: Artefacts) -> list[LabelBar]:
    """Return the labels from the highest average precision of the main system to the lowest, unmeasured ones last."""
    measured = _systems(artefacts)
    rest = measured.get("linear", {"per_label": []}) if artefacts.metrics["main"] != "linear" else {"per_label": []}
    baselines = {row["label"]: row["AP"] for row in rest["per_label"]}
    bars = [
        LabelBar(row["label"], row["positives"], row["AP"], baselines.get(row["label"]))
        for row in measured[artefacts.metrics["main"]]["per_label"]
    ]
    return sorted(bars, key=lambda bar: (bar.precision is None, -(bar.precision or 0.0), bar.name))


def training(artefacts: Artefacts) -> Training | None:
    """Return the curves of loss and validation mAP; the best epoch is the first of the highest mAP."""
    history = artefacts.history
    if not history:
        return None
    losses = [(row["epoch"], row["loss"]) for row in history if _finite(row["loss"])]
    scores = [(row["epoch"], row["val_mAP"]) for row in history if _finite(row.get("val_mAP"))]
    best = max(scores, key=lambda pair: pair[1], default=(None, None))
    curves = [(losses, "training loss", False), (scores, "validation mAP", True)]
    return Training(
        epochs=len(history),
        seconds=sum(row["seconds"] for row in history),
        best=best[0],
        best_precision=best[1],
        charts=[_curve(points, name, best[0], percent) for points, name, percent in curves if points],
        names=[name for points, name, _ in curves if points],
    )


def label_graph(artefacts: Artefacts) -> LabelGraph | None:
    """Return the drawing of the most frequent labels and the strongest links between them."""
    found = artefacts.metrics.get("cooccurrence")
    if not found or not found["names"]:
        return None
    counts = np.asarray(found["counts"])
    kept = np.sort(np.argsort(-counts, kind="stable")[:GRAPH_LABELS])
    conditional = np.asarray(found["conditional"], dtype=np.float64)[np.ix_(kept, kept)]
    names, sizes = [found["names"][i] for i in kept], counts[kept].tolist()
    links = strongest_links(conditional, GRAPH_LINKS)
    title = f"{len(names)} labels on a circle, {len(links)} lines between labels that occur together"
    order = circle_order(np.maximum(conditional, conditional.T))
    return LabelGraph(
        chart=Markup(charts.label_graph(names, sizes, links, order, title=title)),
        shown_labels=len(names),
        labels=len(counts),
        links=len(links),
        strongest=[(names[x.i], names[x.j], x.probability, sizes[x.i]) for x in links[:LISTED_LINKS]],
    )


def strongest_links(conditional: NDArray[np.float64], most: int) -> list[charts.Link]:
    """Return the pairs of the highest P(j | i), strongest first, each pair once in its stronger direction.

    Args:
        conditional: (C, C), P(j | i) in row i.
    """
    stronger = np.triu(conditional >= conditional.T, 1) | np.tril(conditional > conditional.T, -1)
    rows, columns = np.nonzero(stronger & (conditional >= WEAKEST_LINK))
    best = np.argsort(-conditional[rows, columns], kind="stable")[:most]
    return [
        charts.Link(int(i), int(j), float(conditional[i, j])) for i, j in zip(rows[best], columns[best], strict=True)
    ]


def reliability(artefacts: Artefacts) -> list[Reliability]:
    """Return a picture for each system whose bins were counted, and for the propagated probabilities out of fold.

    Bins without a cell are left out.
    """
    counted = [
        (system_name(artefacts, key), system.get("reliability"), system.get("ece"))
        for key, system in _systems(artefacts).items()
    ]
    spread = propagation(artefacts) or {}
    counted.append(("Propagated, on hidden labels", spread.get("reliability"), spread.get("calibration_error")))
    pictures = []
    for name, bins, error in counted:
        if not bins:
            continue
        rows = zip(bins["mean_probability"], bins["positive_share"], bins["cells"], strict=True)
        filled = [row for row in rows if row[2] and _finite(row[0]) and _finite(row[1])]
        if filled:
            pictures.append(_reliability(name, filled, error))
    return pictures


def thresholds(artefacts: Artefacts) -> list[Threshold]:
    """Return each label's threshold, in the labels' order."""
    rows = _systems(artefacts)[artefacts.metrics["main"]]["per_label"]
    return [
        Threshold(row["label"], row["threshold"], row["precision"], row["recall"], row["F1"])
        for row in rows
        if row.get("threshold") is not None
    ]


def review(artefacts: Artefacts) -> Review | None:
    """Return what the decisions of a review changed, where the run was fitted with them."""
    found = artefacts.metrics.get("review")
    return Review(**found) if found else None


def label_counts(artefacts: Artefacts) -> LabelCounts | None:
    """Return the table label x split of known positives, and the labels of which a split has none."""
    given, propagated = artefacts.given, artefacts.propagated
    if given is None or propagated is None:
        return None
    rows = [artefacts.manifest.rows(split) for split in SPLITS]
    positives = np.stack([given.values[split].sum(axis=0) for split in rows], axis=1)
    added = propagated.positives
    measured = [(split, column) for split, column in zip(SPLITS, positives.T, strict=True) if column.any()]
    return LabelCounts(
        rows=[(name, positives[c].tolist(), int(added[c])) for c, name in enumerate(artefacts.names)],
        images=[len(split) for split in rows],
        labelled=[int(given.labelled[split].sum()) for split in rows],
        missing={
            split: [artefacts.names[c] for c in np.flatnonzero(column == 0)]
            for split, column in measured
            if (column == 0).any()
        },
    )


def propagation(artefacts: Artefacts) -> dict[str, Any] | None:
    """Return what propagation reached and decided, and what hidden labels say of its decisions."""
    return artefacts.metrics.get("propagation") or None


def quarantine(artefacts: Artefacts) -> tuple[list[Quarantined], int] | None:
    """Return the first rows of what is not used, and how many there are."""
    rows = artefacts.quarantine
    return None if rows is None else (rows[:QUARANTINE_ROWS], len(rows))


def _split(artefacts: Artefacts) -> str:
    split = measured_split(artefacts.metrics)
    assert split is not None  # read_artefacts refuses a run without one
    return split


def _systems(artefacts: Artefacts) -> dict[str, dict[str, Any]]:
    systems: dict[str, dict[str, Any]] = artefacts.metrics["splits"][_split(artefacts)]["systems"]
    return systems


def system_name(artefacts: Artefacts, key: str) -> str:
    """Return what a person calls a system of the measures."""
    if key == "classifier" and not artefacts.metrics.get("joined", True):
        return ALONE
    return SYSTEM_NAMES.get(key, key)


def _compare(measured: dict[str, dict[str, Any]], rule: str) -> list[System]:
    table = {
        name: {"mAP": system["mAP"], "CF1": system[rule]["CF1"], "OF1": system[rule]["OF1"]}
        for name, system in measured.items()
    }
    tops = {
        measure: max((_printed(row[measure]) for row in table.values()), default=-1.0)
        for measure in ("mAP", "CF1", "OF1")
    }
    return [
        System(name, row, frozenset(m for m, top in tops.items() if 0 <= top == _printed(row[m])))
        for name, row in table.items()
    ]


def _printed(value: float | None) -> float:
    """Return the value as a reader sees it, so that equal prints are equally good."""
    return -1.0 if value is None else round(100 * value, 1)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _curve(points: Sequence[tuple[int, float]], name: str, best: int | None, percent: bool) -> Markup:
    epochs, values = [point[0] for point in points], [point[1] for point in points]
    title = f"{name} over {len(epochs)} epochs, from {values[0]:.3g} to {values[-1]:.3g}"
    return Markup(
        charts.line_chart(epochs, values, title=title, y_name=name, x_name="epoch", mark=best, percent=percent)
    )


def _reliability(name: str, bins: Sequence[tuple[float, float, int]], error: float | None) -> Reliability:
    means, shares, cells = (list(column) for column in zip(*bins, strict=True))
    title = f"{name}: share of true cells over mean probability, in {len(bins)} bins"
    chart = charts.reliability_chart(means, shares, [int(number) for number in cells], title=title)
    return Reliability(name, Markup(chart), error, int(sum(cells)))
