"""Labels spread once more, over what a trained network sees (METHOD §6, after Iscen et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.metrics import average_precisions
from tagweave.steps.collection import Images
from tagweave.steps.finetuned import encoded
from tagweave.steps.job import Job
from tagweave.steps.named import prior_of, read_names
from tagweave.steps.outcome import graph_settings, spread_and_decide
from tagweave.steps.propagate import save_targets

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tagweave.steps.fitting import Fit
    from tagweave.training.batches import Source


def respread(job: Job, fit: Fit, images: Images, path: Path) -> dict[str, Any]:
    """Propagate the labels that ``fit`` saw over a graph of its features, and write the next training's targets.

    The features are x̄ of a backbone that was trained, else F, the attended concatenation. They have seen the labels:
    what calibration on hidden labels promises here is too good, so that these targets serve the next training alone.

    Returns:
        counts of accepted cells, the graph's share, and its validation mAP, None without validation positives.
    """
    from tagweave.encoders.pooled_features import features_only
    from tagweave.graph.image_graph import build_graph

    pool = np.flatnonzero(images.is_pool)
    if fit.encoder is not None:
        trained = features_only(fit.encoder)
        with job.console.progress("embed anew", "images") as progress:
            source = encoded(images.manifest.take(pool), trained, keep=False)
            features, parts = read_features(source, lambda maps, pooled: pooled, progress), trained.layout.parts
    else:
        features = image_features(fit.network, images.maps(pool))
        parts = (features.shape[1],)
    settings = graph_settings(job.config.graph, parts)
    graph = build_graph(features[:, : sum(settings.parts)], settings, len(images.labels.names))
    # A trained backbone's classes read another feature now.
    named = read_names(job, images.labels.names, images.features(pool)) if fit.encoder is None else None
    prior = prior_of(named[0], images.features(pool)) if named else None
    outcome = spread_and_decide(graph, images.labels.hide(fit.task.hidden).take(pool), job, prior)
    save_targets(path, outcome, pool)
    seen = images.labels.take(fit.task.hidden)
    scores = outcome.probabilities[np.searchsorted(pool, fit.task.hidden)]
    return {
        "share": outcome.spread.share, "pseudo_positive": int(outcome.decisions.positive.sum()),
        "pseudo_negative": int(outcome.decisions.negative.sum()),
        "propagation_val_mAP": float(np.nanmean(average_precisions(scores, seen))) if seen.positives.any() else None,
    }  # fmt: skip


def image_features(head: nn.Module, source: Source) -> NDArray[np.float32]:
    """Return F (n, width) of the images of ``source``.

    Raises:
        InputError: the head has no such feature.
    """
    if not hasattr(head, "image_feature"):
        raise InputError(
            "Expected a head that gives an image's feature for train.rounds above 1 in the frozen regime, but "
            f"{type(head).__name__} gives none; use model.head=mscnn_lce, train.regime=finetune or train.rounds=1."
        )
    return read_features(source, head.image_feature)  # type: ignore[arg-type]


def read_features(
    source: Source, feature: Callable[..., Tensor], progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:  # fmt: skip
    """Return what ``feature`` makes of the inputs of every image of ``source`` (n, width)."""
    import torch

    from tagweave.training.batches import batches

    found = []
    with torch.inference_mode():
        for rows, inputs in batches(source, np.arange(len(source)), source.batch):
            found.append(feature(*inputs).numpy())
            if progress:
                progress(int(rows[-1]) + 1, len(source))
    return np.concatenate(found)
