"""``tagweave review``."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tagweave.options import RunFolder


def review(
    run: RunFolder,
    port: Annotated[int | None, typer.Option(help="8765 or a free one when absent", show_default=False)] = None,
    host: Annotated[
        str, typer.Option(help="address to listen on; another than this lets other computers in")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="open the page; only from a terminal")] = True,
    export: Annotated[
        Path | None, typer.Option(help="write the decisions to this label file (.csv) and end", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="with --export: given labels and decisions, to fit again with")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="where --export is there already")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only the link and errors")] = False,
) -> None:
    """Correct a run's labels in a page on this computer; every decision is kept in review.sqlite at once.

    Example: `tagweave review runs/photos` or `tagweave review runs/photos --export reviewed.csv --all`
    """
    from tagweave.console import Console
    from tagweave.errors import InputError
    from tagweave.review.desk import Desk
    from tagweave.review.export import write_labels
    from tagweave.review.server import listen, serve, warning
    from tagweave.runs import require_new

    if everything and export is None:
        raise InputError("Expected --export FILE with --all.")
    console = Console(quiet)
    if export is not None:
        if not overwrite:
            require_new(export)
        count = write_labels(run, export, "all" if everything else "decisions")
        console.say(f"{count:,} images written to {export}")
        return
    desk, listening = Desk(run, console), listen(port, host)
    told = warning(host)
    if told:
        typer.echo(told, err=True)
    serve(desk, listening, _announcement(browser and sys.stdout.isatty()), host)
    console.say(f"Stopped. Decisions are in {run / 'review.sqlite'}; run the same command again to go on.")


def _announcement(opens: bool) -> Callable[[str], None]:
    """Return what prints each link; the first is opened too."""
    waiting = ["Review page, control-C ends it:"]

    def announce(link: str) -> None:
        first = waiting.pop() if waiting else None
        typer.echo(f"{first or 'The link was used. For another browser:'} {link}")
        sys.stdout.flush()
        if first and opens:
            webbrowser.open(link)

    return announce
