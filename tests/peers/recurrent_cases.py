"""Small cases for the heads that look or speak step by step, and an LSTM written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.encoders.backbones import Layout
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.peers.registry import build_head

RECURRENT = ("cnn_rnn", "order_free_rnn", "rdar", "rarl")
LAYOUT = Layout(maps=((4, 6, 6), (7, 4, 3)), strides=(8, 16), parts=(5, 5))


def settings(name: str, **changes: Any) -> ModelConfig:
    return ModelConfig(**{"head": name, "width": 8, "beam": 3, "longest": 4, "regions": 3, **changes})


def facts(labels: int) -> LabelFacts:
    rates = 0.1 + 0.3 * np.random.default_rng(1).permutation(labels) / labels
    return LabelFacts(np.zeros((labels, labels)), rates, np.zeros((labels, 1), dtype=np.float32))


def images(count: int, layout: Layout = LAYOUT, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    random = torch.Generator().manual_seed(seed)
    maps = [1 + 2 * torch.randn(count, *shape, generator=random) for shape in layout.maps]
    return maps, torch.randn(count, layout.features, generator=random)


def cells(count: int, labels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Soft targets and weights (count, labels) with unknown cells; row 0 knows nothing, row 1 no positive."""
    random = torch.Generator().manual_seed(seed)
    targets = torch.rand(count, labels, generator=random)
    weights = torch.rand(count, labels, generator=random) * (torch.rand(count, labels, generator=random) < 0.7)
    weights[0], targets[1] = 0.0, 0.0
    return targets, weights


def build(name: str, labels: int = 5, seed: int = 0, layout: Layout = LAYOUT, **changes: Any) -> Any:
    torch.manual_seed(seed)
    maps, features = images(20, layout, seed=9)
    inputs = HeadInputs.measure(layout, facts(labels), [maps], features.mean(dim=0))
    return build_head(settings(name, **changes), inputs)


def weights_of(layer: nn.Module) -> tuple[np.ndarray, np.ndarray | float]:
    bias = layer.bias
    return array(layer.weight), 0.0 if bias is None else array(bias)


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float64)


def linear(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    weight, bias = weights_of(layer)
    return weight.reshape(len(weight), -1) @ x + bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(cell: nn.LSTMCell, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of a long short-term memory, gate by gate (Hochreiter & Schmidhuber 1997, with forget gate)."""
    total = array(cell.weight_ih) @ x + array(cell.bias_ih) + array(cell.weight_hh) @ h + array(cell.bias_hh)
    gate_in, forget, candidate, gate_out = np.split(total, 4)
    c = sigmoid(forget) * c + sigmoid(gate_in) * np.tanh(candidate)
    return sigmoid(gate_out) * np.tanh(c), c


def log_softmax(logits: np.ndarray, allowed: list[int]) -> dict[int, float]:
    total = np.log(sum(np.exp(logits[j]) for j in allowed))
    return {j: float(logits[j] - total) for j in allowed}


def log_loss(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
    """Weighted log loss over known cells, cell by cell."""
    total, known = 0.0, 0
    for z, t, w in zip(logits.flat, targets.flat, weights.flat, strict=True):
        if w > 0:
            p = 1 / (1 + np.exp(-z))
            total, known = total - w * (t * np.log(p) + (1 - t) * np.log(1 - p)), known + 1
    return total / max(known, 1)


def train(head: nn.Module, maps: list[Tensor], features: Tensor, targets: Tensor, steps: int, rate: float) -> None:
    optimiser = torch.optim.Adam(head.parameters(), lr=rate)
    torch.manual_seed(0)
    for _ in range(steps):
        optimiser.zero_grad()
        head.objective(maps, features, targets, torch.ones_like(targets)).backward()  # type: ignore[operator]
        optimiser.step()
    head.eval()


def mean_precision(logits: Tensor, targets: Tensor) -> float:
    """Mean over labels of the average precision, by ranks."""
    found = []
    for z, t in zip(logits.T, targets.T, strict=True):
        hits = t[z.argsort(descending=True)]
        places = torch.arange(1, len(hits) + 1)
        found.append(float((hits.cumsum(0) / places)[hits > 0].mean()))
    return float(np.mean(found))
