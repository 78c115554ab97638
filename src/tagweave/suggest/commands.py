"""``tagweave suggest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tagweave.options import Json, Quiet, RunFolder, print_json

if TYPE_CHECKING:
    from tagweave.suggest.run import Suggestions


def suggest(
    run: RunFolder,
    n: Annotated[int, typer.Option("-n", min=1, help="how many images")] = 50,
    strategy: Annotated[
        Literal["mixed", "uncertainty", "disagreement", "coverage", "expected"],
        typer.Option(help="what makes an image worth its labels"),
    ] = "mixed",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="write a label file (.csv) to fill in, and JSON beside", show_default=False),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="with --out: the given labels too, to fit again with")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Choose the images whose labels would teach most, and say why.

    Example: `tagweave suggest runs/photos -n 50 --out todo.csv`
    """
    from tagweave.console import Console
    from tagweave.errors import InputError
    from tagweave.suggest.run import require_place, suggest_for_run

    if everything and out is None:
        raise InputError("Expected --out FILE with --all.")
    if out is not None:
        require_place(out)  # told before the work
    console = Console(quiet or json)
    found = suggest_for_run(run, n, strategy, console)
    if out is not None:
        reasons = found.write(out, everything)
        console.say(f"{len(found.images):,} images to label written to {out}, reasons to {reasons}")
    if json:
        print_json(found.to_json())
    elif out is None or not quiet:
        _show(found)


def _show(found: Suggestions) -> None:
    from rich.table import Table

    from tagweave.summary import terminal

    table = Table(title=f"{len(found.images):,} of {found.open:,} open images, by {found.strategy}")
    for name, justify in (("", "right"), ("image", "left"), ("worth", "right"), ("why", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for number, image in enumerate(found.images, start=1):
        table.add_row(str(number), image.image, f"{image.worth:.2f}", image.why)
    console = terminal()
    console.print(table)
    if found.duplicates:
        console.print(f"{found.duplicates:,} open images look the same as suggested ones and are left out.")
