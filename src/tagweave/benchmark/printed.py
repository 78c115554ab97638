"""The paper's numbers, as rows that stand beside measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tagweave.benchmark.contenders import Contender


def printed_overall(table: str, contender: Contender) -> list[dict[str, Any]]:
    """Return a system's rows of Table I or II as printed."""
    return []


def printed_classes(table: str, contender: Contender, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return a system's row of Table III as printed, of the labels that the data has."""
    return []


def printed_numbers(table: str) -> list[dict[str, Any]]:
    """Return the rows of Table IV, V or VI as printed."""
    return []


def printed_notes(table: str, encoder: str) -> tuple[str, ...]:
    """Say what differs between the paper's numbers and those beside them."""
    return ()
