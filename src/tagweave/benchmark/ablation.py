"""Tables IV to VI: the method's parts on and off, the depth of the GCN, and the group size of the fusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagweave.benchmark.contenders import changed
from tagweave.benchmark.dataset import Held
from tagweave.benchmark.fitted import ALL, Budget
from tagweave.benchmark.pictures import Dots, Lines
from tagweave.benchmark.printed import NONE_AT_HAND
from tagweave.benchmark.protocol import written_budget
from tagweave.benchmark.statistics import Cells, areas, costs, counted, of, written_costs
from tagweave.benchmark.switches import SWITCHES, Setting, configured, settings
from tagweave.benchmark.table import Table, written
from tagweave.benchmark.trials import COST, EVEN, Bench, Trial, even_steps
from tagweave.config import NETWORK_ALONE, Config

LAYERS = (2, 3, 4)
GROUPS = (1, 2, 4, 8, 16, 32, 64)
ON, OFF = "yes", "-"


@dataclass(frozen=True)
class Sweep:
    """Say what one of Tables V and VI varies.

    Attributes:
        title: its number. what: is varied. values: it takes.
        change: from a configuration and a value to new values of ``model``. note: how the rest follows.
    """

    title: str
    what: str
    values: tuple[int, ...]
    change: Callable[[Config, int], dict[str, Any]]
    note: str


def layer_widths(config: Config, layers: int) -> dict[str, Any]:
    """Return a GCN of so many layers: the first width repeated, the last one at the end."""
    first, last = config.model.gcn_widths[0], config.model.gcn_widths[-1]
    return {"gcn_widths": (*[first] * (layers - 1), last)}


def group_sizes(config: Config, group: int) -> dict[str, Any]:
    """Return a fusion with groups of this size: as wide as configured, or wider until the size divides it."""
    return {"g": group, "m": -(-config.model.m // group) * group}


T5 = Sweep(
    "Table V", "GCN layers", LAYERS, layer_widths,
    "GCN of k layers: the first configured width k - 1 times, then the last (the paper: 1024 and 2048)",
)  # fmt: skip
T6 = Sweep(
    "Table VI", "g", GROUPS, group_sizes,
    "fusion width m: the configured one, or the next that g divides",
)  # fmt: skip


def run_t4(bench: Bench, base: Config, budget: Budget, seeds: int) -> Table:
    """Run the cells of Table IV that the folder lacks, and return the table: every valid combination of switches."""
    found = [(one, configured(base, one, 0)) for one in settings()]
    valid = [one for one, config in found if isinstance(config, Config)]
    cells = bench.run(
        Trial(name_of(one), even_steps(bench.held, budget, config), budget)
        for seed in range(seeds) for one in valid if isinstance(config := configured(base, one, seed), Config)
    )  # fmt: skip
    records = [{"system": name_of(one), **one, **_numbers(of(cells, name_of(one)))} for one in valid]
    rows = tuple((*(ON if record[name] else OFF for name in SWITCHES), *_written(record)) for record in records)
    notes = (
        *_notes(bench.held, budget, seeds),
        "LP: the network learns from propagated labels, without it from the labelled images; without multi-stage the "
        "last stage alone; without attention a stage's positions are averaged; without MFB the inner product of image "
        "and label embedding, without GCN too one linear layer",
        f"model.append is {base.model.append} in all rows: what joins the attended vectors; none in the paper",
        EVEN,
        *left_out([(one, config) for one, config in found if isinstance(config, str)]),
        NONE_AT_HAND,
    )
    columns, title = (*SWITCHES, *_columns(cells)), _title("Table IV", bench.held, budget)
    brief = (*SWITCHES, counted(cells), "s")
    return Table(title, columns, rows, notes, tuple(records), brief, Dots("mAP", "system"))


OURS = {"head": "mscnn_lce", "gcn": True, "fusion": "mfb"}  # what Tables V and VI vary is there in these only


def run_sweep(bench: Bench, base: Config, budget: Budget, seeds: int, sweep: Sweep) -> Table:
    """Run the cells of Table V or VI that the folder lacks, and return the table.

    Raises:
        InputError: a value that does not go with the configuration.
    """
    train = {"shares": NETWORK_ALONE}
    cells = bench.run(
        Trial(name, changed(base, seed, model={**OURS, **sweep.change(base, value)}, train=train), budget)
        for seed in range(seeds) for value in sweep.values for name in [f"{sweep.what} {value}"]
    )  # fmt: skip
    records: list[dict[str, Any]] = [
        {"system": bench.held.name, sweep.what: value, **_numbers(of(cells, f"{sweep.what} {value}"))}
        for value in sweep.values
    ]
    rows = tuple((str(record[sweep.what]), record["system"], *_written(record)) for record in records)
    notes = (*_notes(bench.held, budget, seeds), sweep.note, NONE_AT_HAND)
    picture = Lines("mAP", sweep.what, "system", sweep.what, logarithmic=sweep.what == "g")
    title = _title(sweep.title, bench.held, budget)
    return Table(title, (sweep.what, "data", *_columns(cells)), rows, notes, tuple(records), picture=picture)


def name_of(setting: Mapping[str, bool]) -> str:
    """Name a combination by what is on."""
    return " + ".join(name for name in SWITCHES if setting[name]) or "nothing on"


def left_out(found: Sequence[tuple[Setting, str]]) -> list[str]:
    """Say which combinations there are not, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for setting, reason in found:
        reasons.setdefault(reason, []).append(name_of(setting))
    return [
        f"left out, {len(names)} of {2 ** len(SWITCHES)} combinations ({'; '.join(names)}): {reason}"
        for reason, names in reasons.items()
    ]


def _numbers(cells: Cells) -> dict[str, Any]:
    return {**areas(cells), **costs(cells)}


def _columns(cells: Cells) -> tuple[str, ...]:
    return (counted(cells), "mAP≥10", "s", "MiB")


def _written(record: Mapping[str, Any]) -> list[str]:
    seconds, _, memory = written_costs(record)
    ten = written(record["mAP_10"]) if "mAP_10" in record else "-"
    return [written(record["mAP"]), ten, seconds, memory]


def _title(table: str, held: Held, budget: Budget) -> str:
    share = "all given labels" if budget == ALL else f"{written_budget(float(budget))} of the labels"
    return f"{table}: {held.name}, {share}, {int((held.manifest.splits == 'test').sum()):,} test images"


def _notes(held: Held, budget: Budget, seeds: int) -> tuple[str, ...]:
    return (
        f"frozen {held.encoder}: all rows read the same cached stage maps; the network alone, not joined with "
        "propagation; nothing is searched",
        f"mean ± sample deviation over {seeds} seeds (labelled images where there is a budget, validation split, "
        "start, order); the network that is measured learns from all labelled images over all epochs, validation "
        "images choose calibration and thresholds",
        COST,
    )
