"""Order-free RNN: labels one after the other, in the order in which the network is surest of them.

Source: Chen, Chen, Yeh, Wang 2018, "Order-free RNN with visual attention for multi-label classification", AAAI.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import bce
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.label_paths import LEAST, State, label_marginals, taught_loss

Image = tuple[Tensor, Tensor]
"""What does not change along a path: l (B, HW, E) and D p (B, E)."""


class OrderFreeRNN(nn.Module):
    """Emit labels from what attention finds in the coarsest map, given the labels so far.

    With l_i = P x_i (E) the projected positions, p = sigmoid(V x̄) (C) the label confidence predicted at once, k the
    last label and h the LSTM's output:

    - attention: e_i = <u, tanh(l_i + A h_(t-1) + D p)>, a = softmax(e), z_t = sum_i a_i l_i
    - h_t = LSTM([U_k; z_t; D p], h_(t-1)); P(next = j) = softmax_j(W h_t) over the labels that are not yet on the path,
      and END

    Training: at each step the target is the true label not yet emitted that the network holds most probable, then END;
    the next step reads it. A label of unknown value is neither a target nor in the softmax; an image without labels has
    the path END alone. Soft targets count as true from 0.5; a step weighs what its label's cell weighs, END the mean of
    the image's known cells. The log loss of p over known cells is added.
    Prediction: ``label_marginals``, given as logits; V x̄ are the auxiliary logits.
    Simplified: p is learnt together with the rest, not before it, and the map is the frozen encoder's.

    Args:
        pooled: from the raw pooled feature to x̄, ``depth`` wide.
        standardised: of the coarsest map, with ``channels``.
        width: E. labels: C.
        beam: prefixes kept. longest: most labels on a predicted path.
    """

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, depth: int, channels: int, width: int, labels: int,
        beam: int = 4, longest: int = 8,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pooled, self.standardised = pooled, standardised
        self.labels, self.beam, self.longest = labels, beam, longest
        self.project = nn.Linear(channels, width)
        self.confide = nn.Linear(depth, labels)
        self.confidence = nn.Linear(labels, width)
        self.query = nn.Linear(width, width, bias=False)
        self.u = nn.Linear(width, 1, bias=False)
        self.embedding = nn.Embedding(labels + 2, width)
        self.cell = nn.LSTMCell(3 * width, width)
        self.classify = nn.Linear(width, labels + 1)

    def fold(self) -> None:
        """Leave the head as it is: every part of it depends on the image or the path."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch.

        Args:
            maps: stage maps, of which the last (B, channels, H, W) is read.
            feature: raw pooled feature (B, D).
        """
        image, state, confidence = self.start(maps, feature)
        marginals = label_marginals(partial(self.advance, image), state, self.labels, self.beam, self.longest)
        return HeadOutput(torch.logit(marginals, eps=LEAST), confidence, ())

    def start(self, maps: Sequence[Tensor], feature: Tensor) -> tuple[Image, State, Tensor]:
        """Return l (B, HW, E) and D p (B, E), the state (h, memory), each (B, E), before the first label, and V x̄."""
        local = self.project(self.standardised(maps[-1]).flatten(2).transpose(1, 2))
        confidence = self.confide(self.pooled(feature))
        prior = self.confidence(confidence.sigmoid())
        return (local, prior), (torch.zeros_like(prior), torch.zeros_like(prior)), confidence

    def advance(self, image: Image, state: State, last: Tensor) -> tuple[Tensor, State]:
        """Return logits (rows, C + 1) of the token after ``last`` (rows,), and the next state.

        The rows are as many paths of every image, those of one image together.
        """
        local, prior = image
        query = self.query(state[0]).view(prior.shape[0], -1, 1, prior.shape[1]) + prior[:, None, None]
        attention = self.u(torch.tanh(local.unsqueeze(1) + query)).squeeze(3).softmax(dim=2)  # (B, paths, HW)
        seen = attention @ local
        read = torch.cat([seen, prior.unsqueeze(1).expand_as(seen)], dim=2).flatten(0, 1)
        output, memory = self.cell(torch.cat([self.embedding(last), read], dim=1), state)
        return self.classify(output), (output, memory)

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the mean cross-entropy of the paths that the network chose among the true ones, plus p's log loss."""
        image, state, confidence = self.start(maps, feature)
        steps = taught_loss(partial(self.advance, image), state, self.teach, targets, weights)
        return steps + bce(confidence, targets, weights)

    def teach(self, logits: Tensor, remaining: Tensor) -> Tensor:
        """Return the remaining label (B,) that the network holds most probable, END where none is left."""
        surest = logits[:, :-1].detach().masked_fill(~remaining, -torch.inf).argmax(dim=1)
        return torch.where(remaining.any(dim=1), surest, self.labels)


def build_order_free_rnn(config: ModelConfig, inputs: HeadInputs) -> OrderFreeRNN:
    """Build an untrained order-free RNN."""
    channels = inputs.layout.maps[-1][0]
    standardised = StandardisedMap(*inputs.statistics[-1])
    return OrderFreeRNN(
        inputs.pooled(), standardised, inputs.layout.features, channels, config.width, inputs.labels,
        config.beam, config.longest,
    )  # fmt: skip
