"""Table VIII: label propagation on VOC 2007 with a fraction of the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.benchmark.dataset import BenchmarkData
from tagweave.benchmark.problem import Floats, Problem
from tagweave.benchmark.protocol import written_budget
from tagweave.benchmark.systems import ABOUT, SEVERAL, System, build_arena, run_systems
from tagweave.benchmark.table import Table, mean_and_deviation, written
from tagweave.calibration import fit_calibration, tune_thresholds
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import label_budget, stratified_split
from tagweave.graph.image_graph import GraphSettings
from tagweave.metrics import evaluate

FOLDS = 3
MEASURES = {
    "micro_f1_error": "1 - micro-F1",
    "micro_f1_error_tuned": "1 - micro-F1, tuned",
    "mAP": "mAP",
    "hamming_error": "Hamming",
}


def run_t8(
    data: BenchmarkData, budgets: tuple[float, ...], draws: int, settings: Mapping[str, GraphSettings], folder: Path,
    console: Console,
) -> Table:  # fmt: skip
    """Run the cells of Table VIII that ``folder`` lacks, and return the table.

    Args:
        data: any data set with several labels an image; the paper's is VOC 2007, trainval against test.
        budgets: labelled shares or numbers of the pool's images.
        draws: how often they are drawn.
        settings: graphs by preset.

    Raises:
        InputError: a budget that the data cannot give.
    """
    arena, labelled = build_arena(data, settings), np.flatnonzero(data.labels.labelled & ~data.test)

    def work(system: System, budget: float, seed: int) -> dict[str, Any]:
        problem = arena.pose(system, label_budget(labelled, budget, seed), seed)
        return measure_decisions(*decide(system.score, problem), arena.truth)

    cells = run_systems(arena, SEVERAL, budgets, draws, work, folder, console)
    return tabulate(data, budgets, draws, cells)


def decide(score: Callable[[Problem], Floats], problem: Problem) -> tuple[Floats, Floats]:
    """Return probabilities (I + Q, C) and thresholds (C,), every system treated alike.

    The labelled images are scored in ``FOLDS`` parts, each with its labels hidden; a calibration and thresholds are
    fitted to these scores, and the calibration turns the scores of the images asked for into probabilities.
    """
    rows, labels = problem.labelled, problem.labels.take(problem.labelled)
    out_of_fold = _score_out_of_fold(score, problem, rows, labels)
    calibration = fit_calibration(out_of_fold, labels)
    thresholds = tune_thresholds(calibration.apply(out_of_fold), labels)
    return calibration.apply(score(problem)), thresholds


def _score_out_of_fold(
    score: Callable[[Problem], Floats], problem: Problem, rows: NDArray[np.int64], labels: LabelMatrix
) -> Floats:
    scores = np.broadcast_to(labels.rates(), labels.values.shape).copy()
    parts = stratified_split(labels, [1.0 / FOLDS] * FOLDS, problem.seed)
    for part in range(FOLDS):
        held = parts == part
        if held.any() and not held.all():
            scores[held] = score(problem.hide(rows[held]))
    return scores


def measure_decisions(probabilities: Floats, thresholds: Floats, truth: LabelMatrix) -> dict[str, Any]:
    """Return ``MEASURES`` of probabilities (Q, C): decisions at 0.5 and, tuned, at the thresholds (C,)."""
    found = evaluate(probabilities, truth, thresholds)
    tuned = found["at_tuned"]["OF1"]
    return {
        **{key: found[key] for key in ("micro_f1_error", "mAP", "hamming_error", "labels_with_positives")},
        "micro_f1_error_tuned": None if tuned is None else 1.0 - tuned,
    }


def tabulate(data: BenchmarkData, budgets: tuple[float, ...], draws: int, cells: list[dict[str, Any]]) -> Table:
    """Return the table: a row per budget and system."""
    records: list[dict[str, Any]] = []
    for budget in budgets:
        for name in SEVERAL:
            group = [cell for cell in cells if (cell["method"], cell["budget"]) == (name, budget)]
            numbers = {key: mean_and_deviation([cell[key] for cell in group]) for key in MEASURES}
            records.append({"labels": budget, "system": name, **numbers})
    rows = tuple(
        (written_budget(r["labels"]), r["system"], *(written(r[key], digits=2) for key in MEASURES)) for r in records
    )
    counted = cells[0]["labels_with_positives"]
    notes = (
        ABOUT,
        f"features: frozen {data.encoder}; {draws} draws of the labelled images, mean ± sample deviation, in percent; "
        f"mAP over {counted} labels with a positive; test images outside the graph, reached by the inductive rule",
        "decisions: every system calibrated and thresholded on its own out-of-fold scores of the labelled images; "
        "1 - micro-F1 and Hamming at probability 0.5, tuned at thresholds per label",
        'the paper\'s "error rate" is undefined for several labels: 1 - micro-F1 stands for it; its counts of labels '
        "exceed VOC 2007, so fractions of trainval stand for them; its numbers are not at hand and none are printed",
    )
    title = f"Table VIII: {data.name}, {int(data.test.sum()):,} test images, {int((~data.test).sum()):,} in the pool"
    return Table(title, ("labels", "system", *MEASURES.values()), rows, notes, tuple(records))
