"""FixMatch: what a network is sure of on a mildly changed image teaches it about the strongly changed one.

Source: Sohn et al. 2020, "FixMatch: simplifying semi-supervised learning with consistency and confidence", NeurIPS; for
several labels one threshold above and one below, as the multi-label baselines of CAP have it. The loss over both views
is ``training.consistency``, the strong view's changes are ``training.distortion``.
"""

from __future__ import annotations

from torch import Tensor

SURE = 0.95  # of a probability, or of one minus it: the paper's threshold


def sure_cells(logits: Tensor, unknown: Tensor, sure: float = SURE) -> tuple[Tensor, Tensor]:
    """Return targets t (B, C) and which cells (B, C) have one: t = [p >= sure] where p >= sure or p <= 1 - sure.

    p = sigmoid(logits), held fixed.

    Args:
        logits: (B, C) of the weak views.
        unknown: (B, C) bool; no other cell gets a target.
        sure: in (0.5, 1].
    """
    probability = logits.detach().float().sigmoid()
    present, absent = probability >= sure, probability <= 1 - sure
    return present.float(), (present | absent) & unknown
