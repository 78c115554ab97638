"""Labels spread once more, over what a trained network sees (METHOD §6, after Iscen et al. 2019)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.metrics import average_precisions
from tagweave.steps.collection import Images
from tagweave.steps.job import Job
from tagweave.steps.outcome import graph_settings, spread_and_decide
from tagweave.steps.propagate import save_targets

if TYPE_CHECKING:
    from torch import nn

    from tagweave.steps.fitting import Fit
    from tagweave.training.batches import MapSource


def respread(job: Job, fit: Fit, images: Images, path: Path) -> dict[str, Any]:
    """Propagate the labels that ``fit`` saw over a graph of its features, and write the next training's targets.

    The features are x̄ of a backbone that was trained, else F, the attended concatenation. They have seen the labels:
    what calibration on hidden labels promises here is too good, so that these targets serve the next training alone.

    Returns:
        counts of accepted cells, the graph's share, and its validation mAP, None without validation positives.
    """
    from tagweave.graph.image_graph import build_graph

    pool = np.flatnonzero(images.is_pool)
    source = fit.records(job, images, pool)
    if fit.encoder is not None:
        features, parts = source.cache.features(source.positions), source.cache.layout.parts
    else:
        features = image_features(fit.network, source)
        parts = (features.shape[1],)
    settings = graph_settings(job.config.graph, parts)
    graph = build_graph(features[:, : sum(settings.parts)], settings, len(images.labels.names))
    outcome = spread_and_decide(graph, images.labels.hide(fit.task.hidden).take(pool), job)
    save_targets(path, outcome, pool)
    seen = images.labels.take(fit.task.hidden)
    scores = outcome.probabilities[np.searchsorted(pool, fit.task.hidden)]
    return {
        "share": outcome.spread.share, "pseudo_positive": int(outcome.decisions.positive.sum()),
        "pseudo_negative": int(outcome.decisions.negative.sum()),
        "propagation_val_mAP": float(np.nanmean(average_precisions(scores, seen))) if seen.positives.any() else None,
    }  # fmt: skip


def image_features(head: nn.Module, source: MapSource) -> NDArray[np.float32]:
    """Return F (n, width) of the images of ``source``.

    Raises:
        InputError: the head has no such feature.
    """
    import torch

    from tagweave.training.batches import batches
    from tagweave.training.loop import SCORING_BATCH

    if not hasattr(head, "image_feature"):
        raise InputError(
            "Expected a head that gives an image's feature for train.rounds above 1 in the frozen regime, but "
            f"{type(head).__name__} gives none; use model.head=mscnn_lce, train.regime=finetune or train.rounds=1."
        )
    with torch.inference_mode():
        found = (head.image_feature(*inputs) for _, inputs in batches(source, np.arange(len(source)), SCORING_BATCH))  # type: ignore[operator]
        return np.concatenate([feature.numpy() for feature in found])
