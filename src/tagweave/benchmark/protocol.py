"""Every method on the same features, budgets and seeds: the table of label propagation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.benchmark.cells import finished
from tagweave.benchmark.dataset import BenchmarkData
from tagweave.benchmark.measures import MEASURES, measure
from tagweave.benchmark.memory import HOW, PeakMemory
from tagweave.benchmark.methods import METHODS, MOST_TRIES, Method, missing_package
from tagweave.benchmark.problem import Pool, Problem, build_pool
from tagweave.benchmark.search import HELD_OUT, choose, describe
from tagweave.benchmark.table import Table, mean_and_deviation, written
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import label_budget
from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings

COSTS = ("seconds", "search_seconds", "peak_mib")
PROTOCOLS = {
    False: "test images are outside the graph; transductive methods reach them by one inductive rule, the "
    "affinity-weighted mean of their nearest pool images' scores",
    True: "test images are in the graph, without labels, for all methods",
}


@dataclass(frozen=True)
class Plan:
    """Say what is run: label budgets (see ``label_budget``), seeds 0 to ``seeds`` - 1, methods, and the protocol."""

    budgets: tuple[float, ...]
    seeds: int
    methods: tuple[str, ...]
    transductive: bool = False

    @property
    def protocol(self) -> str:
        """The protocol in one word."""
        return "transductive" if self.transductive else "inductive"


def parse_budgets(text: str) -> tuple[float, ...]:
    """Return the budgets of a list with commas.

    Raises:
        InputError: not numbers above 0, or none.
    """
    try:
        budgets = tuple(dict.fromkeys(float(part) for part in text.split(",") if part.strip()))
    except ValueError:
        budgets = ()
    if not budgets or not all(0 < budget < np.inf for budget in budgets):
        raise InputError(
            f"Expected label budgets as shares or numbers with commas, such as 0.05,0.1, but got '{text}'."
        )
    return budgets


@dataclass(frozen=True)
class Bench:
    """Hold what all cells share; the graph is built when the first cell needs it."""

    data: BenchmarkData
    plan: Plan
    settings: GraphSettings
    folder: Path

    @cached_property
    def truth(self) -> LabelMatrix:
        """The labels (Q, C) of the test images that are scored."""
        return self.data.labels.take(_scored(self.data))

    @cached_property
    def pool(self) -> Pool:
        """The graph of all cells."""
        return build_pool(self.data.features[pool_rows(self.data, self.plan.transductive)], self.settings)

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return {"protocol": self.plan.protocol, "data": self.data.digest, "graph": asdict(self.settings)}

    def cell(self, budget: float, seed: int, name: str) -> dict[str, Any]:
        """Return one method's cell at one budget and seed, from the folder if it is there."""
        method = METHODS[name]
        tries = [dict(choice) for choice in method.tries]
        about = {"method": name, "budget": budget, "seed": seed, "tries": tries, **self._shared}
        return finished(self.folder / "cells", about, lambda: self._work(method, budget, seed))

    def _work(self, method: Method, budget: float, seed: int) -> dict[str, Any]:
        warm_up(method)
        problem = pose(self.data, self.pool, budget, seed, self.plan.transductive)
        return run_cell(method, problem, self.truth)


def run(data: BenchmarkData, plan: Plan, settings: GraphSettings, folder: Path, console: Console) -> Table:
    """Run the cells that ``folder`` lacks, and return the table of all.

    A cell is one method at one budget and seed. It is written when it is done: a run that was stopped goes on.

    Raises:
        InputError: a budget that the data cannot give, or no method whose package is installed.
    """
    methods = _available(plan.methods, console)
    bench = Bench(data.pooled(settings.parts), plan, settings, folder)
    tasks = list(product(plan.budgets, range(plan.seeds), methods))
    cells = []
    with console.progress("benchmark", "cells") as progress:
        for task in tasks:
            cells.append(bench.cell(*task))
            progress(len(cells), len(tasks))
    return tabulate(bench, cells)


def _available(names: tuple[str, ...], console: Console) -> list[str]:
    """Return the methods whose packages are installed, and say which are left out."""
    missing = {name: missing_package(METHODS[name]) for name in names}
    for name, package in missing.items():
        if package:
            console.say(f"{name}: left out, as the package {package} is not installed (pip install {package})")
    available = [name for name in names if not missing[name]]
    if not available:
        raise InputError("Expected a method whose package is installed, but got none; see the lines above.")
    return available


def pool_rows(data: BenchmarkData, transductive: bool) -> NDArray[np.int64]:
    """Return the images that the graph holds."""
    return np.arange(len(data.labels)) if transductive else np.flatnonzero(~data.test)


def _scored(data: BenchmarkData) -> NDArray[np.int64]:
    return np.flatnonzero(data.test & data.labels.labelled)


def pose(data: BenchmarkData, pool: Pool, budget: float, seed: int, transductive: bool) -> Problem:
    """Return the problem that all methods get: the labels of a random draw of the pool, and the test images to score.

    The draw is ``label_budget``'s, the same for both protocols. Nothing of the test's labels is in it.
    """
    rows = pool_rows(data, transductive)
    kept = label_budget(np.flatnonzero(data.labels.labelled & ~data.test), budget, seed)
    labels = data.labels.hide(np.setdiff1d(np.arange(len(data.labels)), kept)).take(rows)
    scored = _scored(data)
    inside, outside = (scored, scored[:0]) if transductive else (scored[:0], scored)
    return Problem(pool, labels, inside, data.features[outside], seed)


def warm_up(method: Method) -> None:
    """Run a method on a few drawn points, so that no cell's figures contain imports and compilation."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8)).astype(np.float32)
    values = features[:50, :3] > 0
    labels = LabelMatrix(values, np.ones_like(values), ("a", "b", "c")).hide(np.arange(30, 50))
    pool = build_pool(features[:50], GraphSettings(k=5))
    method.score(Problem(pool, labels, np.arange(0), features[50:]), **method.tries[0])


def run_cell(method: Method, problem: Problem, truth: LabelMatrix) -> dict[str, Any]:
    """Choose the method's values on labelled images, score the images asked for, and measure against ``truth``."""
    began = time.perf_counter()
    choice, found = choose(method, problem)
    search_seconds, began = time.perf_counter() - began, time.perf_counter()
    with PeakMemory() as memory:
        scores = method.score(problem, **choice)
    return {
        "choice": dict(choice), "searched": found, "images": len(truth), **measure(scores, truth),
        "seconds": round(time.perf_counter() - began, 3), "search_seconds": round(search_seconds, 3),
        "peak_mib": memory.mib,
    }  # fmt: skip


def tabulate(bench: Bench, cells: list[dict[str, Any]]) -> Table:
    """Return the table: one row per budget and method, means and deviations over seeds."""
    data, plan, one = bench.data, bench.plan, cells[0]
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["budget"], cell["method"]), []).append(cell)
    records = [
        {
            "method": name, "budget": budget, "protocol": plan.protocol,
            **{key: mean_and_deviation([cell[key] for cell in group]) for key in (*MEASURES, *COSTS)},
            "choices": [describe(cell["choice"]) for cell in group],
        }
        for (budget, name), group in groups.items()
    ]  # fmt: skip
    columns = (
        "labels", "method", "protocol", f"mAP ({one['labels']})", f"mAP≥10 ({one['labels_10']})", "P@5", "R@5", "F1@5",
        "N+", "s", "search s", "MiB", "chosen",
    )  # fmt: skip
    title = f"{data.name}: {one['images']:,} test images, {int((~data.test).sum()):,} in the pool"
    brief = ("labels", "method", columns[3], columns[4], "F1@5", "s")
    return Table(title, columns, tuple(map(_row, records)), _notes(data, plan), tuple(records), brief)


def written_budget(budget: float) -> str:
    """Write a share in percent, a number as it is."""
    return f"{100 * budget:g} %" if budget <= 1 else f"{budget:g}"


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    shares = [written(record[key]) for key in ("mAP", "mAP_10", "precision", "recall", "F1")]
    costs = [written({**record[key], "deviation": None}, factor=1) for key in COSTS]
    chosen = ", ".join(dict.fromkeys(record["choices"])) or "-"
    start = (written_budget(record["budget"]), record["method"], record["protocol"])
    return (*start, *shares, written(record["N+"], factor=1), *costs, chosen)


def _notes(data: BenchmarkData, plan: Plan) -> tuple[str, ...]:
    return (
        f"features: frozen {data.encoder}, the same for all methods, as are the neighbours",
        f"{plan.protocol}: {PROTOCOLS[plan.transductive]}",
        f"mean ± sample deviation over {plan.seeds} draws of the labelled images; shares in percent",
        f"values of each method are chosen on a held-out {HELD_OUT:.0%} of its labelled images, {MOST_TRIES} tries at "
        "most; ridge and default choose among five penalties and five blends on theirs, graph among nothing",
        "P@5, R@5, F1@5, N+: of the five highest labels of each image, by the scores as each method gives them",
        "s: final fit and scores, without the search beside it and the one graph of all",
        HOW,
    )
