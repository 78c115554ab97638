"""A-GCN: ML-GCN over a label graph that is learned (Li et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.model.fusion import DotFusion
from tagweave.model.inputs import HeadInputs
from tagweave.model.label_gcn import convolve_labels
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.ml_gcn import FINITE, MLGCN, start_small, word_vectors

PENALTY = 0.1  # of a label's total weight on others, in the loss


class LearnedGraphGCN(nn.Module):
    """Embed labels over the graph that their word vectors Z (C, E) are learned to span.

    f = theta(Z) phi(Z)ᵀ / C, theta and phi linear from E to E/2; A = f + I; Â = Δ^(-1/2) A Δ^(-1/2);
    W_lab = Â leaky_relu(Â Z W^(0), 0.2) W^(1), no bias. Δ are row sums of |A|: f may be negative, and a negative
    degree has no root. Nothing forces A to be symmetric.

    Args:
        vectors: Z (C, E), fixed.
        widths: output width of each layer, the last being the width of a label embedding.
    """

    word_vectors: Tensor

    def __init__(self, vectors: Tensor, widths: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("word_vectors", vectors)
        ins = [vectors.shape[1], *widths[:-1]]
        half = max(1, vectors.shape[1] // 2)
        self.theta, self.phi = (nn.Linear(vectors.shape[1], half) for _ in range(2))
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(i, o)) for i, o in zip(ins, widths, strict=True))
        start_small(self.weights)

    def links(self) -> Tensor:
        """Return f = A - I (C, C)."""
        return self.theta(self.word_vectors) @ self.phi(self.word_vectors).T / len(self.word_vectors)

    def adjacency(self) -> Tensor:
        """Return Â (C, C)."""
        links = self.links()
        matrix = links + torch.eye(len(links), dtype=links.dtype, device=links.device)
        root = (matrix.abs().sum(dim=1) + FINITE).rsqrt()
        return root[:, None] * matrix * root

    def distance(self) -> Tensor:
        """Return |A - I| summed over a label's row, averaged over labels."""
        return self.links().abs().sum(dim=1).mean()

    def forward(self) -> Tensor:
        """Return W_lab (C, widths[-1])."""
        return convolve_labels(self.adjacency(), self.word_vectors, self.weights)


class AGCN(nn.Module):
    """Score as ML-GCN does, over a learned graph, with an L1 penalty that pulls the graph to I.

    loss = soft margin + 0.1 mean_i sum_j |A_ij - I_ij|. The penalty's weight is our choice: small beside a loss of
    order 0.1 to 1.

    Args:
        network: ML-GCN's head whose ``gcn`` is a ``LearnedGraphGCN``.
    """

    def __init__(self, network: MLGCN) -> None:
        super().__init__()
        self.network = network

    @property
    def pooled(self) -> nn.Module:
        """The module from raw pooled features to x̄."""
        return self.network.pooled

    def fold(self) -> None:
        """Replace the label side, graph included, by one constant tensor."""
        self.network.fold()

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        output: HeadOutput = self.network(maps, feature)
        return output

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the soft margin loss over known cells, and the penalty."""
        graph = self.network.gcn
        assert isinstance(graph, LearnedGraphGCN)
        return self.network.objective(maps, feature, targets, weights) + PENALTY * graph.distance()


def build_a_gcn(config: ModelConfig, inputs: HeadInputs) -> AGCN:
    """Build A-GCN with ``config.gcn_widths``.

    Raises:
        InputError: no word vectors.
    """
    gcn = LearnedGraphGCN(word_vectors(inputs), config.gcn_widths)
    fusion = DotFusion(inputs.layout.maps[-1][0], config.gcn_widths[-1])
    return AGCN(MLGCN(inputs.pooled(), StandardisedMap(*inputs.statistics[-1]), gcn, fusion))
