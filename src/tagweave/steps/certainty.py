"""How sure the measures are that choices are read from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.metrics import mean_average_precision_draws, percentile_interval


def intervals(scores: Mapping[str, NDArray[Any]], labels: LabelMatrix, main: str) -> dict[str, dict[str, Any]]:
    """Return for each system the 95 % bootstrap intervals of its mAP and of how far ``main`` is ahead of it.

    Both speak of other images drawn like these. All systems are scored on the same draws, so that what is hard about
    a draw is hard for all of them and leaves the difference.

    Args:
        scores: (n, C) by system. labels: Y and O (n, C).

    Returns:
        by system ``mAP_interval`` and ``main_ahead``, each (low, high), None where there is no positive.
    """
    draws = {name: mean_average_precision_draws(found, labels) for name, found in scores.items()}
    return {
        name: {"mAP_interval": _bounds(own), "main_ahead": _bounds(draws[main] - own)} for name, own in draws.items()
    }


def _bounds(values: NDArray[np.float64]) -> list[float] | None:
    low, high = percentile_interval(values)
    return None if math.isnan(low) else [low, high]
