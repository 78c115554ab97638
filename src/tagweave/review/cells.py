"""What run and review together say of a label's cells, labels that were merged into it included."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.review.ledger import Column, Given, Ledger
from tagweave.review.queues import Evidence
from tagweave.review.scores import GIVEN_NO, GIVEN_YES, SOURCES, SPREAD_YES, Scores


def given_by(scores: Scores) -> Given:
    """Return what the run was given, as the ledger reads it; nothing was given of a label that the run has not."""
    place = {name: c for c, name in enumerate(scores.names)}

    def given(key: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if key not in place:
            return np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        states = scores.states[place[key]][rows]
        return states == GIVEN_YES, (states == GIVEN_YES) | (states == GIVEN_NO)

    return given


@dataclass(frozen=True)
class Cells:
    """Read labels by key from a run's scores and a review's ledger.

    A label made of several has in each image the highest probability of its parts.
    """

    scores: Scores
    ledger: Ledger
    points: NDArray[np.floating] | None

    def evidence(self, key: str) -> Evidence:
        """Return what the queues of a label read."""
        parts, images = self._parts(key), self.scores.states.shape[1]
        claimed, given = (np.zeros(images, dtype=bool) for _ in range(2))
        for c in parts:
            claimed |= self._claims(c)
            given |= (self.scores.states[c] == GIVEN_YES) | (self.scores.states[c] == GIVEN_NO)
        return Evidence(
            graph=_highest(self.scores.graph, parts), network=_highest(self.scores.network, parts),
            judge=_highest(self.scores.judge, parts),
            claimed=claimed & ~given, column=self.ledger.column(key, np.arange(images)), points=self.points,
            seed=zlib.crc32(key.encode()),
        )  # fmt: skip

    def describe(self, key: str, rows: NDArray[np.int64], column: Column) -> list[dict[str, Any]]:
        """Return for each of ``rows`` (n,) its probabilities, its source, what is proposed and what was decided.

        The proposal is what is known, else what is likelier: of calibrated probabilities that takes the fewest
        corrections. Of given cells the graph says nothing.

        Args:
            column: of ``rows``, or of more that follow them.
        """
        parts = self._parts(key)
        graph, network, judge = (
            _highest(array, parts, rows) for array in (self.scores.graph, self.scores.network, self.scores.judge)
        )
        best = graph if network is None else network
        sources = [SOURCES[max((int(self.scores.states[c, row]) for c in parts), default=0)] for row in rows]
        return [
            {
                "graph": None if graph is None or source == "given" else round(float(graph[n]), 4),
                "network": None if network is None else round(float(network[n]), 4),
                "judge": _share(judge, n) if source == "given" else None,
                "source": source,
                "proposed": _word(column.values[n] if column.known[n] else best is not None and best[n] >= 0.5),
                "decided": _decision(column, n),
            }
            for n, source in enumerate(sources)
        ]

    def _parts(self, key: str) -> list[int]:
        """Return the run's columns that make up a label."""
        merged = [c for _, part in self.ledger.vocabulary.merged.get(key, ()) for c in self._parts(part)]
        own = self.ledger.place.get(key)
        return merged if own is None else [own, *merged]

    def _claims(self, c: int) -> NDArray[np.bool_]:
        """Return where the tool says yes: the model from its threshold up, propagation where there is no model."""
        if self.scores.network is None:
            return self.scores.states[c] == SPREAD_YES
        return np.asarray(self.scores.network[c] >= self.scores.thresholds[c])


def _highest(
    array: NDArray[np.float16] | None, parts: Sequence[int], rows: Any = slice(None)
) -> NDArray[np.float32] | None:
    if array is None or not parts:
        return None
    return np.max([array[part][rows] for part in parts], axis=0).astype(np.float32)


def _share(judge: NDArray[np.float32] | None, place: int) -> float | None:
    return None if judge is None or np.isnan(judge[place]) else round(float(judge[place]), 4)


def _word(yes: Any) -> str:
    return "yes" if yes else "no"


def _decision(column: Column, place: int) -> str | None:
    if not column.decided[place]:
        return None
    return _word(column.values[place]) if column.known[place] else "unsure"
