"""Fusion of the image feature with every label embedding (METHOD §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tagweave.errors import InputError
from tagweave.model.rooted_scores import NORM_FLOOR, ROOT_FLOOR, rooted_scores

LOGIT_REACH = 10.0
CHUNK_VALUES = 2**25  # B x labels x m at once, of which a g-th is held: bounds memory at 64 MB with g 2 for large C


class MFBFusion(nn.Module):
    """Fuse by multi-modal factorised bilinear pooling (Yu et al. 2018).

    For label i: M1 = U F, M2 = V w_i, both m wide; M = sum-pool over groups of g of dropout(M1) ∘ M2, m/g wide; then
    signed square root and L2 norm; y_i = <o, M> + bias, one linear layer shared by all labels.

    Args:
        image_width: width of F.
        label_width: width of a label embedding.
        m: fusion width.
        g: group size, a divisor of m.
        dropout: share of M1, and so of M1 ∘ M2, dropped in training; the same for all labels of an image.
        signed_sqrt: take sign(M) sqrt(|M|).
        l2: divide M by its length.
    """

    def __init__(
        self, image_width: int, label_width: int, m: int = 358, g: int = 2,
        dropout: float = 0.1, signed_sqrt: bool = True, l2: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if m % g:
            raise InputError(f"Expected the group size g to divide the fusion width m, but got m {m} and g {g}.")
        self.g, self.signed_sqrt, self.l2 = g, signed_sqrt, l2
        self.U = nn.Linear(image_width, m, bias=False)
        self.V = nn.Linear(label_width, m, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(m // g, 1)
        if l2:  # |M| = 1 bounds the logits by |o|: start where confident ones are in reach
            nn.init.normal_(self.output.weight, std=LOGIT_REACH / (m // g) ** 0.5)
            nn.init.zeros_(self.output.bias)

    def project_labels(self, embeddings: Tensor) -> Tensor:
        """Return M2 (C, m) of label embeddings (C, label_width): constant once training is over."""
        return self.V(embeddings)

    def forward(self, feature: Tensor, projected: Tensor) -> Tensor:
        """Return logits (B, C) of image features F (B, image_width) with M2 (C, m), in chunks of labels."""
        image = self.U(feature)  # (B, m)
        if not (self.signed_sqrt or self.l2 or self.training):
            return self._low_rank(image, projected)
        # Half precision has room neither for the constants of root and norm nor for their slopes near 0.
        wide = torch.promote_types(image.dtype, torch.float32)
        image, projected = image.to(wide), projected.to(wide)
        if self.training and self.signed_sqrt and self.l2:
            return self._fuse_fast(image, projected)
        step = max(1, CHUNK_VALUES // max(1, image.numel()))
        return torch.cat([self._fuse(image, part) for part in projected.split(step)], dim=1)

    def _fuse_fast(self, image: Tensor, projected: Tensor) -> Tensor:
        """Do what ``_fuse`` does with a backward pass of its own."""
        weight, bias = (part.to(image.dtype) for part in (self.output.weight[0], self.output.bias))
        with torch.autocast(image.device.type, enabled=False):
            scores = rooted_scores(self.dropout(image), projected, weight, self.g)
        return (scores + bias).to(self.output.weight.dtype)

    def _fuse(self, image: Tensor, projected: Tensor) -> Tensor:
        image = self.dropout(image)  # drops the same products as dropping them in M1 ∘ M2, for all labels alike
        groups = image.unflatten(1, (-1, self.g)), projected.unflatten(1, (-1, self.g))
        weight, bias = (part.to(image.dtype) for part in (self.output.weight[0], self.output.bias))
        with torch.autocast(image.device.type, enabled=False):  # it would take the products back to half precision
            pooled = torch.einsum("bjg,cjg->bcj", *groups)  # (B, C, m / g), without the (B, C, m) product
            if self.signed_sqrt:
                # sqrt has no finite slope at 0; the small constant keeps gradients finite where a product vanishes.
                pooled = pooled / (pooled.abs() + ROOT_FLOOR).sqrt()
            scores = pooled @ weight
            if self.l2:  # <o, M / |M|> = <o, M> / |M|
                scores = scores / pooled.norm(dim=2).clamp(min=NORM_FLOOR)
        return (scores + bias).to(self.output.weight.dtype)

    def _low_rank(self, image: Tensor, projected: Tensor) -> Tensor:
        """Without square root and norm the whole is one bilinear form: y = (U F ∘ o) · M2, o repeated g times."""
        weight = self.output.weight.squeeze(0).repeat_interleave(self.g)
        return (image * weight) @ projected.T + self.output.bias


class DotFusion(nn.Module):
    """Score by the inner product y_i = <P F, w_i> (ML-GCN's head), P aligning the widths where they differ."""

    def __init__(self, image_width: int, label_width: int) -> None:
        super().__init__()
        self.align = nn.Identity() if image_width == label_width else nn.Linear(image_width, label_width, bias=False)

    def project_labels(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings themselves."""
        return embeddings

    def forward(self, feature: Tensor, projected: Tensor) -> Tensor:
        """Return logits (B, C)."""
        return self.align(feature) @ projected.T
