"""The graph convolution over labels that turns word vectors into label embeddings (METHOD §3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

LEAK = 0.2


def convolve_labels(adjacency: Tensor, vectors: Tensor, weights: Iterable[Tensor]) -> Tensor:
    """Return Â leaky_relu(... leaky_relu(Â Z W^(0), 0.2) ..., 0.2) W^(L-1) (C, width of the last) of Z (C, width)."""
    hidden = vectors
    for number, weight in enumerate(weights):
        if number:
            hidden = nn.functional.leaky_relu(hidden, LEAK)
        narrows = weight.shape[0] > weight.shape[1]  # Â goes over the narrower of the two, which costs less
        hidden = adjacency @ (hidden @ weight) if narrows else (adjacency @ hidden) @ weight
    return hidden


class LabelGCN(nn.Module):
    """Embed labels: H^(1) = leaky_relu(Â Z W^(0), 0.2), ..., W_lab = Â H^(L-1) W^(L-1); no bias.

    Args:
        adjacency: Â (C, C), fixed.
        word_vectors: Z (C, width of a word vector), fixed.
        widths: output width of each layer, the last being the width of a label embedding.
    """

    adjacency: Tensor
    word_vectors: Tensor

    def __init__(self, adjacency: Tensor, word_vectors: Tensor, widths: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency)
        self.register_buffer("word_vectors", word_vectors)
        ins = [word_vectors.shape[1], *widths[:-1]]
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(i, o)) for i, o in zip(ins, widths, strict=True))
        for weight in self.weights:
            nn.init.xavier_uniform_(weight)

    def forward(self) -> Tensor:
        """Return W_lab (C, widths[-1])."""
        return convolve_labels(self.adjacency, self.word_vectors, self.weights)
