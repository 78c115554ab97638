"""Tables I to III: every head on the same cached maps, all labels or few, the paper's numbers beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagweave.benchmark.contenders import Contender, has_own_loss, parse_contenders
from tagweave.benchmark.dataset import Held
from tagweave.benchmark.fitted import ALL, Budget
from tagweave.benchmark.pictures import Dots
from tagweave.benchmark.printed import further_rows, printed_notes, printed_rows
from tagweave.benchmark.protocol import written_budget
from tagweave.benchmark.statistics import Cells, areas, chosen, costs, counted, of, written_costs
from tagweave.benchmark.table import Table, mean_and_deviation, written
from tagweave.benchmark.trials import COST, EVEN, Bench, Trial, even_steps
from tagweave.benchmark.tuning import Search
from tagweave.config import Config

MEASURES = {"CP": "P-C", "CR": "R-C", "CF1": "F1-C", "OP": "P-O", "OR": "R-O", "OF1": "F1-O"}
MAIN = "classifier"
SHOWN_LABELS = 4


@dataclass(frozen=True)
class Headline:
    """Say what one of the tables shows.

    Attributes:
        number: the table's. part: of the measures that decisions are taken from.
        note: how they are taken.
    """

    number: str
    part: str
    note: str


T1 = Headline("I", "at_half", "P, R, F1: labels with a calibrated probability of at least 0.5")
T2 = Headline(
    "II", "top3_at_half",
    "P, R, F1: of the three highest labels of an image those with a calibrated probability of at least 0.5 (ML-GCN's "
    "rule); the plain three highest are in the JSON",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Say what is run: systems, seeds 0 to ``seeds`` - 1, the label budget, and the search of every head."""

    contenders: tuple[Contender, ...]
    seeds: int
    budget: Budget
    search: Search | None


def plan_of(held: Held, heads: str, seeds: int, budget: float | None, search: Search | None) -> Plan:
    """Return the plan of the commands' options.

    Raises:
        InputError: a head that is not there.
    """
    pool = held.manifest.splits != "test"
    unlabelled = bool((pool & ~held.labels.labelled).any()) or (budget is not None and budget != 1)
    return Plan(parse_contenders(heads, unlabelled), seeds, ALL if budget is None else budget, search)


def make(name: str, bench: Bench, plan: Plan, base: Config) -> Table:
    """Run the cells that the folder lacks, and return the table t1, t2 or t3; all three read the same cells."""
    cells = run_heads(bench, plan, base)
    if name == "t3":
        return tabulate_classes(bench.held, plan, cells)
    return tabulate_overall(bench.held, plan, cells, T1 if name == "t1" else T2)


def run_heads(bench: Bench, plan: Plan, base: Config) -> list[dict[str, Any]]:
    """Return the cells of all systems and seeds."""
    from tagweave.steps.stored import stored_layout

    layout, labels = stored_layout(bench.held.cache), len(bench.held.labels.names)
    own = {one.name: has_own_loss(one, base, layout, labels) for one in plan.contenders}
    return bench.run(
        trial_of(one, bench.held, base, plan.budget, seed, plan.search, own[one.name])
        for seed in range(plan.seeds) for one in plan.contenders
    )  # fmt: skip


def trial_of(
    one: Contender, held: Held, base: Config, budget: Budget, seed: int, search: Search | None, own_loss: bool
) -> Trial:
    """Return the cell of one system at one budget and seed."""
    if one.default:
        return Trial(one.name, one.config(base, seed), budget)
    return Trial(one.name, even_steps(held, budget, one.config(base, seed)), budget, search, own_loss)


def tabulate_overall(held: Held, plan: Plan, cells: Cells, kind: Headline) -> Table:
    """Return Table I or II: a row per system, and one as printed where the paper has it."""
    records: list[dict[str, Any]] = []
    for one in plan.contenders:
        group = of(cells, one.name)
        parts = {kind.part: "", "top3": "top3_", "at_tuned": "tuned_"}
        decided = {
            prefix + key: mean_and_deviation([(cell["systems"][MAIN][part] or {}).get(key) for cell in group])
            for part, prefix in parts.items() for key in MEASURES
        }  # fmt: skip
        about = {"system": one.name, "labels": plan.budget, "chosen": chosen(group)}
        records.append({**about, **decided, **areas(group), **costs(group)})
        records += printed_rows(kind.number, one, plan.budget)
    records += further_rows(kind.number, plan.budget)
    columns = ("system", *MEASURES.values(), counted(cells), "s", "search s", "MiB", "chosen")
    rows = tuple(_row(record, (*MEASURES, "mAP")) for record in records)
    notes = (*_notes(held, plan, cells), kind.note, *printed_notes(records, _here(held)))
    brief = ("system", "F1-C", "F1-O", counted(cells), "s")
    return Table(
        _title(f"Table {kind.number}", held, plan), columns, rows, notes, tuple(records), brief, Dots("mAP", "system")
    )


def tabulate_classes(held: Held, plan: Plan, cells: Cells) -> Table:
    """Return Table III: the average precision of every label, a row per system."""
    labels, records = cells[0]["names"], list[dict[str, Any]]()
    for one in plan.contenders:
        group = of(cells, one.name)
        by_label = zip(labels, *(cell["systems"][MAIN]["AP"] for cell in group), strict=True)
        records.append(
            {"system": one.name, "labels": plan.budget, "chosen": chosen(group), **areas(group), **costs(group)}
            | {"AP": {label: mean_and_deviation(own) for label, *own in by_label}}
        )
        records += printed_rows("III", one, plan.budget)
    records += further_rows("III", plan.budget)
    columns = ("system", *labels, counted(cells), "s", "search s", "MiB", "chosen")
    rows = tuple(_row({**record, **record.get("AP", {})}, (*labels, "mAP")) for record in records)
    notes = (
        *_notes(held, plan, cells),
        "AP: all points, not interpolated",
        *printed_notes(records, _here(held)),
    )
    brief = ("system", *_shown_labels(cells), counted(cells))
    return Table(_title("Table III", held, plan), columns, rows, notes, tuple(records), brief, Dots("mAP", "system"))


def _shown_labels(cells: Cells) -> list[str]:
    """Return the few labels with most test positives: a terminal is too narrow for all."""
    positives = cells[0]["systems"][MAIN]["positives"]
    order = sorted(range(len(positives)), key=lambda place: (-positives[place], place))
    return [cells[0]["names"][place] for place in sorted(order[:SHOWN_LABELS])]


def _row(record: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    shares = [written(record[key]) if key in record else "-" for key in keys]
    return (
        record["system"],
        *shares,
        *written_costs(record),
        ", ".join(dict.fromkeys(record.get("chosen", ()))) or "-",
    )


def _title(table: str, held: Held, plan: Plan) -> str:
    test = held.manifest.splits == "test"
    share = "all given labels" if plan.budget == ALL else f"{written_budget(float(plan.budget))} of the images labelled"
    return f"{table}: {held.name}, {share}, {int(test.sum()):,} test images, {int((~test).sum()):,} in the pool"


def _here(held: Held) -> str:
    return f"{held.name}, frozen {held.encoder}"


def _notes(held: Held, plan: Plan, cells: Cells) -> tuple[str, ...]:
    one = cells[0]
    refit = one.get("config", {}).get("train", {}).get("refit", True)
    seen = "from all labelled images over all epochs" if refit else "without validation images, which choose its epoch"
    return (
        f"frozen {held.encoder}: all heads read the same cached stage maps; {one['labelled']:,} of {one['pool']:,} "
        "pool images are labelled",
        "a bare head learns from the labelled images alone, HEAD+soft and other ways from the pool too; default is "
        "what fit hands over: our network on propagated labels, joined with the ridge of places and propagation, "
        "nothing searched",
        plan.search.describe() if plan.search else "no search: every head with the configured values",
        f"mean ± sample deviation over {plan.seeds} seeds (labelled images where there is a budget, validation split, "
        f"start, order); the network that is measured learns {seen}; validation images choose searched values, "
        "calibration and thresholds, the test nothing",
        EVEN,
        COST,
    )
