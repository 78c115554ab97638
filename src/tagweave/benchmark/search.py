"""Choose a method's few values on labelled images alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.benchmark.methods import Choice, Method
from tagweave.benchmark.problem import Problem
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import stratified_split
from tagweave.metrics import average_precisions

HELD_OUT = 0.3
JUDGED_FROM = 3  # held-out positives of a label that votes


def choose(method: Method, problem: Problem) -> tuple[Choice, list[dict[str, Any]]]:
    """Return the best of a method's choices, and what each reached.

    The same stratified share of the labelled images is hidden for every choice and every method, and scored from
    inside the graph by mean average precision. The first of equal choices is taken; test images have no part in it.
    """
    rows = problem.labelled
    if len(method.tries) == 1 or len(rows) < 2:
        return method.tries[0], []
    parts = stratified_split(problem.labels.take(rows), (1 - HELD_OUT, HELD_OUT), problem.seed)
    held = rows[parts == 1]
    if not len(held):
        return method.tries[0], []
    truth, hidden = problem.labels.take(held), problem.hide(held)
    reached = [_judge(method.score(hidden, **choice), truth) for choice in method.tries]
    found: list[dict[str, Any]] = [{**choice, "mAP": area} for choice, area in zip(method.tries, reached, strict=True)]
    return method.tries[int(np.argmax(reached))], found


def _judge(scores: NDArray[np.float64], truth: LabelMatrix) -> float:
    """Return the mean average precision over labels with enough positives, or with any where none has."""
    areas, positives = average_precisions(scores, truth), truth.positives
    judged = positives >= min(JUDGED_FROM, positives.max())
    return float(areas[judged & (positives > 0)].mean()) if positives.any() else 0.0


def describe(choice: Mapping[str, Any]) -> str:
    """Return a choice as a few words."""
    return " ".join(f"{name} {value:g}" for name, value in choice.items())
