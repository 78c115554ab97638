"""What scores images outside the graph, kept for the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagweave.runs import atomic

if TYPE_CHECKING:
    from tagweave.graph.propagation import Propagation
    from tagweave.model.name_score import NameScore
    from tagweave.model.propagated import PropagatedScore

MOST_IMAGES = 20_000  # of the pool are kept, labelled ones first: neighbours enough, and the model stays small


def save_inductive(path: Path, found: Propagation, seed: int, names: NameScore | None = None) -> None:
    """Write the arrays of ``PropagatedScore``; ``names``: what the teacher started from, where it did."""
    from tagweave.model.propagated import NAMES

    graph, labels = found.graph, found.labels
    settings, width, count = graph.settings, graph.unit.shape[1], len(labels.names)
    parts = settings.parts or (width,)
    order = np.random.default_rng(seed).permutation(len(labels))
    rows = np.sort(order[np.argsort(~labels.labelled[order], kind="stable")][:MOST_IMAGES])
    matrix = graph.projection.matrix
    teacher = found.teacher
    arrays = {
        "scale": np.concatenate([np.full(part, (part * len(parts)) ** -0.5) for part in parts]),
        "centre": np.zeros(width) if matrix is None else graph.projection.mean,
        "matrix": np.eye(width) if matrix is None else matrix,
        "rates": labels.rates(),
        "weight": np.zeros((width, count)) if teacher is None else teacher.weight,
        "bias": np.zeros(count) if teacher is None else teacher.bias,
        "slope": found.calibration.slope, "offset": found.calibration.offset,
        "share": np.array(found.share), "gamma": np.array(settings.gamma),
        "tau": np.array(settings.tau if settings.affinity == "heat" else 0.0),
    }  # fmt: skip
    exact = {}
    if names is not None and teacher is not None and found.name_strength > 0:
        arrays["lift"] = teacher.lift
        exact = {NAMES + name: tensor.numpy() for name, tensor in names.state_dict().items()}
    with atomic(path) as partial:
        np.savez(
            partial, **exact, k=np.array(min(settings.k, len(rows))), points=graph.points[rows].astype(np.float16),
            scores=found.graph_scores[rows].astype(np.float16),
            **{name: array.astype(np.float32) for name, array in arrays.items()},  # type: ignore[arg-type]
        )  # fmt: skip


def load_inductive(path: Path) -> PropagatedScore:
    """Read what ``save_inductive`` wrote."""
    import torch

    from tagweave.model.propagated import PropagatedScore

    with np.load(path, allow_pickle=False) as stored:
        return PropagatedScore({name: torch.from_numpy(stored[name]) for name in stored.files})
