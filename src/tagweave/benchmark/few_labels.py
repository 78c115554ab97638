"""mAP against the number of labels: every part of the default classifier beside the usual yardsticks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tagweave.benchmark import protocol
from tagweave.benchmark.contenders import Contender, has_own_loss
from tagweave.benchmark.headline import trial_of
from tagweave.benchmark.pictures import Lines
from tagweave.benchmark.protocol import written_budget
from tagweave.benchmark.search import HELD_OUT
from tagweave.benchmark.statistics import COSTS, Cells, areas, costs, of, written_costs
from tagweave.benchmark.table import Table, mean_and_deviation, written
from tagweave.benchmark.trials import COST, EVEN, Bench, Trial
from tagweave.benchmark.tuning import Search
from tagweave.config import Config
from tagweave.steps.outcome import graph_settings

FIT = "default"
PARTS = {
    "ridge": "ridge", "graph": "propagated", "network": "network", "places": "places", "student": "student",
    "classifier": "classifier",
}  # fmt: skip
"""Of what fit measures: its name there, and here."""
METHODS = {"asl": "ASL linear, tuned", "knn": "kNN"}
"""Of ``benchmark propagation``, on the same features and labelled images: its name there, and here."""
TRANSDUCTIVE = {"default": "propagated, transductive †"}
SCORED = ("mAP", "mAP_10", *COSTS)  # what is read of their cells


@dataclass(frozen=True)
class FewLabels:
    """Say what is run: label budgets, seeds 0 to ``seeds`` - 1, further heads, and the search they get."""

    budgets: tuple[float, ...]
    seeds: int
    heads: tuple[Contender, ...] = ()
    search: Search | None = None


def run_few_labels(bench: Bench, base: Config, plan: FewLabels) -> Table:
    """Run the cells that the folder lacks, and return the table.

    ridge, propagated, network, places, student and classifier are read from one run of the main job's steps per budget
    and seed. The others get the same labelled images.

    Raises:
        InputError: a budget that the data cannot give.
    """
    plan = replace(plan, heads=tuple(one for one in plan.heads if one.name != FIT))  # its parts are rows anyway
    cells = bench.run(_trials(bench, base, plan))
    records = [record for budget in plan.budgets for record in _trained(of_budget(cells, budget), plan, budget)]
    records += _scored(bench, base, plan)
    places = {budget: number for number, budget in enumerate(plan.budgets)}
    records.sort(key=lambda record: places[record["budget"]])
    labelled = {cell["budget"]: cell["labelled"] for cell in cells}
    for record in records:
        record["labelled"] = labelled[record["budget"]]
    return _table(bench, plan, cells, records)


def of_budget(cells: Cells, budget: float) -> Cells:
    """Return the cells of one budget."""
    return [cell for cell in cells if cell["budget"] == budget]


def _trials(bench: Bench, base: Config, plan: FewLabels) -> list[Trial]:
    from tagweave.steps.stored import stored_layout

    layout, labels = stored_layout(bench.held.cache), len(bench.held.labels.names)
    own = {one.name: has_own_loss(one, base, layout, labels) for one in plan.heads}
    trials = []
    for budget in plan.budgets:
        for seed in range(plan.seeds):
            trials.append(Trial(FIT, base.model_copy(update={"seed": seed}), budget))
            trials += [trial_of(o, bench.held, base, budget, seed, plan.search, own[o.name]) for o in plan.heads]
    return trials


def _trained(cells: Cells, plan: FewLabels, budget: float) -> list[dict[str, Any]]:
    """Return the rows of the systems that the main job's steps measure at one budget."""
    fits = of(cells, FIT)
    parts = {name: shown for name, shown in PARTS.items() if name in fits[0]["systems"]}
    found = [{"system": shown, "budget": budget, **areas(fits, name)} for name, shown in parts.items()]
    found[-1] |= costs(fits)
    heads = [(one.name, of(cells, one.name)) for one in plan.heads]
    return found + [{"system": name, "budget": budget, **areas(own), **costs(own)} for name, own in heads]


def _scored(bench: Bench, base: Config, plan: FewLabels) -> list[dict[str, Any]]:
    """Return the rows of the methods that score features, and of propagation with the test images in the graph."""
    data = bench.held.pooled()
    settings = graph_settings(base.graph, data.parts)
    records: list[dict[str, Any]] = []
    with bench.console.progress("yardsticks", "rows") as progress:
        for names, transductive in ((METHODS, False), (TRANSDUCTIVE, True)):
            ask = protocol.Plan(plan.budgets, plan.seeds, tuple(names), transductive)
            found = protocol.Bench(data.pooled(settings.parts), ask, settings, bench.folder)
            for budget, name in product(plan.budgets, names):
                cells = [found.cell(budget, seed, name) for seed in range(plan.seeds)]
                numbers = {key: mean_and_deviation([cell[key] for cell in cells]) for key in SCORED}
                records.append({"system": names[name], "budget": budget, **numbers})
                progress(len(records), len(plan.budgets) * (len(METHODS) + len(TRANSDUCTIVE)))
    return records


def _table(bench: Bench, plan: FewLabels, cells: Cells, records: list[dict[str, Any]]) -> Table:
    held, measures = bench.held, cells[0]["systems"]["classifier"]
    some, ten = f"mAP ({measures['labels_with_positives']})", f"mAP≥10 ({measures['labels_with_10_positives']})"
    rows = tuple(
        (
            written_budget(record["budget"]), f"{record['labelled']:,}", record["system"],
            *(written(record[key]) for key in ("mAP", "mAP_10")), *written_costs(record),
        )
        for record in records
    )  # fmt: skip
    notes = (
        f"frozen {held.encoder}; ridge, propagated (graph and teacher), network (alone), places (the ridge of places "
        "alone), student (these two joined, without the graph) and classifier (joined with propagated too: what fit "
        "hands over) come from the steps of fit itself, nothing tuned here",
        f"ASL linear and kNN choose their value on a held-out {HELD_OUT:.0%} of the labelled images, which are the "
        "same for all rows of a budget and seed",
        "inductive: test images are in no graph, mean, calibration, threshold or choice; the steps see their labels as "
        "absent while they learn",
        "† transductive: the test images are in the graph, without labels; not to be compared with the other rows",
        f"mean ± sample deviation over {plan.seeds} seeds (labelled images, validation split, start, order)",
        *([EVEN] if plan.heads else []),
        *([plan.search.describe()] if plan.heads and plan.search else []),
        COST,
        "s of the rows that score features (ASL linear, kNN, transductive): the final fit and its scores",
    )
    test = int((held.manifest.splits == "test").sum())
    title = f"mAP against labels: {held.name}, {test:,} test images"
    columns = ("labels", "images", "system", some, ten, "s", "search s", "MiB")
    picture = Lines("mAP", "labelled", "system", "labelled images", logarithmic=True)
    return Table(title, columns, rows, notes, tuple(records), ("labels", "system", some, ten, "s"), picture)
