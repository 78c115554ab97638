"""Spread the known labels over the pool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.calibration import (
    Curve,
    cross_fit,
    expected_calibration_error,
    fit_calibration,
    fit_curve,
    reliability,
)
from tagweave.config import GraphConfig
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.data.splits import stratified_split
from tagweave.graph.pseudo_labels import (
    POSITIVE_FROM,
    Acceptance,
    Evidence,
    Precision,
    PseudoLabels,
    accept,
    least_cells,
    pseudo_labels,
)
from tagweave.runs import atomic, write_json
from tagweave.steps.examples import examples
from tagweave.steps.inductive import save_inductive
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records, write_rows
from tagweave.tables import write_labels

PARTS = {"stages": None, "average+max": 2, "average": 1}  # of the pooled feature, from the first
LOWER_GOALS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)  # tried where the wanted precision is not shown
ONE_SIDED = 1.645  # deviations that leave 5 % of the normal distribution on one side
NO_POSITIVE = "without a known positive"
UNPROVEN = "without proof of the wanted precision"
CONTRADICTED = "contradicted by hidden labels"
TOO_LOW = "without an image that is probable enough"


@dataclass(frozen=True)
class Outcome:
    """Hold one propagation over the pool, calibrated and decided.

    Attributes:
        spread: the ``Propagation``.
        curve: what belongs over its probabilities.
        probabilities: (N, C) with the curve, known cells 0 or 1.
        evidence: of the decisions.
        honest: (n, C) of the labelled images, by calibrations that saw none of their labels.
    """

    spread: Any
    curve: Curve
    probabilities: NDArray[np.float64]
    evidence: Evidence
    honest: NDArray[np.float64]
    decisions: PseudoLabels
    acceptance: Acceptance


def graph_settings(config: GraphConfig, parts: Sequence[int]) -> Any:
    """Return the numerical core's settings of a configuration, for pooled features with ``parts`` of these widths."""
    from tagweave.graph.image_graph import GraphSettings

    shared = config.model_dump(exclude={"features", "precision"})
    return GraphSettings(parts=tuple(parts[: PARTS[config.features]]), **shared)


def propagate(job: Job, key: str) -> Mapping[str, Any]:
    """Spread the known labels over the pool; test images stay outside the graph and are scored inductively.

    Twice on one graph: with the validation labels hidden, for the network's targets and for honest scores; and with
    all labels, for the labels handed to the person. Without validation images both are the same.
    """
    from tagweave.graph.image_graph import build_graph

    manifest, labels = load_collection(job.folder)
    cache, positions = open_records(job, manifest)
    settings = graph_settings(job.config.graph, cache.layout.parts)
    features = cache.features(positions)[:, : sum(settings.parts)]
    pool = np.flatnonzero(manifest.splits != "test")
    job.console.say(f"propagate: graph of {len(pool):,} images, {job.config.graph.k} neighbours")
    graph = build_graph(features[pool], settings, len(labels.names))
    pool_labels = labels.take(pool)
    val = np.flatnonzero(manifest.splits[pool] == "val")
    honest = spread_and_decide(graph, pool_labels.hide(val), job)
    final = spread_and_decide(graph, pool_labels, job) if len(val) else honest
    for stage, outcome in (("choice", honest), ("final", final)):
        save_targets(job.folder / "graph" / f"{stage}.npz", outcome, pool)
        save_inductive(job.folder / "graph" / f"inductive-{stage}.npz", outcome.spread, job.config.seed)
    by_graph = _save_scores(job.folder / "graph" / "scores.npz", honest, final, pool, features, manifest)
    _save_labels(job.folder, final, pool, manifest, labels, by_graph)
    _save_evidence(job, final, pool, manifest)
    facts = propagation_facts(final)
    notes: list[str] = facts["sentences"]
    job.console.say(
        f"propagate: graph's share {final.spread.share:.2f}, {facts['pseudo_positive']:,} positive and "
        f"{facts['pseudo_negative']:,} negative cells accepted, {facts['unknown_cells']:,} left unknown"
    )
    for note in notes:
        job.console.say(f"propagate: {note}")
    teacher = final.spread.teacher
    choice = {"share": final.spread.share, "penalty": teacher.penalty if teacher else None}
    return {
        **choice, "rounds": final.spread.rounds, "propagation": facts, "parts": final.spread.seconds, "notes": notes,
    }  # fmt: skip


def spread_and_decide(graph: Any, labels: LabelMatrix, job: Job) -> Outcome:
    """Propagate ``labels`` over the graph, calibrate on hidden labels, and decide unknown cells."""
    from tagweave.graph.propagation import propagate as spread_labels

    config, seed = job.config.graph, job.config.seed
    spread = spread_labels(graph, labels, seed)
    seen = labels.take(spread.labelled_rows)
    count = min(config.folds, len(seen))
    folds = stratified_split(seen, [1.0 / count] * count, seed) if count > 1 else np.zeros(len(seen), dtype=np.int64)
    claims = cross_fit(fit_calibration, spread.out_of_fold, seen, folds)
    curve = fit_curve(claims, seen)
    evidence = Evidence(curve.apply(claims), seen)
    probabilities = curve.apply(spread.probabilities)
    decisions, acceptance = pseudo_labels(probabilities, labels, spread.reached, evidence, config.precision)
    honest = cross_fit(fit_curve, claims, seen, folds)
    return Outcome(spread, curve, probabilities, evidence, honest, decisions, acceptance)


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


def save_targets(path: Path, outcome: Outcome, pool: NDArray[np.int64]) -> None:
    """Write what the network learns from: probabilities and decisions for the pool."""
    decided = outcome.decisions.decided(outcome.spread.labels)
    with atomic(path) as partial:
        np.savez_compressed(
            partial, pool=pool, probabilities=outcome.probabilities.astype(np.float32),
            reached=outcome.spread.reached, decided_values=decided.values, decided_known=decided.known,
        )  # fmt: skip


def _save_scores(
    path: Path, honest: Outcome, final: Outcome, pool: NDArray[np.int64], features: NDArray[np.float32],
    manifest: Manifest,
) -> NDArray[np.float32]:  # fmt: skip
    """Write probabilities of all images by graph and by ridge, of validation images without their own labels.

    Returns:
        The graph's probabilities (images, labels).
    """
    from tagweave.graph.teacher import fit_linear

    spread, test = final.spread, manifest.rows("test")
    by_graph, by_ridge = (np.zeros((len(manifest), len(spread.labels.names)), dtype=np.float32) for _ in range(2))
    unit = spread.graph.unit
    for outcome, rows in ((final, np.arange(len(pool))), (honest, np.flatnonzero(manifest.splits[pool] == "val"))):
        teacher, calibration = fit_linear(unit, outcome.spread.labels)
        by_graph[pool[rows]] = outcome.probabilities[rows]
        by_ridge[pool[rows]] = calibration.apply(teacher.score(unit[rows]))
        if len(test) and outcome is final:
            by_graph[test] = final.curve.apply(spread.score_new(features[test]))
            by_ridge[test] = calibration.apply(teacher.score(spread.unit_of(features[test])))
    with atomic(path) as partial:
        np.savez_compressed(partial, pool=pool, graph=by_graph, ridge=by_ridge, reached=spread.reached)
    return by_graph


def _save_evidence(job: Job, final: Outcome, pool: NDArray[np.int64], manifest: Manifest) -> None:
    """Write what labelled images get without their own labels, and where some propagated labels came from."""
    with atomic(job.folder / "graph" / "out_of_fold.npz") as partial:
        np.savez_compressed(
            partial, rows=pool[final.spread.labelled_rows], probabilities=final.honest.astype(np.float32)
        )
    names = [manifest.paths[row] for row in pool]
    found = examples(final.spread, final.decisions, final.probabilities, names, job.config.seed)
    write_json(job.folder / "graph" / "examples.json", {"graph_share": final.spread.share, "examples": found})


def _save_labels(
    folder: Path, final: Outcome, pool: NDArray[np.int64], manifest: Manifest, labels: LabelMatrix,
    outside: NDArray[np.floating],
) -> None:  # fmt: skip
    """Write what a person reads: every cell, each label's threshold with its evidence, and the unreached images."""
    probabilities = np.array(outside, dtype=np.float64)
    probabilities[pool] = final.probabilities
    probabilities = np.where(labels.known, labels.values, probabilities)
    accepted = final.decisions.spread_over(pool, len(labels))
    write_labels(folder / "labels.parquet", manifest, labels, accepted, probabilities)
    unreached = pool[~final.spread.reached]
    write_rows(folder / "graph" / "unreached.csv", ("image",), ([manifest.paths[row]] for row in unreached))
    acceptance, known = final.acceptance, final.spread.labels
    columns = (
        known.names, known.positives, acceptance.thresholds, final.decisions.positive.sum(axis=0),
        acceptance.judged, acceptance.right, reasons(final),
    )  # fmt: skip
    header = ("label", "known_positives", "threshold", "accepted", "hidden_judged", "hidden_right", "why_none")
    write_rows(folder / "graph" / "labels.csv", header, zip(*columns, strict=True))
