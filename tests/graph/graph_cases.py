"""Small graphs and label matrices that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.threads import limit_threads

Array = NDArray[np.float64]


def labels_of(values: Any, known: Any = None) -> LabelMatrix:
    values = np.asarray(values, dtype=bool)
    known = np.ones_like(values) if known is None else np.asarray(known, dtype=bool)
    return LabelMatrix(values, known, tuple(f"label{column}" for column in range(values.shape[1])))


def random_labels(seed: int, images: int = 30, labels: int = 4, known: float = 0.4, rate: float = 0.4) -> LabelMatrix:
    """Draw cells that are known one by one, so that labels differ in which images they are known of."""
    generator = np.random.default_rng(seed)
    shape = (images, labels)
    return labels_of(generator.random(shape) < rate, generator.random(shape) < known)


def random_links(seed: int, nodes: int = 30, density: float = 0.2) -> sparse.csr_array:
    """Draw a symmetric W with weights in 0.1..1; some nodes may be isolated."""
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.uniform(0.1, 1.0, (nodes, nodes)) * (generator.random((nodes, nodes)) < density), 1)
    return sparse.csr_array(upper + upper.T)


def clustered_features(seed: int, clusters: int, each: int, width: int, noise: float = 0.2) -> tuple[Array, Any]:
    """Draw tight clusters around random centres; return features (N, width) and the cluster of each row (N,)."""
    generator = np.random.default_rng(seed)
    cluster = generator.permutation(np.repeat(np.arange(clusters), each))
    return generator.normal(size=(clusters, width))[cluster] + noise * generator.normal(
        size=(len(cluster), width)
    ), cluster


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with ``count`` threads, as a user would ask for them, and give back what was there."""
    before = numba.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWEAVE_THREADS", str(count))
        limit_threads()
        yield
    limit_threads()
    numba.set_num_threads(before)
