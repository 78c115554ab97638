"""A table, once for people (terminal, Markdown) and once for programs (CSV, JSON)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tagweave.benchmark.pictures import Picture, draw
from tagweave.runs import atomic, write_json


@dataclass(frozen=True)
class Table:
    """Hold a table.

    Attributes:
        title, columns, rows: what people read; every row has one text per column.
        notes: sentences under it: what differs from what, how things are measured.
        records: one JSON-able dict per row, the unrounded numbers.
        brief: the columns that a terminal shows, all without any; files have all.
        picture: what is drawn of the records.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    records: tuple[dict[str, Any], ...]
    brief: tuple[str, ...] = ()
    picture: Picture | None = None


def mean_and_deviation(values: Sequence[float | None]) -> dict[str, float | None]:
    """Return the mean and the sample's standard deviation; None where there is none of it, or one is undefined."""
    known = [float(value) for value in values if value is not None]
    if not known or len(known) < len(values):
        return {"mean": None, "deviation": None}
    return {"mean": fmean(known), "deviation": stdev(known) if len(known) > 1 else None}


def written(statistics: Mapping[str, float | None], factor: float = 100.0, digits: int = 1) -> str:
    """Write "mean ± deviation", in percent by default; without a deviation the mean, without a mean a dash."""
    mean, deviation = statistics["mean"], statistics["deviation"]
    if mean is None:
        return "-"
    end = "" if deviation is None else f" ± {factor * deviation:.{digits}f}"
    return f"{factor * mean:.{digits}f}{end}"


def show(table: Table) -> None:
    """Print the table on the terminal."""
    from rich.console import Console
    from rich.table import Table as RichTable

    places = [table.columns.index(column) for column in table.brief] or list(range(len(table.columns)))
    shown = RichTable(title=table.title)
    for place in places:
        shown.add_column(table.columns[place], justify="left" if place == 0 else "right")
    for row in table.rows:
        shown.add_row(*(row[place] for place in places))
    terminal = Console(markup=False, emoji=False, highlight=False)
    terminal.print(shown)
    for note in table.notes:
        terminal.print(f"- {note}", soft_wrap=True)
    if table.brief:
        left_out = [column for column in table.columns if column not in table.brief]
        terminal.print(f"- in the files also: {', '.join(left_out)}", soft_wrap=True)


def write(table: Table, folder: Path, name: str) -> list[Path]:
    """Write NAME.csv, .json, .md and the picture into ``folder``, each whole or not at all, and return their paths."""
    paths = [folder / f"{name}.{suffix}" for suffix in ("csv", "json", "md")]
    with atomic(paths[0]) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        flat = [_flat(record) for record in table.records]
        writer = csv.DictWriter(file, list(dict.fromkeys(key for record in flat for key in record)))
        writer.writeheader()
        writer.writerows(flat)
    write_json(paths[1], {"title": table.title, "notes": table.notes, "rows": table.records})
    with atomic(paths[2]) as partial:
        partial.write_text(markdown(table), encoding="utf-8")
    if table.picture is not None:
        paths += draw(table.picture, table.title, table.records, folder, name)
    return paths


def markdown(table: Table) -> str:
    """Return the table as Markdown."""
    head = [f"## {table.title}", "", _line(table.columns), _line("---" for _ in table.columns)]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([*head, *map(_line, table.rows), "", *notes]) + "\n"


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested dicts as columns with dotted names; lists as texts."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return flat
