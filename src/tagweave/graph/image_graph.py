"""The similarity graph over a pool of images, and the settings that name its choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.errors import InputError
from tagweave.graph.blocks import Progress
from tagweave.graph.diffusion import Diffusion, build_diffusion
from tagweave.graph.memory import check_memory
from tagweave.graph.neighbours import (
    EXACT_BELOW,
    RECALL,
    Projection,
    fit_projection,
    neighbours,
    pool_mean,
    unit_features,
)
from tagweave.graph.strength import affinity_graph, link_strength, normalise
from tagweave.threads import limit_threads


@dataclass(frozen=True)
class GraphSettings:
    """Name the choices of METHOD §1; see the functions that take them.

    Attributes:
        k: K. affinity, gamma, tau: ``affinity_graph``. strength: ``link_strength``. diffusion, t, alpha:
        ``build_diffusion``. kappa: weight of the label's rate in a total. rounds, eta, tol: ``dynamic_totals``.
        teacher: blend with the closed-form teacher. folds: of the cross-fit. parts: widths of the parts of a feature
        that are normalised on their own, see ``unit_features``; none for the whole. pca, whiten: of the space that
        neighbours are sought in, see ``fit_projection``; 0 components keep the features as they are. exact_below,
        recall: from how many images on neighbours are sought approximately, and the share of them that is wanted, see
        ``neighbours``.

    Raises:
        InputError: a number out of its range; every one is named.
    """

    parts: tuple[int, ...] = ()
    pca: int = 0
    whiten: float = 0.5  # plain loses on scenes, full on photographs (docs/log.md)
    k: int = 20
    affinity: str = "cosine_power"
    gamma: float = 3.0
    tau: float = 0.25
    strength: str = "affinity"  # wcn, the paper's, over-smooths
    diffusion: str = "heat"
    t: float = 4.0
    alpha: float = 0.9
    kappa: float = 0.03
    rounds: int = 1
    eta: float = 1.0
    tol: float = 1e-3
    teacher: bool = True
    folds: int = 5
    exact_below: int = EXACT_BELOW
    recall: float = RECALL

    def __post_init__(self) -> None:
        problems = [
            f"Expected graph setting {name} to be {wanted}, but got {getattr(self, name)}."
            for wanted, (names, holds) in _RANGES.items()
            for name in names
            if not holds(getattr(self, name))  # NaN holds nowhere
        ]
        if problems:
            raise InputError(problems)


_RANGES: dict[str, tuple[tuple[str, ...], Callable[[float], bool]]] = {
    "at least 1": (("k", "rounds"), lambda value: value >= 1),
    "at least 2": (("folds",), lambda value: value >= 2),
    "above 0": (("gamma", "tau"), lambda value: value > 0),
    "at least 0": (("pca", "t", "kappa", "eta", "tol", "exact_below"), lambda value: value >= 0),
    "in [0, 1]": (("whiten",), lambda value: 0 <= value <= 1),
    "in [0, 1)": (("alpha",), lambda value: 0 <= value < 1),
    "in (0, 1]": (("recall",), lambda value: 0 < value <= 1),
}


@dataclass(frozen=True)
class ImageGraph:
    """Hold the graph over a pool of images.

    Attributes:
        unit: x (N, D), the features that the teacher reads. mean: their centre (D,).
        projection: from x to the space of the neighbours. points: the pool there, unit length.
        weights: W (N, N). normalised: Ŝ (N, N), on the same arrays of links.
        recall: measured share of the exact neighbours that the links hold, 1 after an exact search.
    """

    unit: NDArray[np.float32]
    mean: NDArray[np.float32]
    projection: Projection
    points: NDArray[np.float32]
    weights: sparse.csr_array
    normalised: sparse.csr_array
    settings: GraphSettings
    recall: float = 1.0

    @property
    def diffusion(self) -> Diffusion:
        """The diffusion that the settings name."""
        return build_diffusion(self.settings.diffusion, self.settings.t, self.settings.alpha)


def build_graph(
    features: NDArray[np.floating],
    settings: GraphSettings = GraphSettings(),
    labels: int = 0,
    progress: Progress | None = None,
) -> ImageGraph:
    """Build the similarity graph over all rows of ``features`` (N, D), which are read in blocks.

    After an approximate search links are float32: their rounding is orders below what the search leaves out, and at
    a million images it saves a gigabyte. After an exact one they are float64.

    Args:
        labels: C to be propagated over it, counted in the memory that must be there.
        progress: of the search for neighbours, called with parts done and of all.

    Raises:
        InputError: fewer than two rows, a feature that is not finite, or too little memory.
    """
    check_memory(settings, len(features), features.shape[1], labels)
    limit_threads("faiss", "numba")
    mean = pool_mean(features)
    unit = unit_features(features, mean, settings.parts)
    # Neighbours alone are sought in the whitened space: ridge loses there and reads the plain features.
    projection = fit_projection(unit, settings.pca, settings.whiten)
    points = projection.apply(unit)
    near = neighbours(points, settings.k, settings.exact_below, settings.recall, progress)
    dtype = np.float64 if len(points) < settings.exact_below else np.float32
    weights = affinity_graph(near, settings.affinity, settings.gamma, settings.tau, dtype)
    recall = near.recall
    del near
    normalised = normalise(link_strength(weights, settings.strength))
    return ImageGraph(unit, mean, projection, points, weights, normalised, settings, recall)
