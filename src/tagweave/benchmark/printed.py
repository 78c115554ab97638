"""Published figures as rows that stand beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagweave.benchmark.contenders import Contender
from tagweave.benchmark.fitted import ALL, Budget
from tagweave.benchmark.published import SYSTEMS, Figure, published

NONE_AT_HAND = "the paper's figures of this table are not at hand and none are printed"


def figures(table: str, budget: Budget) -> tuple[Figure, ...]:
    """Return the figures that stand beside Table I (of both data sets), II or III, or, with few labels, their kind."""
    if budget != ALL:
        return tuple(figure for figure in published(None) if figure.labels == budget)
    return tuple(figure for name in ("I", "III") if name == table or table == "I" for figure in published(name))


def printed_rows(table: str, contender: Contender, budget: Budget) -> list[dict[str, Any]]:
    """Return the rows as printed of the system that a bare head, on all labels, stands for."""
    own = figures(table, budget) if budget == ALL and contender.name == contender.head else ()
    return [_row(figure) for figure in own if figure.system == contender.head]


def further_rows(table: str, budget: Budget) -> list[dict[str, Any]]:
    """Return the rows as printed of the systems that learn from few labelled images."""
    return [] if budget == ALL else [_row(figure) for figure in figures(table, budget)]


def _row(figure: Figure) -> dict[str, Any]:
    system = SYSTEMS[figure.system]
    return {
        "system": f"{system.title}, printed ({figure.data})", "mAP": {"mean": figure.value / 100, "deviation": None},
        "printed": True, "source": system.source, "backbone": system.backbone, "protocol": figure.note,
    }  # fmt: skip


def printed_notes(records: Sequence[Mapping[str, Any]], here: str) -> list[str]:
    """Say under which protocols a table's printed rows were measured, and what differs from ``here``."""
    found = [record for record in records if record.get("printed")]
    if not found:
        return [NONE_AT_HAND]
    said = dict.fromkeys(record["protocol"] for record in found)
    protocols = " | ".join(one for one in said if not any(other != one and other.startswith(one) for other in said))
    backbones = " | ".join(dict.fromkeys(record["backbone"] for record in found if record["backbone"]))
    return [
        f"printed rows: {protocols}; trained end to end ({backbones or 'backbones not said'}), by their own account; "
        f"here {here}: they stand beside, not against"
    ]
