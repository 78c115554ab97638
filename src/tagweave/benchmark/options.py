"""What the benchmark's commands share: their options, and what they do with a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagweave.options import print_json

if TYPE_CHECKING:
    from tagweave.benchmark.table import Table

Data = Annotated[Path | None, typer.Option("--data", "-d", help="folder of images", show_default=False)]
Labels = Annotated[
    Path | None, typer.Option("--labels", "-l", help="label file: CSV list or one-hot", show_default=False)
]
Voc = Annotated[Path | None, typer.Option(help="a VOC folder (VOC2007) instead of data and labels", show_default=False)]
Format = Annotated[str | None, typer.Option(help="label format; guessed when absent", show_default=False)]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="folder of cells and tables; runs/benchmark-NAME by default")
]
Changes = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, repeatable", show_default=False)]
Seeds = Annotated[int, typer.Option(min=1, help="random draws of the labelled images")]
Preset = Annotated[str, typer.Option(help="a preset of fit, which --set changes")]
Backbone = Annotated[
    str | None, typer.Option(help="encoder.name: efficientnet_lite0, vgg16_bn or any timm model", show_default=False)
]
LabelBudget = Annotated[
    float | None,
    typer.Option(
        "--label-budget",
        "--budget",
        help="labelled share or number of images; all labels when absent",
        show_default=False,
    ),
]
Heads = Annotated[
    str, typer.Option(help="all, default, or heads with commas, each alone or as HEAD+TARGETS; a wrong one lists them")
]
Effort = Annotated[
    str, typer.Option("--search", help="small: rate, loss and epochs of every head on validation images; none")
]


def finish(table: Table, folder: Path, name: str, quiet: bool, as_json: bool) -> None:
    """Write the table beside its cells and show it."""
    from tagweave.benchmark.table import show, write

    paths = write(table, folder, name)
    if as_json:
        print_json({"title": table.title, "notes": table.notes, "rows": table.records})
        return
    show(table)
    if not quiet:
        typer.echo(f"\nTables: {', '.join(map(str, paths))}")
