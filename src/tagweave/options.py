"""What commands share: options that mean the same everywhere, and results as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

RunFolder = Annotated[Path, typer.Argument(help="run folder", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="only results and errors")]
Json = Annotated[bool, typer.Option("--json", help="results as JSON on standard output")]


def print_json(content: Any) -> None:
    """Print a result on standard output; names stay in their own script."""
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))
