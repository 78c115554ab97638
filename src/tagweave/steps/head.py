"""The untrained head of a job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.steps.collection import Images
from tagweave.steps.job import Job

if TYPE_CHECKING:
    from torch import nn

STATISTICS_SAMPLE = 512  # images whose maps standardise the channels


def build_untrained_head(job: Job, images: Images, hidden: NDArray[np.int64], propagated: Path) -> nn.Module:
    """Build the head from the pool's statistics and the labels that are not ``hidden``; the seed draws its weights.

    ``propagated``: what propagation left of the pool with the same labels hidden.
    """
    import torch

    from tagweave.graph.neighbours import pool_mean
    from tagweave.model.inputs import HeadInputs
    from tagweave.peers.registry import build_head
    from tagweave.steps.label_facts import label_facts
    from tagweave.training.batches import batches

    config, pool = job.config.model, np.flatnonzero(images.is_pool)
    facts = label_facts(config, images.labels.hide(hidden).take(pool), propagated, job.config.seed)
    sample = np.sort(np.random.default_rng(job.config.seed).permutation(pool)[:STATISTICS_SAMPLE])
    source = images.maps(sample)
    at_once = len(sample) if images.encoder is None else source.batch
    maps = (read[0] for _, read in batches(source, np.arange(len(sample)), at_once))
    mean = pool_mean(images.features(pool))  # the very one that the graph centres on
    torch.manual_seed(job.config.seed)
    inputs = HeadInputs.measure(images.layout, facts, maps, torch.from_numpy(mean))
    return build_head(config, inputs)
