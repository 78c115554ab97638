"""What propagation says of an image outside its graph, as one module: for the exported classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tagweave.model.name_score import NameScore

NAMES = "names."  # begins the tensors of what is known by name


class PropagatedScore(nn.Module):
    """Score images by the inductive rule and the teacher, blended and calibrated as propagation chose.

    u = x̄ · scale, of the parts that the graph reads; f_c = sum_j w_j f_jc / sum_j w_j over the K nearest images j of
    the pool, w the affinity of cosines (METHOD §1.7), the labels' rates where no affinity is positive;
    r = V u + v + lift s the closed-form teacher, s what the labels' names say (``NameScore``), if they say something;
    p = sigmoid(slope_c (share f_c + (1 - share) r_c) + offset_c).

    Args:
        tensors: ``scale`` (D,), ``centre`` (D,), ``matrix`` (D, d), ``points`` (N, d), ``scores`` (N, C), ``rates``,
            ``slope``, ``offset``, ``bias`` (C,), ``weight`` (D, C), and the numbers ``share``, ``k``, ``gamma``,
            ``tau`` (0 for ``cosine_power``, else ``heat``'s); and, where names are read, ``lift`` (C,) and those of
            ``NameScore`` after ``names.``.
    """

    scale: Tensor
    centre: Tensor
    matrix: Tensor
    points: Tensor
    scores: Tensor
    rates: Tensor
    weight: Tensor
    bias: Tensor
    slope: Tensor
    offset: Tensor
    share: Tensor
    gamma: Tensor
    tau: Tensor
    k: Tensor
    lift: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        named = {name.removeprefix(NAMES): own for name, own in tensors.items() if name.startswith(NAMES)}
        for name, tensor in tensors.items():
            if not name.startswith(NAMES):
                self.register_buffer(name, tensor)
        self.names = NameScore(named) if named else None
        self.nearest, self.heat = int(self.k), float(self.tau)

    def forward(self, pooled: Tensor, feature: Tensor) -> Tensor:
        """Return probabilities (B, C) of pooled features, x̄ (B, D) and raw (B, D)."""
        unit = pooled[:, : len(self.scale)] * self.scale  # the graph may read the first parts of x̄ only
        query = nn.functional.normalize((unit - self.centre) @ self.matrix, eps=1e-9)
        cosine, index = (query @ self.points.float().T).topk(self.nearest, dim=1)
        affinity = self._heat(query, cosine, index) if self.heat else cosine.clamp(min=0.0) ** self.gamma
        mass = affinity.sum(dim=1, keepdim=True)
        found = (affinity.unsqueeze(1) @ self.scores[index].float()).squeeze(1)
        by_graph = torch.where(mass > 0, found / mass.clamp(min=1e-12), self.rates)
        taught = unit @ self.weight + self.bias
        if self.names is not None:
            taught = taught + self.lift * self.names(feature)
        blend = self.share * by_graph + (1.0 - self.share) * taught
        return torch.sigmoid(blend * self.slope + self.offset)

    def _heat(self, query: Tensor, cosine: Tensor, index: Tensor) -> Tensor:
        """Return exp(-|q - x|^2 / (4 tau)); rows of zeros lie at distance 1 from the others."""
        own, others = ((rows != 0).any(dim=1).float() for rows in (query, self.points))
        return torch.exp((2.0 * cosine - own.unsqueeze(1) - others[index]) / (4.0 * self.heat))
