"""The commands of the tables whose systems are trained: I to VI, convergence, and mAP against labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tagweave.benchmark.options import (
    Backbone,
    Changes,
    Data,
    Effort,
    Format,
    Heads,
    LabelBudget,
    Labels,
    Out,
    Preset,
    Seeds,
    Voc,
    finish,
)
from tagweave.errors import InputError
from tagweave.options import Json, Quiet

if TYPE_CHECKING:
    from tagweave.benchmark.table import Table
    from tagweave.benchmark.trials import Bench
    from tagweave.benchmark.tuning import Search
    from tagweave.config import Config

HEADS_ABOUT = {
    "t1": "Table I: P, R, F1 and mAP of every head on the same cached maps, with all labels or few.",
    "t2": "Table II: the same of the three highest labels of an image; reads Table I's cells.",
    "t3": "Table III: the average precision of every label; reads Table I's cells.",
}
PARTS_ABOUT = {
    "t4": "Table IV: propagation, stages, attention, GCN and MFB on and off, every valid combination.",
    "t5": "Table V: a GCN of two, three and four layers.",
    "t6": "Table VI: the group size g of the fusion's sum-pooling, 1 to 64.",
    "convergence": "Validation mAP by epoch of our network and ML-GCN, same settings.",
}
T4_BUDGET = 0.1  # with all labels there is nothing to propagate


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, about in HEADS_ABOUT.items():
        _register_heads(app, name, about)
    for name, about in PARTS_ABOUT.items():
        _register_parts(app, name, about, T4_BUDGET if name == "t4" else None)
    app.command("few-labels")(few_labels)


def _register_heads(app: typer.Typer, name: str, about: str) -> None:
    def command(
        data: Data = None, labels: Labels = None, voc: Voc = None, format: Format = None, backbone: Backbone = None,
        heads: Heads = "all", seeds: Seeds = 3, label_budget: LabelBudget = None, search: Effort = "small",
        preset: Preset = "fast", out: Out = None, set: Changes = None, quiet: Quiet = False, json: Json = False,
    ) -> None:  # fmt: skip
        from tagweave.benchmark.headline import make, plan_of

        effort = parse_search(search)
        config, bench = open_bench(data, labels, voc, format, preset, backbone, set, out, quiet)
        plan = plan_of(bench.held, heads, seeds, label_budget, effort)
        finish(make(name, bench, plan, config), bench.folder, named(name, label_budget), quiet, json)

    words = "--voc VOCdevkit/VOC2007" if name == "t3" else "--data photos/ --labels labels.csv --seeds 1"
    command.__doc__ = f"{about}\n\nExample: `tagweave benchmark {name} {words}`"
    app.command(name=name)(command)


def _register_parts(app: typer.Typer, name: str, about: str, budget: float | None) -> None:
    def command(
        data: Data = None, labels: Labels = None, voc: Voc = None, format: Format = None, backbone: Backbone = None,
        seeds: Seeds = 3, label_budget: LabelBudget = budget, preset: Preset = "fast", out: Out = None,
        set: Changes = None, quiet: Quiet = False, json: Json = False,
    ) -> None:  # fmt: skip
        config, bench = open_bench(data, labels, voc, format, preset, backbone, set, out, quiet)
        table = _make_parts(name, bench, config, label_budget, seeds)
        finish(table, bench.folder, named(name, label_budget), quiet, json)

    default = f" Of {budget:.0%} of the labels by default." if budget else ""
    command.__doc__ = (
        f"{about}{default}\n\nExample: `tagweave benchmark {name} --data photos/ --labels labels.csv --seeds 1`"
    )
    app.command(name=name)(command)


def _make_parts(name: str, bench: Bench, config: Config, budget: float | None, seeds: int) -> Table:
    from tagweave.benchmark.ablation import T5, T6, run_sweep, run_t4
    from tagweave.benchmark.convergence import run_convergence
    from tagweave.benchmark.fitted import ALL

    share = ALL if budget is None else budget
    if name in ("t5", "t6"):
        return run_sweep(bench, config, share, seeds, T5 if name == "t5" else T6)
    return (run_t4 if name == "t4" else run_convergence)(bench, config, share, seeds)


def few_labels(
    data: Data = None, labels: Labels = None, voc: Voc = None, format: Format = None, backbone: Backbone = None,
    budgets: Annotated[str, typer.Option(help="labelled shares or numbers, with commas")] = "0.05,0.1,0.2,1",
    seeds: Seeds = 3,
    heads: Annotated[str, typer.Option(help="further heads, as in t1", show_default=False)] = "",
    search: Effort = "small", preset: Preset = "fast",
    audit: Annotated[
        bool, typer.Option("--audit", help="first fit twice at the least budget, once with the test turned round")
    ] = False,
    out: Out = None, set: Changes = None, quiet: Quiet = False, json: Json = False,
) -> None:  # fmt: skip
    """Mean average precision against labels: fit's own parts, tuned yardsticks, and further heads.

    Example: `tagweave benchmark few-labels --data photos/ --labels labels.csv --budgets 0.05,0.1 --seeds 1`
    """
    from tagweave.benchmark.audit import audit as run_audit
    from tagweave.benchmark.contenders import parse_contenders
    from tagweave.benchmark.few_labels import FewLabels, run_few_labels
    from tagweave.benchmark.protocol import parse_budgets

    further = parse_contenders(heads, unlabelled=True) if heads else ()
    plan = FewLabels(parse_budgets(budgets), seeds, further, parse_search(search))
    config, bench = open_bench(data, labels, voc, format, preset, backbone, set, out, quiet)
    if audit:
        run_audit(bench.held, config, min(plan.budgets), bench.folder / "audit")
        bench.console.say("audit: the same model to the bit whatever the test images hold")
    finish(run_few_labels(bench, config, plan), bench.folder, "few-labels", quiet, json)


def open_bench(
    data: Path | None, labels: Path | None, voc: Path | None, format: str | None, preset: str, backbone: str | None,
    changes: list[str] | None, out: Path | None, quiet: bool,
) -> tuple[Config, Bench]:  # fmt: skip
    """Return the configuration of the commands' options, and the bench over their data."""
    from tagweave.benchmark.dataset import hold
    from tagweave.benchmark.trials import Bench
    from tagweave.config import build_config
    from tagweave.console import Console

    encoder: dict[str, Any] = {"encoder": {"name": backbone}} if backbone else {}
    config, console = build_config(preset, changes=changes or [], **encoder), Console(quiet)
    if config.train.regime != "frozen":
        raise InputError(
            "Expected train.regime frozen, as the tables compare heads on one encoder's cached maps, but got "
            f"'{config.train.regime}'; add --set train.regime=frozen, or use 'tagweave fit' for the trained backbone."
        )
    held = hold(data, labels, voc, format, config, console)
    return config, Bench(held, out or Path("runs") / f"benchmark-{held.name}", console)


def parse_search(effort: str) -> Search | None:
    """Return the search that ``--search`` names.

    Raises:
        InputError: it is neither small nor none.
    """
    from tagweave.benchmark.tuning import Search

    if effort not in ("small", "none"):
        raise InputError(f"Expected --search small or none, but got '{effort}'.")
    return Search() if effort == "small" else None


def named(table: str, budget: float | None) -> str:
    """Name a table's files."""
    return table if budget is None else f"{table}-{budget:g}"
