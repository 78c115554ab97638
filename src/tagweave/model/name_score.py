"""What a backbone's own classes say of labels whose names are like theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.model.word_vectors import phrase_vectors, spoken_names

if TYPE_CHECKING:
    from tagweave.encoders.class_head import ClassHead

SHARPNESS = 20.0  # of the softmax over classes: a class less like the name by 0.1 counts an eighth
UNLIKE = 0.6  # cosine of names that have nothing to do with each other
CLOSE = 0.5  # relevance, of cosines from 0.8 up
BOUNDS = (-1.0, 6.0)  # in deviations: one image that looks much like a class is not to outweigh all labels


class NameScore(nn.Module):
    """Score labels (B, C) from raw pooled features (B, D), without a labelled image.

    s_c = q_c clip((h_c - mean_c) / deviation_c, -1, 6), h_c = sum_k a_ck sqrt(p_k), p the softmax over the K classes
    of the backbone's own classifier; a_ck, of sum 1 over k, and q_c in [0, 1] say which classes' names are like the
    label's (``likeness``).

    Args:
        tensors: ``columns`` (M,), ``weight`` (K, M), ``bias`` (K,), ``likeness`` (C, K), ``relevance``, ``mean``,
            ``deviation`` (C,).
    """

    columns: Tensor
    weight: Tensor
    bias: Tensor
    likeness: Tensor
    relevance: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    @property
    def tells(self) -> Tensor:
        """(C,) whether a label's name is so like a class's that it can stand for the label alone."""
        return self.relevance >= CLOSE

    def heard(self, feature: Tensor) -> Tensor:
        """Return h (B, C)."""
        logits = feature[:, self.columns] @ self.weight.T + self.bias
        return logits.softmax(dim=1).sqrt() @ self.likeness.T

    def forward(self, feature: Tensor) -> Tensor:
        """Return s (B, C)."""
        standard = (self.heard(feature) - self.mean) / self.deviation
        return self.relevance * standard.clamp(*BOUNDS)


def fit_name_score(
    head: ClassHead, names: Sequence[str], words: Mapping[str, str], pool: NDArray[np.floating]
) -> NameScore | None:
    """Return the score of labels by their names, standardised over the pool; None where no name is like a class's.

    Args:
        head: the backbone's classes.
        names: of the C labels. words: other words to use for some.
        pool: raw pooled features (N, D).
    """
    weights, relevance, _ = likeness(spoken_names(names, words), head.names)
    if not relevance.any():
        return None
    arrays = {
        "columns": head.columns, "weight": head.weight, "bias": head.bias, "likeness": weights, "relevance": relevance,
        "mean": np.zeros(len(names), dtype=np.float32), "deviation": np.ones(len(names), dtype=np.float32),
    }  # fmt: skip
    score = NameScore({name: torch.from_numpy(array) for name, array in arrays.items()})
    with torch.inference_mode():
        heard = torch.cat([score.heard(torch.from_numpy(part)) for part in np.array_split(pool, len(pool) // 4096 + 1)])
    score.mean.copy_(heard.mean(dim=0))
    score.deviation.copy_(heard.std(dim=0, correction=0).clamp(min=1e-9))
    return score.eval()


class Likeness(NamedTuple):
    """How C label names are like K classes.

    weights: a (C, K), of sum 1 over the classes. relevance: q (C,) in [0, 1], 0 for a name without word vectors.
    nearest: (C, K), the place among the class's words of the one that is most like the name.
    """

    weights: NDArray[np.float32]
    relevance: NDArray[np.float32]
    nearest: NDArray[np.int64]


def likeness(labels: Sequence[str], classes: Sequence[Sequence[str]]) -> Likeness:
    """Compare label names with the words of classes, by the cosine of word vectors.

    S_ck of label c with the best word of class k; a = the softmax of 20 S_ck over k; q_c = (max_k S_ck - 0.6) / 0.4,
    between 0 and 1.
    """
    words = [(number, place, word) for number, own in enumerate(classes) for place, word in enumerate(own)]
    vectors = phrase_vectors([*labels, *(word for _, _, word in words)])
    spoken = [(number, place, vector) for (number, place, _), vector in zip(words, vectors[len(labels) :], strict=True)
              if vector is not None]  # fmt: skip
    owner, places = (np.array(part, dtype=np.int64) for part in list(zip(*spoken, strict=True))[:2])
    matrix = np.stack([vector for _, _, vector in spoken])
    numbers, starts = np.unique(owner, return_index=True)
    cosines = np.full((len(labels), len(classes)), -1.0, dtype=np.float32)
    nearest = np.zeros((len(labels), len(classes)), dtype=np.int64)
    for row, vector in enumerate(vectors[: len(labels)]):
        if vector is not None:
            found = matrix @ vector
            order = np.lexsort((-found, owner))  # the best word of each class comes first
            cosines[row, numbers], nearest[row, numbers] = found[order[starts]], places[order[starts]]
    best = cosines.max(axis=1, keepdims=True)
    weights = np.exp(SHARPNESS * (cosines - best))
    relevance = np.clip((best[:, 0] - UNLIKE) / (1.0 - UNLIKE), 0.0, 1.0)
    return Likeness(weights / weights.sum(axis=1, keepdims=True), relevance.astype(np.float32), nearest)
