"""What a linear layer on frozen features reaches, to compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagweave.steps.collection import Images
from tagweave.steps.fitting import Fit
from tagweave.steps.job import Job

UPDATES = 2_000  # of 4,000 photographs all labelled, as good as 7,500, which took longer than all else (docs/log.md)


def linear_logits(job: Job, fit: Fit, images: Images, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return logits (n, C) of ``rows`` by a linear layer trained on the labelled images alone."""
    import torch

    from tagweave.training.linear import train_linear

    with torch.inference_mode():
        features = torch.from_numpy(images.features(np.arange(len(images.manifest))))
        x: NDArray[np.float32] = fit.network.pooled(features).numpy()  # type: ignore[operator]
    labelled = images.labels.hide(fit.task.hidden).labelled & images.is_pool
    layer = train_linear(x[labelled], images.labels.take(np.flatnonzero(labelled)), job.config.seed, UPDATES)
    with torch.inference_mode():
        logits: NDArray[np.float64] = layer(torch.from_numpy(x[rows])).numpy().astype(np.float64)
    return logits
