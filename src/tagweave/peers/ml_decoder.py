"""ML-Decoder: group queries ask the map for their labels (Ridnik et al., WACV 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import asymmetric
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.prior import prior_logits
from tagweave.model.standardised import StandardisedMap

GROUPS = 100  # queries at most
HEADS = 8  # of the attention at most
WIDER = 4  # the inner layer against the width
DROPOUT = 0.1


class QueryLayer(nn.Module):
    """Let queries (B, K, E) read tokens (B, H W, E): a decoder layer without self-attention.

    q <- norm(2 q); q <- norm(q + attention(q, tokens)); q <- norm(q + W2 relu(W1 q)). The first step is q plus the
    self-attention that was taken out.

    Args:
        width: E. heads: of the attention. inner: width between W1 and W2.
    """

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout=DROPOUT, batch_first=True)
        self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Return answers (B, K, E)."""
        q = self.norms[0](queries + self.dropout(queries))
        read = self.attention(q, tokens, tokens, need_weights=False)[0]
        q = self.norms[1](q + self.dropout(read))
        inner = self.dropout(self.first(q).relu())
        answers: Tensor = self.norms[2](q + self.dropout(self.second(inner)))
        return answers


class MLDecoder(nn.Module):
    """Score labels in K groups of ceil(C / K), one query a group, K = min(100, C).

    tokens = relu(P x + p) (B, H W, E), x the coarsest map standardised per channel; answers h_k = ``QueryLayer`` of
    fixed random queries; y of the j-th label of group k = <W_kj, h_k> + b_kj; labels beyond C are cut off. Asymmetric
    loss. The widest tensors are (B, K, 4 E) and (B, heads, K, H W): nothing grows with C beyond the logits.

    Simplified: E is ``config.width`` (the paper's 768) and the inner layer four times that (2,048); heads are 8, or
    as many as divide E. Labels share queries in their order, so that the head is not equivariant to a permutation
    of labels where C > 100.

    Args:
        pooled: from the raw pooled feature to x̄.
        standardised: of the coarsest map.
        embed: P and p.
        layer: the queries' layer.
        prior: start of the bias (C,).
    """

    queries: Tensor

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, embed: nn.Linear, layer: QueryLayer, prior: Tensor
    ) -> None:
        super().__init__()
        self.pooled, self.standardised, self.embed, self.layer = pooled, standardised, embed, layer
        groups, width = min(GROUPS, len(prior)), embed.out_features
        self.register_buffer("queries", torch.randn(groups, width))
        self.weight = nn.Parameter(torch.empty(groups, -(-len(prior) // groups), width))
        nn.init.normal_(self.weight, std=width**-0.5)
        self.bias = nn.Parameter(prior.clone())

    def fold(self) -> None:
        """Do nothing: the queries are constant already."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        positions = self.standardised(maps[-1]).flatten(2).transpose(1, 2)
        tokens = functional.relu(self.embed(positions))
        answers = self.layer(self.queries.expand(tokens.shape[0], -1, -1), tokens)
        grouped = torch.einsum("bke,kje->bkj", answers, self.weight)
        return HeadOutput(grouped.flatten(1)[:, : len(self.bias)] + self.bias, None, ())

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the asymmetric loss over known cells: targets (B, C) in [0, 1], weights (B, C), 0 where unknown."""
        return asymmetric(self(maps, feature).logits, targets, weights)


def build_ml_decoder(config: ModelConfig, inputs: HeadInputs) -> MLDecoder:
    """Build ML-Decoder with E = ``config.width``."""
    heads = next(count for count in range(min(HEADS, config.width), 0, -1) if config.width % count == 0)
    prior = prior_logits(inputs.facts.rates) if config.prior else torch.zeros(inputs.labels)
    return MLDecoder(
        pooled=inputs.pooled(),
        standardised=StandardisedMap(*inputs.statistics[-1]),
        embed=nn.Linear(inputs.layout.maps[-1][0], config.width),
        layer=QueryLayer(config.width, heads, WIDER * config.width),
        prior=prior,
    )
