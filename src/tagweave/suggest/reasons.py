"""Why an image is suggested, in one line."""

from __future__ import annotations

import numpy as np

from tagweave.suggest.pool import Pool
from tagweave.suggest.worth import apart, doubts

NAMED = 3  # labels in a reason
DOUBTFUL = 0.05  # least p (1 - p) of a label that is named
FAR = 0.3  # least distance of two opinions that is named


def reason(pool: Pool, row: int) -> str:
    """Say what is unsure of an image, where graph and model part, and for how many images it stands."""
    parts = (_unsure(pool, row), _parted(pool, row), _stands_for(pool, row))
    return "; ".join(part for part in parts if part)


def _unsure(pool: Pool, row: int) -> str:
    own = doubts(pool, np.array([row]))[0]
    labels = [c for c in np.argsort(-own, kind="stable")[:NAMED] if own[c] >= DOUBTFUL]
    named = ", ".join(f"{pool.labels.names[c]} {pool.graph[row, c]:.0%}" for c in labels)
    return f"unsure of {named}" if named else ""


def _parted(pool: Pool, row: int) -> str:
    distance = apart(pool, np.array([row]))[0]
    c = int(distance.argmax())
    if pool.model is None or distance[c] < FAR:
        return ""
    return f"{pool.labels.names[c]}: graph {pool.graph[row, c]:.0%}, model {pool.model[row, c]:.0%}"


def _stands_for(pool: Pool, row: int) -> str:
    linked = pool.links[[row]].indices
    waiting = int(pool.open[linked].sum())
    if not len(linked):
        return "like no other image"
    return f"{waiting} of {len(linked)} similar images are not labelled"
