"""``tagweave audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagweave.options import Json, Quiet, RunFolder, print_json

if TYPE_CHECKING:
    from tagweave.audit.run import LabelAudit


def audit(
    run: RunFolder,
    n: Annotated[int, typer.Option("-n", min=1, help="how many suspects to list")] = 50,
    error_share: Annotated[
        float, typer.Option(help="about which share of the labels is wrong; the expected precision follows from it")
    ] = 0.05,
    test: Annotated[bool, typer.Option("--test", help="judge the labels of test images too")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="write the suspects to this .csv or .json", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="where --out is there already")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List given labels that are most likely wrong or missing, judged by images of other folds only.

    Example: `tagweave audit runs/photos -n 100 --out audit.csv`
    """
    from tagweave.audit.run import audit_run, require_ending
    from tagweave.console import Console
    from tagweave.runs import require_new

    if out is not None:  # told before the work
        require_ending(out)
        if not overwrite:
            require_new(out)
    console = Console(quiet or json)
    found = audit_run(run, n, error_share, test, console)
    if out is not None:
        found.write(out)
        console.say(f"{len(found.suspects):,} suspects written to {out}")
    if json:
        print_json(found.to_json())
    elif out is None or not quiet:
        _show(found)


def _show(found: LabelAudit) -> None:
    from rich.table import Table

    from tagweave.summary import terminal

    table = Table(title=f"the {len(found.suspects):,} most suspect of {found.cells:,} given labels")
    table.add_column("image", overflow="fold")
    for name in ("label", "given"):
        table.add_column(name)
    for name in ("probability", "wrong", "neighbours with it"):
        table.add_column(name, justify="right")
    for suspect in found.suspects:
        neighbours = f"{suspect.neighbours_with} of {len(suspect.neighbours)}"
        numbers = (f"{suspect.probability:.1%}", f"{suspect.wrong:.0%}", neighbours)
        table.add_row(suspect.image, suspect.label, suspect.given, *numbers)
    console = terminal()
    console.print(table)
    counts = ", ".join(f"{count:,} at {precision:.0%}" for precision, count in found.expected.items())
    console.print(f"Suspects by expected precision, if {found.error_share:.0%} of the present labels are missing and")
    console.print(f"as many are given wrongly: {counts}.")
