"""Means and deviations over the cells of trained systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagweave.benchmark.table import mean_and_deviation, written

Cells = Sequence[Mapping[str, Any]]
Statistics = dict[str, dict[str, float | None]]

COSTS = ("seconds", "search_seconds", "peak_mib")


def of(cells: Cells, method: str) -> Cells:
    """Return the cells of one method."""
    return [cell for cell in cells if cell["method"] == method]


def areas(cells: Cells, system: str = "classifier") -> Statistics:
    """Return mAP and mAP_10 of one system of the cells' runs."""
    found = [cell["systems"][system] for cell in cells]
    return {key: mean_and_deviation([measures[key] for measures in found]) for key in ("mAP", "mAP_10")}


def costs(cells: Cells) -> Statistics:
    """Return seconds and peak memory of the cells' trainings."""
    return {key: mean_and_deviation([cell[key] for cell in cells]) for key in COSTS}


def written_costs(record: Mapping[str, Any]) -> list[str]:
    """Write the costs of a record, without deviations; a dash where there are none."""
    return [written({**record[key], "deviation": None}, factor=1) if key in record else "-" for key in COSTS]


def counted(cells: Cells) -> str:
    """Name the column of mAP with the number of labels in it."""
    return f"mAP ({cells[0]['systems']['classifier']['labels_with_positives']})"


def chosen(cells: Cells) -> list[str]:
    """Return in a few words what each cell was trained with."""
    return [
        f"lr {cell['chosen']['learning_rate']:g} {cell['chosen']['loss']} {cell['chosen']['epochs']} epochs"
        for cell in cells
    ]
