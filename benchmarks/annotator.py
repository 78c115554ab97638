"""A scripted annotator: mAP after so many decisions through the review's queues, against as many random decisions.

It works on the folder of a run with few labels: the images' features and the graph are there, only the labels are
spread anew in each round, and no network is trained. The answers are the labels of a file that knows them all. A
decision is one label of one image. Through a queue every label is visited in turn, as a person does, and the images at
the head of its queue are answered; at random the cells are drawn from all that are open.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import print_json, say
from numpy.typing import NDArray

from tagweave.console import Console
from tagweave.data.collection import match_rows
from tagweave.data.formats import read_annotations
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.image_graph import build_graph
from tagweave.metrics import average_precisions
from tagweave.review.ledger import Column
from tagweave.review.queues import QUEUES, Evidence
from tagweave.steps.job import Job
from tagweave.steps.outcome import Outcome, graph_settings, spread_and_decide
from tagweave.steps.stored import load_collection, open_records

Choose = Callable[[Outcome, LabelMatrix, int, int], NDArray[np.int64]]
"""What propagation says, what is known, the number of decisions, a seed -> open cells (n, 2) to be answered."""


@dataclass(frozen=True)
class Bench:
    """Hold what all rounds share.

    Attributes:
        features: (N, D) of all images. pool, test: their row numbers, disjoint. truth: (N, C).
        start: (pool, C) what the run was given.
    """

    job: Job
    graph: Any
    features: NDArray[np.float32]
    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    truth: LabelMatrix
    start: LabelMatrix


def open_bench(run: Path, answers: Path, form: str | None) -> Bench:
    """Open a run and bring the answers to its images and labels."""
    job = Job.load(run, Console(quiet=True))
    manifest, given = load_collection(run)
    cache, positions = open_records(job, manifest)
    settings = graph_settings(job.config.graph, cache.layout.parts)
    features = cache.features(positions)[:, : sum(settings.parts)]
    pool, test = (np.flatnonzero((manifest.splits == "test") == held) for held in (False, True))
    if not len(test):
        raise InputError(f"Expected a run with test images to measure on, but {run} has none.")
    truth = _answers(answers, form, manifest.paths, manifest.root, given.names)
    graph = build_graph(features[pool], settings, len(given.names))
    return Bench(job, graph, features, pool, test, truth, given.take(pool))


def _answers(path: Path, form: str | None, images: Sequence[str], root: Path, names: tuple[str, ...]) -> LabelMatrix:
    listed = read_annotations(path, form)
    place = match_rows(listed, images, root)
    values, known = (np.zeros((len(images), len(names)), dtype=bool) for _ in range(2))
    columns = [listed.labels.names.index(name) for name in names]
    found = place >= 0
    values[place[found]] = listed.labels.values[found][:, columns]
    known[place[found]] = listed.labels.known[found][:, columns]
    return LabelMatrix(values, known, names)


def through(queue: str) -> Choose:
    """Return a choice of the cells at the head of each label's queue, as many of each label."""

    def choose(outcome: Outcome, known: LabelMatrix, count: int, seed: int) -> NDArray[np.int64]:
        chosen, labels = [], len(known.names)
        for c, name in enumerate(known.names):
            nobody = np.zeros(len(known), dtype=bool)
            says = outcome.probabilities[:, c].astype(np.float32)
            evidence = Evidence(
                graph=says, network=None, judge=None, claimed=outcome.decisions.positive[:, c],
                column=Column(known.values[:, c], known.known[:, c], nobody), points=outcome.spread.graph.points,
                seed=zlib.crc32(name.encode()),
            )  # fmt: skip
            share = count * (c + 1) // labels - count * c // labels
            rows = QUEUES[queue](evidence)[:share]
            chosen.append(np.stack([rows, np.full(len(rows), c)], axis=1))
        return np.concatenate(chosen)

    return choose


def at_random(outcome: Outcome, known: LabelMatrix, count: int, seed: int) -> NDArray[np.int64]:
    """Draw from all open cells."""
    return np.random.default_rng(seed).permutation(np.argwhere(~known.known))[:count]


def annotate(bench: Bench, choose: Choose, steps: Sequence[int], seed: int) -> list[dict[str, float]]:
    """Return mAP on the test images without a decision and after each number of decisions in ``steps``, rising."""
    known, done, found = bench.start, 0, []
    outcome: Outcome | None = None
    for number, wanted in enumerate([0, *(step for step in steps if step > 0)]):
        began = time.perf_counter()
        if outcome is not None:
            cells = choose(outcome, known, wanted - done, seed + number)
            known = _answered(known, cells, bench.truth.take(bench.pool))
            done += len(cells)
        outcome = spread_and_decide(bench.graph, known, bench.job)
        scores = outcome.curve.apply(outcome.spread.score_new(bench.features[bench.test]))
        truth = bench.truth.take(bench.test)
        found.append(
            {
                "decisions": done, "mAP": round(float(np.nanmean(average_precisions(scores, truth))), 4),
                "positives_found": int(known.positives.sum() - bench.start.positives.sum()),
                "seconds": round(time.perf_counter() - began, 2),
            }
        )  # fmt: skip
        say(f"  {found[-1]}")
    return found


def _answered(known: LabelMatrix, cells: NDArray[np.int64], truth: LabelMatrix) -> LabelMatrix:
    rows, columns = cells.T
    values, decided = known.values.copy(), known.known.copy()
    values[rows, columns], decided[rows, columns] = truth.values[rows, columns], truth.known[rows, columns]
    return LabelMatrix(values, decided, known.names)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run with few labels and a test split")
    parser.add_argument("answers", type=Path, help="label file that knows all")
    parser.add_argument("--format", help="of the label file; guessed when absent")
    parser.add_argument("--queues", nargs="+", default=["uncertain"], choices=sorted(QUEUES))
    parser.add_argument("--steps", nargs="+", type=int, default=[1000, 2000, 4000], help="decisions, rising")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    bench = open_bench(words.run, words.answers, words.format)
    choices: dict[str, Choose] = {**{name: through(name) for name in words.queues}, "random": at_random}
    found = {}
    for name, choose in choices.items():
        say(name)
        found[name] = annotate(bench, choose, words.steps, words.seed)
    print_json(
        {"run": str(words.run), "seed": words.seed, "pool": len(bench.pool), "test": len(bench.test),
         "labels": len(bench.truth.names), "labelled_at_the_start": int(bench.start.labelled.sum()), "results": found}
    )  # fmt: skip


if __name__ == "__main__":
    main()
