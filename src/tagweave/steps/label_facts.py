"""What the training labels say about labels: the label side of the network starts from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tagweave.config import ModelConfig
from tagweave.data.labels import LabelMatrix
from tagweave.model.cooccurrence import conditional_probability, expected_conditional
from tagweave.model.inputs import LabelFacts
from tagweave.model.word_vectors import label_vectors
from tagweave.peers.registry import needs_vectors


def label_facts(config: ModelConfig, given: LabelMatrix, propagated: Path, seed: int) -> LabelFacts:
    """Gather co-occurrence, rates and word vectors.

    Args:
        config: which counts and which vectors.
        given: labels of the pool, (N, C), without those that must stay unseen.
        propagated: what ``propagate`` left of the same pool with the same labels unseen.
        seed: of random word vectors.

    Raises:
        InputError: names without word vectors.
    """
    vectors = (
        label_vectors(given.names, config.word_vectors, config.label_words, seed)
        if needs_vectors(config)
        else np.zeros((len(given.names), 0), dtype=np.float32)
    )
    if config.counts == "given":
        return LabelFacts(conditional_probability(given), given.rates(), vectors)
    with np.load(propagated, allow_pickle=False) as stored:
        probabilities, reached = stored["probabilities"], stored["reached"]
    # A label without a known positive gets no propagated ones.
    counted = given.known | (reached[:, None] & (given.positives > 0))
    mixed = np.where(given.known, given.values, probabilities)
    return LabelFacts(expected_conditional(mixed, counted), given.rates(), vectors)
