"""Measure how many planted label errors an audit finds, against simpler ways to look for them.

A share of the known positive cells of the labelled images is turned to absent and as many absent ones to present. Each
method orders all given cells; what counts is how many planted ones stand among the first N, N the number planted. One
JSON document goes to stdout; what is done is kept below ``--out``, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from collections_at_hand import add_data, open_data, places
from measure import print_json, say
from numpy.typing import NDArray

from tagweave.benchmark.cells import finished
from tagweave.benchmark.dataset import BenchmarkData
from tagweave.config import build_config
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import label_budget
from tagweave.graph.image_graph import GraphSettings, ImageGraph, build_graph
from tagweave.graph.teacher import fit_linear
from tagweave.steps.outcome import spread_and_decide
from tagweave.suspicion import ERROR_SHARE, suspects_at, wrongness

Floats = NDArray[np.float64]

CLAIMED = 0.5  # expected precision whose number of suspects is checked


@dataclass(frozen=True)
class Planted:
    """Hold labels with errors over a graph of N images.

    Attributes:
        rows: (n,) the labelled images. labels: (N, C) with errors, nothing known of the others.
        wrong: (n, C) the planted cells.
    """

    graph: ImageGraph
    rows: NDArray[np.int64]
    labels: LabelMatrix
    wrong: NDArray[np.bool_]
    seed: int

    @property
    def given(self) -> LabelMatrix:
        """The labelled rows (n, C)."""
        return self.labels.take(self.rows)


def plant(labels: LabelMatrix, share: float, seed: int) -> tuple[LabelMatrix, NDArray[np.bool_]]:
    """Turn a share of the known positives, and as many known negatives, into their contrary; return which (N, C)."""
    generator = np.random.default_rng([seed, 1])
    wrong = np.zeros_like(labels.values)
    count = round(share * int(labels.values.sum()))
    for cells in (np.argwhere(labels.values), np.argwhere(labels.known & ~labels.values)):
        turned = cells[generator.permutation(len(cells))[:count]]
        wrong[turned[:, 0], turned[:, 1]] = True
    return LabelMatrix(labels.values ^ wrong, labels.known, labels.names), wrong


def out_of_fold(planted: Planted, draws: int = 1) -> Floats:
    """Return what ``propagate`` keeps: calibrated probabilities (n, C) with each image's fold hidden."""
    found = []
    for number in range(draws):
        job: Any = SimpleNamespace(config=build_config(seed=planted.seed + 1000 * number))
        found.append(spread_and_decide(planted.graph, planted.labels, job).honest)
    return np.mean(found, axis=0)


def ridge(planted: Planted, left_out: bool) -> Floats:
    """Return a linear classifier's probabilities (n, C), each image left out or seen by it."""
    teacher, calibration = fit_linear(planted.graph.unit, planted.labels)
    scores = teacher.left_out if left_out else teacher.score(planted.graph.unit)
    return calibration.apply(scores[planted.rows])


def vote(planted: Planted) -> Floats:
    """Return the affinity-weighted share (n, C) of the labelled neighbours that have each label, its rate where none.

    One neighbour of full affinity is worth as much as the label's rate.
    """
    given = planted.given
    weights = planted.graph.weights[planted.rows][:, planted.rows]
    mass = np.asarray(weights.sum(axis=1))[:, None]
    return np.asarray((weights @ given.values.astype(np.float64) + given.rates()) / (mass + 1.0))


def by_contrary(probabilities: Floats, given: LabelMatrix) -> Floats:
    """Return the probability of the contrary as it is: 1 - p where present, p where absent."""
    return np.where(given.values, 1 - probabilities, probabilities)


METHODS: Mapping[str, Callable[[Planted], Floats]] = {
    "audit": lambda planted: wrongness(out_of_fold(planted), planted.given),
    "three draws of folds": lambda planted: wrongness(out_of_fold(planted, 3), planted.given),
    "with ridge, left out": lambda planted: wrongness((out_of_fold(planted) + ridge(planted, True)) / 2, planted.given),
    "contrary, out of fold": lambda planted: by_contrary(out_of_fold(planted), planted.given),
    "ridge, left out": lambda planted: wrongness(ridge(planted, True), planted.given),
    "ridge, seen": lambda planted: wrongness(ridge(planted, False), planted.given),
    "neighbours' vote": lambda planted: wrongness(vote(planted), planted.given),
    "neighbours' vote, contrary": lambda planted: by_contrary(vote(planted), planted.given),
}


def measure(suspicion: Floats, given: LabelMatrix, wrong: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what an order of the given cells finds, over all and by kind of error.

    ``recall`` is the share of the N planted cells among the first N, which is the precision there too. ``claimed`` is
    the number of suspects at an expected precision of ``CLAIMED``, and ``held`` the share of them that was planted;
    errors of the data itself count as wrong finds.
    """
    kinds = {"all": given.known, "missing": given.known & ~given.values, "wrong": given.known & given.values}
    found: dict[str, Any] = {name: _ranking(suspicion[cells], wrong[cells]) for name, cells in kinds.items()}
    order = np.argsort(-suspicion[given.known], kind="stable")
    claimed = suspects_at(suspicion[given.known][order], CLAIMED)
    held = float(wrong[given.known][order[:claimed]].mean()) if claimed else None
    return {**found, "claimed": claimed, "held": held}


def _ranking(suspicion: Floats, wrong: NDArray[np.bool_]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    count = int(wrong.sum())
    order = np.argsort(-suspicion, kind="stable")
    return {
        "planted": count, "recall": float(wrong[order[:count]].mean()),
        "precision_at_fifth": float(wrong[order[: max(count // 5, 1)]].mean()),
        "AUC": float(roc_auc_score(wrong, suspicion)),
    }  # fmt: skip


def planted_on(data: BenchmarkData, graph: ImageGraph, budget: float, share: float, seed: int) -> Planted:
    """Return the labels of a random draw of the images outside the test, with errors planted."""
    labels = data.labels.take(np.flatnonzero(~data.test))
    kept = np.sort(label_budget(np.flatnonzero(labels.labelled), budget, seed))
    shown, wrong = plant(labels.hide(np.setdiff1d(np.arange(len(labels)), kept)), share, seed)
    return Planted(graph, kept, shown, wrong[kept], seed)


def network(planted: Planted, data: BenchmarkData, paths: tuple[Path, Path], folder: Path) -> Floats:
    """Return the suspicion by the trained classifier's own probabilities (n, C) of the images it learned from."""
    from tagweave.api import fit
    from tagweave.data.annotations import Annotations
    from tagweave.data.formats.csv_onehot import write_csv_onehot
    from tagweave.steps.stored import load_collection
    from tagweave.tables import read_predictions

    fit(*paths, out=folder / "truth", until="check", quiet=True)
    manifest, _ = load_collection(folder / "truth" / "check")
    if not np.array_equal(manifest.splits == "test", data.test):
        raise RuntimeError("the run's images are not the benchmark's")
    images = [manifest.paths[row] for row in np.flatnonzero(~data.test)[planted.rows]]
    test = [manifest.paths[row] for row in np.flatnonzero(data.test)]
    shown = planted.given
    more = data.labels.take(np.flatnonzero(data.test))
    both = LabelMatrix(np.r_[shown.values, more.values], np.r_[shown.known, more.known], shown.names)
    names = (*images, *test)
    splits = ("train",) * len(images) + ("test",) * len(test)
    lines = tuple(range(1, len(names) + 1))
    write_csv_onehot(folder / "planted.csv", Annotations(both, names, splits, lines, "planted"))
    fit(paths[0], folder / "planted.csv", out=folder / "run", until="evaluate", quiet=True, seed=planted.seed)
    manifest, labels = load_collection(folder / "run")
    place = {path: row for row, path in enumerate(manifest.paths)}
    columns = [labels.names.index(name) for name in shown.names]
    found = read_predictions(folder / "run" / "predictions.parquet", manifest, labels.names)
    return wrongness(found[[place[image] for image in images]][:, columns].astype(np.float64), shown)


def compare(
    data: BenchmarkData, settings: GraphSettings, given: argparse.Namespace, budgets: list[float]
) -> list[dict[str, Any]]:
    """Run what is not done yet and return one record per budget and method, means over the seeds."""
    graph = build_graph(data.features[~data.test], replace(settings, folds=build_config().graph.folds))
    records = []
    methods = dict(METHODS)
    for budget in budgets:
        cells: dict[str, list[dict[str, Any]]] = {}
        for seed in range(given.seeds):
            planted = planted_on(data, graph, budget, given.share, seed)
            if given.network:
                folder = given.out / "network" / f"{data.name}-{budget:g}-{seed}"
                methods["network, seen"] = lambda planted, folder=folder: network(planted, data, places(given), folder)
            for name, method in methods.items():
                about = {
                    "method": name.replace(" ", "_").replace("'", ""), "budget": budget, "seed": seed,
                    "share": given.share, "data": data.digest, "graph": repr(settings),
                }  # fmt: skip
                work = _bound(method, planted)
                cells.setdefault(name, []).append(finished(given.out / "cells", about, work))
                say(f"  {budget:g}, seed {seed}, {name}: {cells[name][-1]['all']['recall']:.1%} of the planted found")
        records += [{"budget": budget, "method": name, **_mean(own)} for name, own in cells.items()]
    return records


def _bound(method: Callable[[Planted], Floats], planted: Planted) -> Callable[[], dict[str, Any]]:
    return lambda: measure(method(planted), planted.given, planted.wrong)


def _mean(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **{
            kind: {key: round(float(np.mean([cell[kind][key] for cell in cells])), 4) for key in cells[0][kind]}
            for kind in ("all", "missing", "wrong")
        },
        "claimed": round(float(np.mean([cell["claimed"] for cell in cells])), 1),
        "held": _mean_of([cell["held"] for cell in cells]),
    }


def _mean_of(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return round(float(np.mean(there)), 4) if there else None


def main() -> None:
    """Print the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data(parser)
    parser.add_argument("--budgets", default="1,0.2", help="labelled shares of the images, with commas")
    parser.add_argument("--share", type=float, default=ERROR_SHARE, help="of the positives that are turned")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--network", action="store_true", help="train the network too, for its own probabilities")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-audit"))
    given = parser.parse_args()
    data, settings = open_data(given)
    records = compare(data, settings, given, [float(budget) for budget in given.budgets.split(",")])
    print_json({"data": data.name, "share": given.share, "seeds": given.seeds, "records": records})


if __name__ == "__main__":
    main()
