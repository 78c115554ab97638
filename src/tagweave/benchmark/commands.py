"""``tagweave benchmark``: the comparison tables, as commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tagweave.benchmark.options import Changes, Data, Format, Labels, Out, Seeds, Voc, finish
from tagweave.benchmark.trained_commands import register
from tagweave.options import Json, Quiet

app = typer.Typer(
    name="benchmark", no_args_is_help=True, rich_markup_mode="markdown",
    help="The paper's tables, and other systems and methods beside ours, on your data or the paper's.",
)  # fmt: skip


@app.command()
def propagation(
    data: Data = None, labels: Labels = None, voc: Voc = None, format: Format = None,
    budgets: Annotated[str, typer.Option(help="labelled shares or numbers, with commas")] = "0.05,0.1,0.2,1.0",
    seeds: Seeds = 3,
    methods: Annotated[str, typer.Option(help="all, or names with commas; a wrong one lists them")] = "all",
    transductive: Annotated[
        bool, typer.Option("--transductive", help="test images sit in the graph, unlabelled, for all methods")
    ] = False,
    out: Out = None, set: Changes = None, quiet: Quiet = False, json: Json = False,
) -> None:  # fmt: skip
    """Compare methods of label propagation: same features, same labels, a small search each.

    Example: `tagweave benchmark propagation --data photos/ --labels labels.csv --budgets 0.1 --seeds 1`
    """
    from tagweave.benchmark.dataset import load_data
    from tagweave.benchmark.methods import parse_methods
    from tagweave.benchmark.protocol import Plan, parse_budgets, run
    from tagweave.config import build_config
    from tagweave.console import Console
    from tagweave.steps.outcome import graph_settings

    plan = Plan(parse_budgets(budgets), seeds, parse_methods(methods), transductive)
    config, console = build_config(changes=set or []), Console(quiet)
    collection = load_data(data, labels, voc, format, config, console)
    folder = out or Path("runs") / f"benchmark-{collection.name}"
    finish(
        run(collection, plan, graph_settings(config.graph, collection.parts), folder, console),
        folder,
        plan.protocol,
        quiet,
        json,
    )


@app.command()
def t7(
    data: Annotated[Path, typer.Option("--data", "-d", help="cifar10.parquet, or the folder it lies in")],
    sizes: Annotated[str, typer.Option(help="numbers of labels, with commas")] = "1000,2000,3000,4000",
    seeds: Seeds = 5,
    images: Annotated[
        int | None, typer.Option(min=2, help="only so many images of each split, to try", show_default=False)
    ] = None,
    out: Out = None, set: Changes = None, quiet: Quiet = False, json: Json = False,
) -> None:  # fmt: skip
    """Table VII: error of label propagation on CIFAR-10, the paper's numbers beside.

    Example: `tagweave benchmark t7 --data cifar10.parquet`
    """
    from tagweave.benchmark.cifar import load_cifar
    from tagweave.benchmark.protocol import parse_budgets
    from tagweave.benchmark.t7 import run_t7
    from tagweave.config import build_config
    from tagweave.console import Console

    counts = tuple(int(size) for size in parse_budgets(sizes))
    folder, console = out or Path("runs") / "benchmark-t7", Console(quiet)
    collection = load_cifar(data, images, build_config(changes=set or []).encoder, folder, console)
    finish(
        run_t7(collection, counts, seeds, _presets(set, collection.parts), folder, console), folder, "t7", quiet, json
    )


@app.command()
def t8(
    voc: Voc = None, data: Data = None, labels: Labels = None, format: Format = None,
    budgets: Annotated[str, typer.Option(help="fractions of trainval, with commas")] = "0.1,0.2,0.4,0.8",
    seeds: Seeds = 3, out: Out = None, set: Changes = None, quiet: Quiet = False, json: Json = False,
) -> None:  # fmt: skip
    """Table VIII: label propagation on VOC 2007 (or other data) with a fraction of the labels.

    Example: `tagweave benchmark t8 --voc VOCdevkit/VOC2007`
    """
    from tagweave.benchmark.dataset import load_data
    from tagweave.benchmark.protocol import parse_budgets
    from tagweave.benchmark.t8 import run_t8
    from tagweave.config import build_config
    from tagweave.console import Console

    fractions, console = parse_budgets(budgets), Console(quiet)
    collection = load_data(data, labels, voc, format, build_config(changes=set or []), console)
    folder = out or Path("runs") / "benchmark-t8"
    finish(
        run_t8(collection, fractions, seeds, _presets(set, collection.parts), folder, console),
        folder,
        "t8",
        quiet,
        json,
    )


def _presets(changes: list[str] | None, parts: tuple[int, ...]) -> dict[str, Any]:
    """Return the graph settings of the presets that the systems stand on, ``changes`` over both."""
    from tagweave.config import build_config
    from tagweave.steps.outcome import graph_settings

    return {name: graph_settings(build_config(name, changes=changes or []).graph, parts) for name in ("paper", "fast")}


register(app)
