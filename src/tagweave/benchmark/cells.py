"""Finished parts of a benchmark on disk: one JSON each, named by what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tagweave import __version__
from tagweave.runs import key_of, read_json, write_json


def finished(folder: Path, settings: Mapping[str, Any], work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the cell of ``settings``: what it is of, and what ``work`` found.

    A cell that lies in ``folder`` under the same settings and the same version of the package is read; otherwise
    ``work`` is done and its result written, whole or not at all.
    """
    key = key_of(__version__, dict(settings))
    name = "-".join(str(settings[part]) for part in ("method", "budget", "seed"))
    path = folder / f"{name}-{key[:10]}.json"
    if not path.is_file():
        write_json(path, {**settings, **work()})
    cell: dict[str, Any] = read_json(path)
    return cell
