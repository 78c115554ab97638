"""MSCNN-LCE: multi-stage attention, label co-occurrence embedding and fusion, assembled (METHOD §2-4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tagweave.errors import InputError
from tagweave.model.attention import StageAttention, StageAverage
from tagweave.model.fusion import DotFusion, MFBFusion
from tagweave.model.global_vector import GlobalConvolutions
from tagweave.model.label_gcn import LabelGCN


class HeadOutput(NamedTuple):
    """What a head says about a batch.

    logits (B, C): the prediction. auxiliary (B, C): the average of the per-stage classifiers, None without them.
    attention: weights (B, H, W) per stage in use, empty for heads without attention.
    """

    logits: Tensor
    auxiliary: Tensor | None
    attention: tuple[Tensor, ...]


class MSCNNLCE(nn.Module):
    """Score every label from L stage maps and the pooled feature of an image.

    With x̄ the pooled feature made ready: g = G x̄ (a dense layer), or G of two convolutions on the coarsest map;
    g_a^s = attention^s(map^s, g); F = concat(g_a^1, ..., g_a^L[, g or x̄]); logits = fusion(F, W_lab) + prior, W_lab
    from the label GCN, or a linear layer of F + prior without it. Each g_a^s also goes through its own linear layer;
    their average is the auxiliary prediction, and the only one where fusion is ``None``.

    Args:
        pooled: from the raw pooled feature to x̄.
        stages: the attention, or the average, of each stage in use.
        dense: G, from x̄ or from what ``convolutions`` give to g.
        classifiers: one linear layer per stage in use, to C labels.
        gcn: the label GCN, with MFB or dot fusion.
        fusion: MFB or dot with the GCN; a linear layer from F to C labels without; or None for the averaged per-stage
            classifiers alone.
        append: put ``g``, the ``pooled`` x̄, or ``none`` at the end of F.
        prior: start of a learned offset per label (C,), the logit of its known rate; None for the paper's one shared
            bias.
        dropout: share of F dropped in training.
        convolutions: on the coarsest map, where g comes from there.
        use: places of the stages in use among the L maps, from 0; all when None.

    Raises:
        InputError: fusion with label embeddings without a GCN to make them, or the reverse.
    """

    label_projection: Tensor | None

    def __init__(
        self, pooled: nn.Module, stages: Sequence[StageAttention | StageAverage], dense: nn.Module,
        classifiers: Sequence[nn.Module], gcn: LabelGCN | None, fusion: MFBFusion | DotFusion | nn.Linear | None,
        append: str = "none", prior: Tensor | None = None, dropout: float = 0.0,
        convolutions: GlobalConvolutions | None = None, use: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if (gcn is None) == isinstance(fusion, MFBFusion | DotFusion):
            raise InputError("Expected the GCN and fusion together: fusion joins the image with the GCN's embeddings.")
        self.use, self.convolutions = None if use is None else tuple(use), convolutions
        self.stages, self.classifiers = nn.ModuleList(stages), nn.ModuleList(classifiers)
        self.pooled, self.dense, self.gcn, self.fusion = pooled, dense, gcn, fusion
        self.prior = None if prior is None else nn.Parameter(prior.clone())
        self.append, self.dropout = append, nn.Dropout(dropout)
        self.register_buffer("label_projection", None)

    def fold(self) -> None:
        """Replace the label side by one constant tensor; for prediction, after training."""
        if self.gcn is not None:
            with torch.no_grad():
                self.label_projection = self._project_labels()
            self.gcn = None

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch.

        Args:
            maps: L stage maps (B, channels, H, W).
            feature: raw pooled feature (B, D).
        """
        pooled = self.pooled(feature)
        g = self.dense(pooled if self.convolutions is None else self.convolutions(maps[-1]))
        used = maps if self.use is None else [maps[place] for place in self.use]
        attended = [stage(m, g) for stage, m in zip(self.stages, used, strict=True)]
        vectors = [vector for _, vector in attended]
        attention = tuple(weights for weights, _ in attended if weights is not None)
        votes = [linear(self.dropout(v)) for linear, v in zip(self.classifiers, vectors, strict=True)]
        auxiliary = torch.stack(votes).mean(dim=0)
        if self.fusion is None:
            return HeadOutput(auxiliary, None, attention)
        appended = {"none": [], "g": [g], "pooled": [pooled]}[self.append]
        fused = self.dropout(torch.cat([*vectors, *appended], dim=1))
        linear = isinstance(self.fusion, nn.Linear)
        logits = self.fusion(fused) if linear else self.fusion(fused, self._project_labels())
        if self.prior is not None:
            logits = logits + self.prior
        return HeadOutput(logits, auxiliary, attention)

    def _project_labels(self) -> Tensor:
        if self.label_projection is not None:
            return self.label_projection
        assert self.gcn is not None
        assert isinstance(self.fusion, MFBFusion | DotFusion)
        return self.fusion.project_labels(self.gcn())
