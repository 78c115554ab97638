"""Published figures as rows that stand beside measured ones."""

from __future__ import annotations

from typing import Any

from tagweave.benchmark.contenders import Contender
from tagweave.benchmark.published import SYSTEMS, Figure, published
from tagweave.benchmark.trials import ALL, Budget

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
    name = f"{SYSTEMS[figure.system].title}, printed ({figure.data})"
    return {"system": name, "mAP": {"mean": figure.value / 100, "deviation": None}, "printed": True}


def printed_notes(table: str, budget: Budget, here: str) -> list[str]:
    """Say under which protocols printed rows were measured, and what differs from ``here``."""
    found = figures(table, budget)
    if not found:
        return [NONE_AT_HAND]
    protocols = "; ".join(dict.fromkeys(figure.note for figure in found))
    backbones = "; ".join(
        f"{one.title} {one.backbone}" for one in dict.fromkeys(SYSTEMS[f.system] for f in found) if one.backbone
    )
    return [
        f"printed rows ({protocols}; {backbones}) are trained end to end, by their own account; here {here}: they "
        "stand beside, not against"
    ]
