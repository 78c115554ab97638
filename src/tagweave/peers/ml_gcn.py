"""ML-GCN: image features meet classifiers that a graph convolution makes of word vectors (Chen et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.errors import InputError
from tagweave.model.cooccurrence import normalised_adjacency
from tagweave.model.fusion import DotFusion, MFBFusion
from tagweave.model.inputs import HeadInputs
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.losses import LOSSES
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.pooling import max_over_space

THRESHOLD = 0.4  # smallest P(j | i) that links two labels
NEIGHBOURS = 0.25  # total weight of a label's neighbours
FINITE = 1e-6


class MLGCN(nn.Module):
    """Score y_i = <x, w_i>: x the image feature, w_i the classifier that the GCN makes of label i's word vector.

    - x (B, channels): the coarsest map, standardised per channel, its maximum over positions
    - W_lab = Â leaky_relu(Â Z W^(0), 0.2) W^(1), no bias, with Â from ``binary_adjacency``, fixed
    - loss: multi-label soft margin, which is binary cross-entropy averaged over known cells

    Simplified: where the map's channels are not as many as a classifier is wide, a linear projection without bias
    aligns x (the paper's are both 2,048), and the widths are the configuration's. The public code multiplies by Âᵀ;
    here is Â as the paper has it.

    Args:
        pooled: from the raw pooled feature to x̄.
        standardised: of the coarsest map.
        gcn: gives W_lab (C, E) when called.
        fusion: joins x with W_lab.
        prior: start of a learned offset per label (C,); None for none, as in the paper.
    """

    label_projection: Tensor | None

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, gcn: nn.Module, fusion: DotFusion | MFBFusion,
        prior: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prior = None if prior is None else nn.Parameter(prior.clone())
        self.pooled, self.standardised, self.fusion = pooled, standardised, fusion
        self.gcn: nn.Module | None = gcn
        self.register_buffer("label_projection", None)

    def fold(self) -> None:
        """Replace the label side by one constant tensor; for prediction, after training."""
        if self.gcn is not None:
            with torch.no_grad():
                self.label_projection = self.fusion.project_labels(self.gcn())
            self.gcn = None

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        x = max_over_space(self.standardised(maps[-1]))
        logits = self.fusion(x, self._project_labels())
        return HeadOutput(logits if self.prior is None else logits + self.prior, None, ())

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the soft margin loss over known cells: targets (B, C) in [0, 1], weights (B, C), 0 where unknown."""
        return LOSSES["soft_margin"](self(maps, feature).logits, targets, weights)

    def _project_labels(self) -> Tensor:
        if self.label_projection is not None:
            return self.label_projection
        assert self.gcn is not None
        return self.fusion.project_labels(self.gcn())


def binary_adjacency(conditional: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return Â (C, C) from P' (C, C), P'_ij = P(j | i), in five steps.

    A_ij = [P'_ij >= 0.4] for i ≠ j; A_ij <- 0.25 A_ij / (sum_k A_kj + 1e-6), column by column; A <- A + I;
    Â = Δ^(-1/2) A Δ^(-1/2) with Δ the row sums.
    """
    linked = (conditional >= THRESHOLD).astype(np.float64)
    np.fill_diagonal(linked, 0.0)
    weighed = NEIGHBOURS * linked / (linked.sum(axis=0, keepdims=True) + FINITE)
    return normalised_adjacency(weighed + np.eye(len(weighed)))


def word_vectors(inputs: HeadInputs) -> Tensor:
    """Return Z (C, E).

    Raises:
        InputError: there are none.
    """
    vectors = inputs.facts.vectors
    if not vectors.shape[1]:
        raise InputError(
            f"Expected a vector for each of {len(vectors)} labels, which this head turns into classifiers, but got "
            "none; give LabelFacts vectors (C, E), for instance those of tagweave.model.word_vectors.label_vectors."
        )
    return torch.from_numpy(vectors)


def start_small(weights: nn.ParameterList) -> None:
    """Draw the GCN's weights from ±1 / sqrt(width out), so that logits start near 1, not near 10."""
    for weight in weights:
        nn.init.uniform_(weight, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)


def build_ml_gcn(config: ModelConfig, inputs: HeadInputs) -> MLGCN:
    """Build ML-GCN with ``config.gcn_widths``.

    Raises:
        InputError: no word vectors.
    """
    adjacency = torch.from_numpy(binary_adjacency(inputs.facts.conditional))
    gcn = LabelGCN(adjacency, word_vectors(inputs), config.gcn_widths)
    start_small(gcn.weights)
    fusion = DotFusion(inputs.layout.maps[-1][0], config.gcn_widths[-1])
    return MLGCN(inputs.pooled(), StandardisedMap(*inputs.statistics[-1]), gcn, fusion)
