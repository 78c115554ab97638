"""The untrained head of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.steps.collection import Images
from tagweave.steps.job import Job

if TYPE_CHECKING:
    from torch import nn

STATISTICS_SAMPLE = 512  # images whose maps standardise the channels


def build_untrained_head(job: Job, images: Images, hidden: NDArray[np.int64]) -> nn.Module:
    """Build the head from the pool's statistics and the labels that are not ``hidden``; the seed draws its weights."""
    import torch

    from tagweave.graph.neighbours import pool_mean
    from tagweave.model.cooccurrence import conditional_probability
    from tagweave.model.inputs import HeadInputs, LabelFacts
    from tagweave.model.word_vectors import label_vectors
    from tagweave.peers.registry import build_head, needs_vectors

    config, names = job.config.model, images.labels.names
    pool, source = np.flatnonzero(images.is_pool), images.source
    seen = images.labels.hide(hidden).take(pool)
    vectors = (
        label_vectors(names, config.word_vectors, config.label_words, job.config.seed)
        if needs_vectors(config)
        else np.zeros((len(names), 0), dtype=np.float32)
    )
    facts = LabelFacts(conditional_probability(seen), seen.rates(), vectors)
    sample = np.sort(np.random.default_rng(job.config.seed).permutation(pool)[:STATISTICS_SAMPLE])
    mean = pool_mean(source.cache.features(source.positions[pool]))  # the very one that the graph centres on
    torch.manual_seed(job.config.seed)
    inputs = HeadInputs.measure(source.cache.layout, facts, source.read(sample)[0], torch.from_numpy(mean))
    return build_head(config, inputs)
