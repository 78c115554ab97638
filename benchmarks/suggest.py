"""Measure how fast labels teach when images are chosen by ``suggest``, against a random choice.

Rounds are simulated on a data set whose labels are all known: some images are labelled to begin with, the labels are
propagated, the held-out images are scored, a strategy chooses the next images, and so on. Only propagation learns here,
no network. One JSON document goes to stdout; what is done is kept below ``--out``, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from collections_at_hand import add_data, open_data
from measure import print_json, say
from numpy.typing import NDArray

from tagweave.benchmark.cells import finished
from tagweave.benchmark.dataset import BenchmarkData
from tagweave.data.labels import LabelMatrix
from tagweave.graph.image_graph import GraphSettings, ImageGraph, build_graph
from tagweave.graph.propagation import Propagation, propagate
from tagweave.graph.teacher import fit_linear
from tagweave.metrics import average_precisions
from tagweave.suggest.pool import Pool
from tagweave.suggest.strategies import STRATEGIES, suggest

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Plan:
    """Say how many images are labelled at first, how many a round adds, and how many rounds there are."""

    start: int
    batch: int
    rounds: int


def simulate(data: BenchmarkData, graph: ImageGraph, plan: Plan, strategy: str, seed: int) -> Curve:
    """Return the numbers of labelled images with the mAP on the held-out ones that follows from them."""
    pool, test = np.flatnonzero(~data.test), np.flatnonzero(data.test & data.labels.labelled)
    truth, labels = data.labels.take(test), data.labels.take(pool)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(labels.labelled))
    chosen, curve = order[: plan.start], []
    for number in range(plan.rounds + 1):
        known = labels.hide(np.setdiff1d(np.arange(len(labels)), chosen))
        spread = propagate(graph, known, seed)
        areas = average_precisions(spread.score_new(data.features[test]), truth)
        curve.append((len(chosen), float(np.nanmean(areas))))
        if number < plan.rounds:
            more = _choose(spread, known, strategy, plan.batch, np.random.default_rng([seed, number]))
            chosen = np.concatenate([chosen, more])
    return curve


def _choose(
    spread: Propagation, known: LabelMatrix, strategy: str, count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    if strategy == "random":
        return generator.permutation(np.flatnonzero(~known.labelled))[:count]
    model = None
    if strategy == "disagreement":  # the second opinion of a run without a network
        teacher, calibration = fit_linear(spread.graph.unit, known)
        model = calibration.apply(teacher.score(spread.graph.unit))
    pool = Pool(known, spread.probabilities, model, spread.graph.points, spread.graph.normalised)
    return suggest(pool, count, strategy).rows


def summary(curves: dict[str, list[Curve]]) -> dict[str, Any]:
    """Return each strategy's mean curve, its area, and how many labels it needs for the mAP of the random choice.

    ``needed`` says for each number of random labels how many of the strategy's give the same mAP, by linear
    interpolation of the mean curve; None where its curve ends below.
    """
    labelled = [count for count, _ in next(iter(curves.values()))[0]]
    values = {name: np.array([[share for _, share in curve] for curve in own]) for name, own in curves.items()}
    goals = values["random"].mean(axis=0)
    return {
        "labelled": labelled,
        "strategies": {
            name: {
                "mAP": own.mean(axis=0).round(4).tolist(),
                "deviation": (own.std(axis=0, ddof=1) if len(own) > 1 else np.zeros(own.shape[1])).round(4).tolist(),
                "area": round(float(own.mean()), 4),
                "needed": [labels_for(labelled, own.mean(axis=0), goal) for goal in goals],
            }
            for name, own in values.items()
        },
    }


def labels_for(labelled: list[int], curve: NDArray[np.floating], goal: float) -> float | None:
    """Return at how many labels a curve first reaches ``goal``, between its points by a straight line."""
    above = np.flatnonzero(curve >= goal)
    if not len(above):
        return None
    at = int(above[0])
    if at == 0:
        return float(labelled[0])
    share = (goal - curve[at - 1]) / (curve[at] - curve[at - 1])
    return round(float(labelled[at - 1] + share * (labelled[at] - labelled[at - 1])), 1)


def draw(found: dict[str, Any], title: str, path: Path) -> None:
    """Draw mAP over the number of labelled images, one line per strategy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, own in found["strategies"].items():
        style = {"color": "0.4", "linestyle": "--"} if name == "random" else {}
        mean, deviation = np.array(own["mAP"]), np.array(own["deviation"])
        line = axes.plot(found["labelled"], 100 * mean, marker="o", markersize=3, label=name, **style)[0]
        low, high = 100 * (mean - deviation), 100 * (mean + deviation)
        axes.fill_between(found["labelled"], low, high, alpha=0.12, color=line.get_color(), linewidth=0)
    axes.set(xlabel="labelled images", ylabel="mAP on held-out images, %", title=title)
    axes.legend(frameon=False)
    figure.savefig(path)


def compare(
    data: BenchmarkData, settings: GraphSettings, plan: Plan, strategies: list[str], seeds: int, folder: Path
) -> dict[str, Any]:
    """Run what ``folder`` lacks and return the summary."""
    graph = build_graph(data.features[~data.test], settings)
    curves: dict[str, list[Curve]] = {name: [] for name in strategies}
    for seed, name, work in _tasks(data, graph, plan, strategies, seeds):
        about = {
            "method": name, "budget": f"{plan.start}+{plan.rounds}x{plan.batch}", "seed": seed, "data": data.digest,
            "graph": repr(settings),
        }  # fmt: skip
        cell = finished(folder / "cells", about, work)
        curves[name].append(cell["curve"])
        say(f"  {name}, seed {seed}: {100 * cell['curve'][-1][1]:.1f} % with {cell['curve'][-1][0]} labelled")
    return summary(curves)


def _tasks(
    data: BenchmarkData, graph: ImageGraph, plan: Plan, strategies: list[str], seeds: int
) -> Iterator[tuple[int, str, Callable[[], dict[str, Any]]]]:
    for seed in range(seeds):
        for name in strategies:
            yield seed, name, lambda name=name, seed=seed: {"curve": simulate(data, graph, plan, name, seed)}


def main() -> None:
    """Print the document, and draw the curves below ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data(parser)
    parser.add_argument("--start", type=int, default=38, help="labelled images at first")
    parser.add_argument("--batch", type=int, default=25, help="images that a round adds")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--strategies", default=",".join(["random", *STRATEGIES]), help="with commas; needs random")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-suggest"))
    given = parser.parse_args()
    data, settings = open_data(given)
    plan = Plan(given.start, given.batch, given.rounds)
    found = compare(data, settings, plan, given.strategies.split(","), given.seeds, given.out)
    draw(found, f"{data.name}: {int((~data.test).sum()):,} images, {given.seeds} draws", given.out / "curves.png")
    print_json({"data": data.name, "held_out": int(data.test.sum()), "seeds": given.seeds, **found})


if __name__ == "__main__":
    main()
