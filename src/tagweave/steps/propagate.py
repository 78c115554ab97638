"""Spread the known labels over the pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import GraphConfig
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import Layout
from tagweave.runs import atomic
from tagweave.steps.inductive import save_inductive
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records
from tagweave.tables import write_labels

PARTS = {"stages": None, "average+max": 2, "average": 1}  # of the pooled feature, from the first


def graph_settings(config: GraphConfig, layout: Layout) -> Any:
    """Return the numerical core's settings of a configuration and of the encoder's pooled feature."""
    from tagweave.graph.image_graph import GraphSettings

    shared = config.model_dump(exclude={"features", "precision"})
    return GraphSettings(parts=layout.parts[: PARTS[config.features]], **shared)


def propagate(job: Job, key: str) -> Mapping[str, Any]:
    """Spread the known labels over the pool; test images stay outside the graph and are scored inductively.

    Twice on one graph: with the validation labels hidden, for the network's targets and for honest scores; and with
    all labels, for the labels handed to the person. Without validation images both are the same.
    """
    from tagweave.graph.image_graph import build_graph
    from tagweave.graph.propagation import propagate as spread_labels
    from tagweave.graph.pseudo_labels import pseudo_labels
    from tagweave.graph.teacher import fit_linear

    manifest, labels = load_collection(job.folder)
    cache, positions = open_records(job, manifest)
    settings = graph_settings(job.config.graph, cache.layout)
    features = cache.features(positions)[:, : sum(settings.parts)]
    pool, test = np.flatnonzero(manifest.splits != "test"), manifest.rows("test")
    job.console.say(f"propagate: graph of {len(pool):,} images, {job.config.graph.k} neighbours")
    graph = build_graph(features[pool], settings)
    pool_labels = labels.take(pool)
    val = np.flatnonzero(manifest.splits[pool] == "val")
    honest = spread_labels(graph, pool_labels.hide(val), job.config.seed)
    final = spread_labels(graph, pool_labels, job.config.seed) if len(val) else honest
    for stage, found in (("choice", honest), ("final", final)):
        targets = pseudo_labels(found.probabilities, found.labels, found.reached, job.config.graph.precision)
        decided = targets.decided(found.labels)
        with atomic(job.folder / "graph" / f"{stage}.npz") as partial:
            np.savez_compressed(
                partial, pool=pool, probabilities=found.probabilities.astype(np.float32), reached=found.reached,
                decided_values=decided.values, decided_known=decided.known,
            )  # fmt: skip
        save_inductive(job.folder / "graph" / f"inductive-{stage}.npz", found, job.config.seed)
    by_graph, by_ridge = (np.zeros(labels.values.shape, dtype=np.float32) for _ in range(2))
    for found, rows in ((final, np.arange(len(pool))), (honest, val)):
        teacher, calibration = fit_linear(graph.unit, found.labels)
        by_graph[pool[rows]] = found.probabilities[rows]
        by_ridge[pool[rows]] = calibration.apply(teacher.score(graph.unit[rows]))
        if len(test) and found is final:
            by_graph[test] = found.score_new(features[test])
            by_ridge[test] = calibration.apply(teacher.score(found.unit_of(features[test])))
    with atomic(job.folder / "graph" / "scores.npz") as partial:
        np.savez_compressed(partial, pool=pool, graph=by_graph, ridge=by_ridge, reached=final.reached)
    accepted = pseudo_labels(final.probabilities, final.labels, final.reached, job.config.graph.precision)
    probabilities = by_graph.copy()
    probabilities[pool] = final.probabilities
    probabilities = np.where(labels.known, labels.values, probabilities)
    write_labels(
        job.folder / "labels.parquet", manifest, labels, accepted.spread_over(pool, len(labels)), probabilities
    )
    facts = _propagation_facts(pool_labels, accepted.positive, accepted.negative, final.reached)
    unreached = int((~final.reached).sum())
    notes = [f"{unreached} images were reached by no label; they stay unknown in labels.parquet"] if unreached else []
    job.console.say(
        f"propagate: graph's share {final.share:.2f}, {facts['pseudo_positive']:,} positive and "
        f"{facts['pseudo_negative']:,} negative cells accepted, {facts['unknown_cells']:,} left unknown"
    )
    choice = {"share": final.share, "penalty": final.teacher.penalty if final.teacher else None, "rounds": final.rounds}
    return {**choice, "propagation": facts, "parts": final.seconds, "notes": notes}


def _propagation_facts(
    labels: LabelMatrix, positive: NDArray[np.bool_], negative: NDArray[np.bool_], reached: NDArray[np.bool_]
) -> dict[str, Any]:
    """Count, for the report: unlabelled images that were reached, unknown cells that were decided."""
    unknown = int((~labels.known).sum())
    decided = int(positive.sum() + negative.sum())
    return {
        "images": len(labels), "unlabelled": int((~labels.labelled).sum()),
        "reached_images": int((reached & ~labels.labelled).sum()),
        "pseudo_positive": int(positive.sum()), "pseudo_negative": int(negative.sum()),
        "unknown_cells": unknown - decided, "coverage": decided / unknown if unknown else 1.0,
    }  # fmt: skip
