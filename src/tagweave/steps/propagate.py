"""Spread the known labels over the pool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic, write_json
from tagweave.steps.account import choice_facts, propagation_facts, reasons
from tagweave.steps.examples import examples
from tagweave.steps.inductive import save_inductive
from tagweave.steps.job import Job
from tagweave.steps.named import NAMES_FILE, account_of_names, prior_of, read_names
from tagweave.steps.outcome import Outcome, graph_settings, spread_and_decide
from tagweave.steps.stored import load_collection, open_records, write_rows
from tagweave.tables import write_labels

OUTPUTS = (
    "choice.npz", "final.npz", "inductive-choice.npz", "inductive-final.npz", "scores.npz", "out_of_fold.npz",
    "examples.json", "labels.csv", "unreached.csv",
)  # fmt: skip


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
    named = read_names(job, labels.names, features[pool])
    prior = prior_of(named[0], features[pool]) if named else None
    pool_labels = labels.take(pool)
    val = np.flatnonzero(manifest.splits[pool] == "val")
    honest = spread_and_decide(graph, pool_labels.hide(val), job, prior)
    final = spread_and_decide(graph, pool_labels, job, prior) if len(val) else honest
    for stage, outcome in (("choice", honest), ("final", final)):
        save_targets(job.folder / "graph" / f"{stage}.npz", outcome, pool)
        save_inductive(
            job.folder / "graph" / f"inductive-{stage}.npz", outcome.spread, job.config.seed, named and named[0]
        )
    by_graph = _save_scores(job.folder / "graph" / "scores.npz", honest, final, pool, features, manifest)
    _save_labels(job.folder, final, pool, manifest, labels, by_graph)
    _save_evidence(job, final, pool, manifest)
    facts = {**propagation_facts(final), **choice_facts(final.spread)}
    notes: list[str] = facts["sentences"]
    facts |= account_of_names(job, labels.names, named, facts["name_strength"])
    job.console.say(
        f"propagate: graph's share {final.spread.share:.2f}, {facts['pseudo_positive']:,} positive and "
        f"{facts['pseudo_negative']:,} negative cells accepted, {facts['unknown_cells']:,} left unknown"
    )
    for note in notes:
        job.console.say(f"propagate: {note}")
    return {
        "rounds": final.spread.rounds, "propagation": facts, "parts": final.spread.seconds, "notes": notes,
        "outputs": ["labels.parquet", *(f"graph/{name}" for name in (*OUTPUTS, *((NAMES_FILE,) if named else ())))],
    }  # fmt: skip


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
    from tagweave.graph.teacher import calibrate_left_out, fit_teacher

    spread, test = final.spread, manifest.rows("test")
    by_graph, by_ridge = (np.zeros((len(manifest), len(spread.labels.names)), dtype=np.float32) for _ in range(2))
    unit = spread.graph.unit
    for outcome, rows in ((final, np.arange(len(pool))), (honest, np.flatnonzero(manifest.splits[pool] == "val"))):
        known, teacher = outcome.spread.labels, outcome.spread.teacher or fit_teacher(unit, outcome.spread.labels)
        teacher = teacher.plain or teacher  # the row of ridge knows labels by examples alone
        calibration = calibrate_left_out(teacher, known)
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
