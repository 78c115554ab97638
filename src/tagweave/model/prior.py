"""Where a label's logit starts: at its known rate."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RAREST = 1e-3  # rates are kept this far from 0 and 1, so that a logit can start from them


def prior_logits(rates: NDArray[np.float64]) -> Tensor:
    """Return log(pi / (1 - pi)) (C,) float32 of rates pi (C,) in [0, 1]."""
    kept = np.clip(rates, RAREST, 1 - RAREST)
    return torch.from_numpy(np.log(kept / (1 - kept)).astype(np.float32))
