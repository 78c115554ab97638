"""The systems of the paper's semi-supervised tables, each on the graph it is meant for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.benchmark.cells import finished
from tagweave.benchmark.dataset import BenchmarkData
from tagweave.benchmark.problem import Floats, Pool, Problem, build_pool
from tagweave.benchmark.rivals.iscen import iscen
from tagweave.benchmark.rivals.ours import default, exclusive_totals
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.graph.image_graph import GraphSettings


@dataclass(frozen=True)
class System:
    """Name one system: how it scores, and the preset whose graph it stands on."""

    score: Callable[[Problem], Floats]
    preset: str


EXCLUSIVE: dict[str, System] = {
    "LPA": System(iscen, "paper"),
    "improved": System(exclusive_totals, "paper"),
    "default": System(default, "fast"),
}
"""For labels that exclude each other (Table VII)."""

SEVERAL: dict[str, System] = {**EXCLUSIVE, "improved": System(default, "paper")}
"""For several labels an image (Table VIII): improved totals each label against the rest."""

ABOUT = (
    "LPA: Iscen et al. 2019, k 50, gamma 3, alpha 0.99; improved: METHOD §1 as the paper has it (preset paper, no "
    "teacher); default: as the package ships; nothing is searched"
)


@dataclass(frozen=True)
class Arena:
    """Give every system the same data: graphs by preset, built when the first system asks for one."""

    data: BenchmarkData
    settings: Mapping[str, GraphSettings]
    pools: Callable[[str], Pool]

    def pose(
        self, system: System, kept: NDArray[np.int64], seed: int, inside: NDArray[np.int64] | None = None
    ) -> Problem:
        """Return the problem of scoring the test images, and pool images ``inside``, from the labels of rows ``kept``.

        Rows ``kept`` and ``inside`` are the data's.
        """
        rows, test = np.flatnonzero(~self.data.test), self.scored
        labels = self.data.labels.hide(np.setdiff1d(np.arange(len(self.data.labels)), kept)).take(rows)
        places = np.zeros(0, dtype=np.int64) if inside is None else np.searchsorted(rows, inside)
        features = self.data.pooled(self.settings[system.preset].parts).features[test]
        return Problem(self.pools(system.preset), labels, places, features, seed)

    @property
    def scored(self) -> NDArray[np.int64]:
        """The labelled test images (Q,)."""
        return np.flatnonzero(self.data.test & self.data.labels.labelled)

    @property
    def truth(self) -> LabelMatrix:
        """Their labels (Q, C)."""
        return self.data.labels.take(self.scored)


def build_arena(data: BenchmarkData, settings: Mapping[str, GraphSettings]) -> Arena:
    """Return an arena whose graphs are built once each."""

    @cache
    def pools(preset: str) -> Pool:
        chosen = settings[preset]
        return build_pool(data.pooled(chosen.parts).features[~data.test], chosen)

    return Arena(data, settings, pools)


def run_systems(
    arena: Arena, systems: Mapping[str, System], budgets: Sequence[float], draws: int,
    work: Callable[[System, float, int], Mapping[str, Any]], folder: Path, console: Console,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the cells of every system at every budget and draw; those in ``folder`` are not computed again."""
    tasks, digest, cells = list(product(budgets, range(draws), systems)), arena.data.digest, []
    with console.progress("benchmark", "cells") as progress:
        for budget, seed, name in tasks:
            system = systems[name]
            graph = asdict(arena.settings[system.preset])
            about = {"method": name, "budget": budget, "seed": seed, "data": digest, "graph": graph}
            cells.append(finished(folder / "cells", about, partial(work, system, budget, seed)))
            progress(len(cells), len(tasks))
    return cells
