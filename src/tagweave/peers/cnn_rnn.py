"""CNN-RNN: labels one after the other in a joint space of images and labels.

Source: Wang et al. 2016, "CNN-RNN: A unified framework for multi-label image classification", CVPR.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.peers.label_paths import (
    LEAST,
    State,
    label_marginals,
    masked_log_softmax,
    mean_over_steps,
    token_weights,
    true_labels,
)


class CNNRNN(nn.Module):
    """Emit labels, the most frequent first, from an image and the labels so far.

    With U (C + 2, E) the rows of labels, END and START in the joint space, k the last label and x̄ the image:
    o_t, r_t = LSTM(U_k, r_(t-1)); x_t = relu(A o_t + B x̄); P(next = j) = softmax_j(U_j x_t) over the labels that are
    not yet on the path, and END.

    Training: cross-entropy of each next label given the true ones before it (teacher forcing), in falling order of
    their rates, END last. A label of unknown value is neither on the path nor in the softmax, so it is not pushed
    down; an image without labels has the path END alone. Soft targets count as true from 0.5. A step weighs what its
    label's cell weighs, END the mean of the image's known cells.
    Prediction: ``label_marginals``, given as logits.
    Simplified: x̄ is the frozen encoder's pooled feature in place of VGG-16's fc7, and labels on the path are left out
    of the softmax in training also.

    Args:
        pooled: from the raw pooled feature to x̄.
        depth: width of x̄. width: E.
        rates: of the labels (C,); ties in the order go by index.
        beam: prefixes kept. longest: most labels on a predicted path.
    """

    order: Tensor

    def __init__(
        self, pooled: nn.Module, depth: int, width: int, rates: np.ndarray, beam: int = 4, longest: int = 8
    ) -> None:
        super().__init__()
        self.pooled, self.labels, self.beam, self.longest = pooled, len(rates), beam, longest
        self.embedding = nn.Embedding(self.labels + 2, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.cell = nn.LSTMCell(width, width)
        self.from_path = nn.Linear(width, width, bias=False)
        self.from_image = nn.Linear(depth, width)
        self.register_buffer("order", torch.from_numpy(np.argsort(-rates, kind="stable")))

    def fold(self) -> None:
        """Leave the head as it is: every part of it depends on the image or the path."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: maps are not read; raw pooled features (B, D)."""
        marginals = label_marginals(self.advance, self.start(feature), self.labels, self.beam, self.longest)
        return HeadOutput(torch.logit(marginals, eps=LEAST), None, ())

    def start(self, feature: Tensor) -> State:
        """Return the state before the first label: the image's part of x_t, and r and o at 0, each (B, E)."""
        image = self.from_image(self.pooled(feature))
        return image, torch.zeros_like(image), torch.zeros_like(image)

    def advance(self, state: State, last: Tensor) -> tuple[Tensor, State]:
        """Return logits (rows, C + 1) of the token after ``last`` (rows,), and the next state."""
        image, output, memory = state
        output, memory = self.cell(self.embedding(last), (output, memory))
        joint = functional.relu(self.from_path(output) + image)
        return joint @ self.embedding.weight[:-1].T, (image, output, memory)

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the mean cross-entropy of the true paths; targets and weights (B, C)."""
        tokens, losses, step_weights = self.teach(targets, weights), [], []
        state, last = self.start(feature), torch.full_like(tokens[:, 0], self.labels + 1)
        free, own = weights > 0, token_weights(weights)
        ended = torch.zeros_like(last, dtype=torch.bool)
        for token in tokens.unbind(dim=1):
            logits, state = self.advance(state, last)
            losses.append(-masked_log_softmax(logits, free).gather(1, token.unsqueeze(1)).squeeze(1))
            step_weights.append(own.gather(1, token.unsqueeze(1)).squeeze(1) * ~ended)
            ended = ended | (token == self.labels)
            free = free & ~functional.one_hot(token, self.labels + 1)[:, :-1].bool()
            last = token
        return mean_over_steps(torch.stack(losses), torch.stack(step_weights))

    def teach(self, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the true paths (B, T) in falling order of rates, filled up with END, at least one of it."""
        true = true_labels(targets, weights)[:, self.order]
        counts = true.sum(dim=1, keepdim=True)
        ranks = torch.argsort((~true).to(torch.uint8), dim=1, stable=True)  # the true ones first, in their order
        paths = functional.pad(self.order[ranks], (0, 1), value=self.labels)
        places = torch.arange(self.labels + 1, device=paths.device)
        paths = paths.masked_fill(places >= counts, self.labels)
        return paths[:, : int(counts.max()) + 1]


def build_cnn_rnn(config: ModelConfig, inputs: HeadInputs) -> CNNRNN:
    """Build an untrained CNN-RNN."""
    depth = inputs.layout.features
    return CNNRNN(inputs.pooled(), depth, config.width, inputs.facts.rates, config.beam, config.longest)
