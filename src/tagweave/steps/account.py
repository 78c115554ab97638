"""What a propagation came to, in counts and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tagweave.calibration import expected_calibration_error, reliability
from tagweave.graph.pseudo_labels import POSITIVE_FROM, Acceptance, Precision, accept, least_cells
from tagweave.steps.outcome import Outcome

if TYPE_CHECKING:
    from tagweave.graph.propagation import Propagation

LOWER_GOALS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)  # tried where the wanted precision is not shown
ONE_SIDED = 1.645  # deviations that leave 5 % of the normal distribution on one side
NO_POSITIVE = "without a known positive"
UNPROVEN = "without proof of the wanted precision"
CONTRADICTED = "contradicted by hidden labels"
TOO_LOW = "without an image that is probable enough"


def propagation_facts(outcome: Outcome) -> dict[str, Any]:
    """Return counts, precision and calibration of a propagation, JSON-ready.

    Precision of positives and negatives, its bounds, and the calibration error speak of hidden known cells;
    ``labels_without`` names, by reason, the labels that get no propagated positive; ``sentences`` say it in words.
    """
    labels, reached, acceptance = outcome.spread.labels, outcome.spread.reached, outcome.acceptance
    positive, negative = int(outcome.decisions.positive.sum()), int(outcome.decisions.negative.sum())
    unknown = int((~labels.known).sum())
    supported = math.isfinite(acceptance.threshold)
    return {
        "images": len(labels), "unlabelled": int((~labels.labelled).sum()),
        "reached_images": int((reached & ~labels.labelled).sum()), "unreached_images": int((~reached).sum()),
        "pseudo_positive": positive, "pseudo_negative": negative,
        "unknown_cells": unknown - positive - negative,
        "coverage": (positive + negative) / unknown if unknown else 1.0,
        "wanted_precision": acceptance.wanted, "precision_supported": supported,
        "accepted_from": acceptance.threshold if supported else None,
        **_precision_facts("precision", acceptance.positives),
        **_precision_facts("negative_precision", acceptance.negatives),
        "positives_denied": acceptance.denied,
        "calibration_error": _number(expected_calibration_error(outcome.honest, outcome.evidence.labels)),
        "labels_with_positives": int(outcome.decisions.positive.any(axis=0).sum()),
        "labels_without": _by_reason(labels.names, reasons(outcome)),
        "reliability": reliability(outcome.honest, outcome.evidence.labels), "sentences": sentences(outcome),
    }  # fmt: skip


def choice_facts(spread: Propagation) -> dict[str, Any]:
    """Return what the propagation chose, and how what it tried did on hidden labels; None and empty without a teacher.

    ``blends``: log loss and mAP by the graph's share; ``penalties``: the squared error of each left-out label by ridge;
    ``name_strength``: how much the labels' names count, as far as hidden labels bear them out; ``by_name_alone``: the
    labels of which nothing else is known.
    """
    teacher = spread.teacher
    return {
        "graph_share": spread.share, "ridge_penalty": teacher.penalty if teacher else None,
        "name_strength": spread.name_strength,
        "by_name_alone": [spread.labels.names[c] for c in np.flatnonzero(spread.by_name_alone)],
        "blends": [
            {"share": blend.share, "log_loss": blend.log_loss, "mAP": _number(blend.mean_average_precision)}
            for blend in spread.blends
        ],
        "penalties": [
            {"penalty": penalty, "squared_error": error}
            for penalty, error in (teacher.errors.items() if teacher else ())
        ],
    }  # fmt: skip


def reasons(outcome: Outcome) -> list[str]:
    """Return for each label why it gets no propagated positive, empty where it gets some or has no unknown cell."""
    acceptance, labels = outcome.acceptance, outcome.spread.labels
    settled = outcome.decisions.positive.any(axis=0) | labels.known.all(axis=0)
    unproven = np.full(len(settled), not math.isfinite(acceptance.threshold))
    cases = [settled, labels.positives == 0, unproven, acceptance.contradicted]
    found: list[str] = np.select(cases, ["", NO_POSITIVE, UNPROVEN, CONTRADICTED], TOO_LOW).tolist()
    return found


def sentences(outcome: Outcome) -> list[str]:
    """Return what a person should know of the decisions: precision, labels left out, images not reached."""
    labels, reached = outcome.spread.labels, outcome.spread.reached
    if labels.known.all():
        return []
    found = [_shown(outcome.acceptance) if math.isfinite(outcome.acceptance.threshold) else _not_shown(outcome)]
    absent, denied = outcome.acceptance.negatives, outcome.acceptance.denied
    if absent.judged:
        found.append(
            f"of {absent.judged:,} hidden known cells that are taken as absent {absent.share:.1%} are right; "
            f"{denied:.1%} of all known positives lie among them"
        )
    left_out = _by_reason(labels.names, reasons(outcome))
    if left_out:
        counts = ", ".join(f"{len(names)} {reason}" for reason, names in left_out.items())
        total = sum(map(len, left_out.values()))
        found.append(
            f"{total} of {len(labels.names)} labels get no propagated positive: {counts}; see graph/labels.csv"
        )
    unreached = int((~reached).sum())
    if unreached:
        found.append(
            f"{unreached} images were reached by no label; they stay unknown in labels.parquet and are listed in "
            "graph/unreached.csv"
        )
    return found


def _shown(acceptance: Acceptance) -> str:
    found = acceptance.positives
    return (
        f"of {found.judged:,} hidden known cells that are accepted as present {found.share:.1%} are right, at least "
        f"{found.lower:.1%} with 95 % confidence, over all labels together (wanted: {acceptance.wanted:.1%}); "
        "it holds for images drawn like the labelled ones"
    )


def _not_shown(outcome: Outcome) -> str:
    """Say why nothing is accepted as present, and what would help."""
    acceptance, found = outcome.acceptance, outcome.acceptance.positives
    least = least_cells(acceptance.wanted)
    if found.judged < least:
        why = f"only {found.judged} hidden known cells reach a probability of {POSITIVE_FROM:.0%}, {least} is the least"
    else:
        why = (
            f"of the {found.judged:,} that promise most {found.share:.1%} are right, at least {found.lower:.1%} surely"
        )
    more = _images_needed(found, acceptance.wanted, len(outcome.evidence.labels))
    ways = [f"label more images{f' (about {more:,} in all)' if more else ''}"]
    lower = supported_precision(outcome)
    if lower:
        ways.append(f"ask for --precision {lower:g}, which they show")
    return (
        f"nothing is accepted as present: the known labels do not show a precision of {acceptance.wanted:.1%} "
        f"({why}); {', or '.join(ways)}"
    )


def supported_precision(outcome: Outcome) -> float | None:
    """Return the highest precision of ``LOWER_GOALS`` below the wanted one that the evidence supports, if any."""
    limits = outcome.acceptance.limits
    goals = (goal for goal in LOWER_GOALS if goal < outcome.acceptance.wanted)
    return next((goal for goal in goals if math.isfinite(accept(outcome.evidence, limits, goal).threshold)), None)


def _images_needed(found: Precision, wanted: float, images: int) -> int | None:
    """Return about how many labelled images would show the wanted precision if the share of right ones stays."""
    if not found.judged or found.share <= wanted:
        return None
    cells = max(wanted * (1 - wanted) * (ONE_SIDED / (found.share - wanted)) ** 2, least_cells(wanted))
    return math.ceil(images * cells / found.judged)


def _by_reason(names: Sequence[str], why: Sequence[str]) -> dict[str, list[str]]:
    return {
        reason: [name for name, own in zip(names, why, strict=True) if own == reason]
        for reason in sorted({*why} - {""})
    }


def _precision_facts(name: str, found: Precision) -> dict[str, Any]:
    return {
        f"{name}_estimate": _number(found.share), f"{name}_lower": found.lower, f"{name}_upper": found.upper,
        f"{name}_judged": found.judged,
    }  # fmt: skip


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
