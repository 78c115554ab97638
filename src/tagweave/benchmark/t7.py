"""Table VII: single-label error of label propagation on CIFAR-10, with 1,000 to 4,000 labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.benchmark.dataset import BenchmarkData
from tagweave.benchmark.systems import ABOUT, EXCLUSIVE, Arena, System, build_arena, run_systems
from tagweave.benchmark.table import Table, mean_and_deviation, written
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings
from tagweave.metrics import single_label_error

SIZES = (1000, 2000, 3000, 4000)
DRAWS = 5
PRINTED: dict[str, dict[int, float]] = {
    "LPA": {1000: 22.02, 2000: 15.66, 4000: 12.69},
    "improved": {1000: 18.24, 2000: 11.78, 4000: 9.40},
}
"""The papers' errors in percent; none is at hand for 3,000 labels."""
PARTS = {"test_error": "test", "pool_error": "pool, unlabelled"}


def run_t7(
    data: BenchmarkData, sizes: tuple[int, ...], draws: int, settings: Mapping[str, GraphSettings], folder: Path,
    console: Console,
) -> Table:  # fmt: skip
    """Run the cells of Table VII that ``folder`` lacks, and return the table.

    Args:
        data: with exclusive labels, one positive in every row.
        sizes: numbers of labelled images, as many of each class.
        draws: how often they are drawn.
        settings: graphs by preset.

    Raises:
        InputError: a size that the classes cannot give in equal shares.
    """
    for size in sizes:
        balanced_draw(data, size, seed=0)  # a size that cannot be had is told before the work
    arena = build_arena(data, settings)

    def work(system: System, size: float, seed: int) -> dict[str, float | None]:
        return measure_errors(arena, system, balanced_draw(data, int(size), seed), seed)

    cells = run_systems(arena, EXCLUSIVE, sizes, draws, work, folder, console)
    return tabulate(data, sizes, draws, cells)


def balanced_draw(data: BenchmarkData, size: int, seed: int) -> NDArray[np.int64]:
    """Return rows of ``size`` pool images, as many of each class, by ``numpy.random.default_rng(seed)``.

    Raises:
        InputError: the classes do not divide ``size``, or one has too few images.
    """
    classes, pool = _classes(data.labels), np.flatnonzero(~data.test)
    count = len(data.labels.names)
    each, rest = divmod(size, count)
    fewest = int(np.bincount(classes[pool], minlength=count).min())
    if rest or not 1 <= each <= fewest:
        raise InputError(
            f"Expected a number of labels that is a multiple of {count} and at most {count * fewest} "
            f"({fewest} images of the rarest class), but got {size}."
        )
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(pool[classes[pool] == number])[:each] for number in range(count)]
    return np.sort(np.concatenate(drawn))


def measure_errors(arena: Arena, system: System, kept: NDArray[np.int64], seed: int) -> dict[str, float | None]:
    """Return the error on the test images and on the pool's other images, from the labels of rows ``kept``.

    Where no other image is left in the pool, its error is None.
    """
    others = np.setdiff1d(np.flatnonzero(~arena.data.test), kept)
    scores = system.score(arena.pose(system, kept, seed, inside=others))
    hidden = _classes(arena.data.labels.take(others))
    return {
        "test_error": single_label_error(scores[len(others) :], _classes(arena.truth)),
        "pool_error": single_label_error(scores[: len(others)], hidden) if len(others) else None,
    }


def _classes(labels: LabelMatrix) -> NDArray[np.int64]:
    return labels.values.argmax(axis=1)


def tabulate(data: BenchmarkData, sizes: tuple[int, ...], draws: int, cells: list[dict[str, Any]]) -> Table:
    """Return the table: a row per system and part, the error in percent for each number of labels."""
    records = [record for name in EXCLUSIVE for record in _records(name, sizes, cells)]
    rows = tuple((r["system"], r["images"], *(written(r[str(size)], digits=2) for size in sizes)) for r in records)
    title = f"Table VII: {data.name}, error in percent by number of labels"
    columns = ("system", "images", *(f"{size:,}" for size in sizes))
    return Table(title, columns, rows, _notes(data, draws), tuple(records))


def _records(name: str, sizes: tuple[int, ...], cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a system's rows: measured in each part, then as printed where that is at hand."""
    own = {size: [cell for cell in cells if (cell["method"], cell["budget"]) == (name, size)] for size in sizes}
    records: list[dict[str, Any]] = [
        {"system": name, "images": title}
        | {str(size): mean_and_deviation([cell[part] for cell in own[size]]) for size in sizes}
        for part, title in PARTS.items()
    ]
    if name in PRINTED:
        printed = {str(size): {"mean": _printed(name, size), "deviation": None} for size in sizes}
        records.append({"system": name, "images": "test, as printed", **printed})
    return records


def _printed(name: str, size: int) -> float | None:
    percent = PRINTED[name].get(size)
    return None if percent is None else percent / 100


def _notes(data: BenchmarkData, draws: int) -> tuple[str, ...]:
    test = int(data.test.sum())
    return (
        ABOUT,
        f"features: frozen {data.encoder}, the 32 px images enlarged; the papers train a network of their own on "
        "CIFAR-10, so the printed numbers stand beside, not against",
        f"pool of {len(data.labels) - test:,} images, {test:,} test images outside the graph, reached by the "
        f"inductive rule; {draws} draws, as many labels of each class; mean ± sample deviation",
    )
