"""Visual attention over one stage map (METHOD §2; paper eq. 3-5, after Jetley et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tagweave.errors import InputError

COMPATIBILITIES = ("additive", "dot")
NORMALISATIONS = ("softmax", "sigmoid")


class StageAttention(nn.Module):
    """Weigh the positions of a stage map by their compatibility with the global vector g and sum them.

    With local vectors l_i = P x_i + b (a 1x1 projection to the width E of g):

    - compatibility: additive c_i = <u, l_i + g>, or dot c_i = <l_i, g> (eq. 3)
    - weights: a = softmax(c) over positions (eq. 4), or sigmoid(c)
    - output: g_a = sum_i a_i l_i (eq. 5)

    The projection is linear, so it leaves the sums: <q, P x_i> = <P'q, x_i> and sum_i a_i P x_i = P sum_i a_i x_i.
    The projected map is never formed; cost and memory are those of reading the map twice. Under softmax the additive
    g shifts every c_i alike and cancels; it matters with sigmoid.

    Args:
        channels: channels of the map.
        width: E.
        compatibility: ``additive`` or ``dot``.
        normalisation: ``softmax`` or ``sigmoid``.

    Raises:
        InputError: unknown compatibility or normalisation.
    """

    channel_mean: Tensor
    channel_std: Tensor

    def __init__(
        self, channels: int, width: int, compatibility: str = "additive", normalisation: str = "softmax"
    ) -> None:
        super().__init__()
        for name, value, choices in (
            ("compatibility", compatibility, COMPATIBILITIES),
            ("normalisation", normalisation, NORMALISATIONS),
        ):
            if value not in choices:
                raise InputError(f"Expected attention {name} to be one of {', '.join(choices)}, but got '{value}'.")
        self.compatibility, self.normalisation = compatibility, normalisation
        self.projection = nn.Linear(channels, width)
        self.u = nn.Parameter(torch.zeros(width)) if compatibility == "additive" else None
        self.register_buffer("channel_mean", torch.zeros(channels))
        self.register_buffer("channel_std", torch.ones(channels))

    def forward(self, stage: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            stage: map (B, channels, H, W).
            g: global vector (B, E).

        Returns:
            weights a (B, H, W), non-negative, summing to 1 under softmax; and g_a (B, E).
        """
        x = stage.flatten(2)  # (B, channels, H W)
        # The map is standardised per channel by the training pool's statistics, folded into P and b.
        matrix = self.projection.weight / self.channel_std  # (E, channels)
        bias = self.projection.bias - matrix @ self.channel_mean
        query = self.u.expand_as(g) if self.u is not None else g  # (B, E)
        offset = (query * (bias + g if self.u is not None else bias)).sum(dim=1, keepdim=True)  # (B, 1)
        compatibility = torch.bmm((query @ matrix).unsqueeze(1), x).squeeze(1) + offset  # (B, H W)
        if self.normalisation == "softmax":
            weights = compatibility.softmax(dim=1)
        else:
            weights = compatibility.sigmoid()
        summed = torch.bmm(x, weights.unsqueeze(2)).squeeze(2)  # (B, channels)
        attended = summed @ matrix.T + weights.sum(dim=1, keepdim=True) * bias
        return weights.view(-1, *stage.shape[2:]), attended


class StageAverage(nn.Module):
    """Attention switched off: all positions of a stage map count alike, g_a = P mean_i x_i + b.

    Args:
        channels: channels of the map.
        width: E.
    """

    channel_mean: Tensor
    channel_std: Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, width)
        self.register_buffer("channel_mean", torch.zeros(channels))
        self.register_buffer("channel_std", torch.ones(channels))

    def forward(self, stage: Tensor, g: Tensor) -> tuple[None, Tensor]:
        """Return no weights, and g_a (B, E) of a map (B, channels, H, W)."""
        return None, self.projection((stage.mean(dim=(2, 3)) - self.channel_mean) / self.channel_std)
