"""One propagation over a pool: spread, calibrated on hidden labels, decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.calibration import Curve, cross_fit, fit_calibration, fit_curve
from tagweave.config import GraphConfig
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import stratified_split
from tagweave.graph.pseudo_labels import Acceptance, Evidence, PseudoLabels, pseudo_labels
from tagweave.steps.job import Job

PARTS = {"stages": None, "average+max": 2, "average": 1}  # of the pooled feature, from the first


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

    shared = config.model_dump(exclude={"features", "names", "precision"})
    return GraphSettings(parts=tuple(parts[: PARTS[config.features]]), **shared)


def spread_and_decide(graph: Any, labels: LabelMatrix, job: Job, prior: Any = None) -> Outcome:
    """Propagate ``labels`` over the graph, calibrate on hidden labels, and decide unknown cells.

    ``prior``: the ``Prior`` that the labels' names give, if any.
    """
    from tagweave.graph.propagation import propagate as spread_labels

    config, seed = job.config.graph, job.config.seed
    spread = spread_labels(graph, labels, seed, prior)
    seen = labels.take(spread.labelled_rows)
    count = min(config.folds, len(seen))
    folds = stratified_split(seen, [1.0 / count] * count, seed) if count > 1 else np.zeros(len(seen), dtype=np.int64)
    claims = cross_fit(fit_calibration, spread.out_of_fold, seen, folds)
    curve = fit_curve(claims, seen)
    evidence = Evidence(curve.apply(claims), seen)
    probabilities = curve.apply(spread.probabilities)
    decisions, acceptance = pseudo_labels(
        probabilities, labels, spread.reached, evidence, config.precision, spread.by_name_alone
    )
    honest = cross_fit(fit_curve, claims, seen, folds)
    return Outcome(spread, curve, probabilities, evidence, honest, decisions, acceptance)
