"""The network part by part: shapes and numbers of parameters, read off the built modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from tagweave.config import Config
from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.model.attention import StageAttention
from tagweave.model.fusion import MFBFusion
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.model.word_vectors import vector_width
from tagweave.peers.registry import build_head


@dataclass(frozen=True)
class Part:
    """Hold one part: its name, its shapes in words, and its number of trainable parameters."""

    name: str
    shape: str
    parameters: int


def describe_config(config: Config, labels: int) -> list[Part]:
    """Describe the network that a configuration makes, with random weights: nothing is fetched.

    Raises:
        InputError: switches that do not go together.
    """
    encoder = build_encoder(**{**config.encoder.model_dump(), "weights": "random"})
    blank = HeadInputs.blank(encoder.layout, labels)
    vectors = np.zeros((labels, vector_width(config.model.word_vectors, labels)), dtype=np.float32)
    facts = LabelFacts(blank.facts.conditional, blank.facts.rates, vectors)
    return describe(encoder, build_head(config.model, replace(blank, facts=facts)))


def describe(encoder: Encoder, head: nn.Module) -> list[Part]:
    """Return the parts of encoder and head, then the totals."""
    size = encoder.preprocessing.size
    trunk = sum(isinstance(module, nn.Conv2d) for module in encoder.module.modules())
    parts = [Part(f"encoder {encoder.name}", f"{size} x {size} px, {trunk} convolutions", _parameters(encoder.module))]
    for number, (stride, shape) in enumerate(zip(encoder.layout.strides, encoder.layout.maps, strict=True), start=1):
        parts.append(Part(f"map of stage {number}", f"{_sides(shape)}, stride {stride}", 0))
    parts += _head_parts(head) if isinstance(head, MSCNNLCE) else _children(head)
    total = _parameters(head)
    return [*parts, Part("head in all", "", total), Part("in all", "", total + parts[0].parameters)]


def _head_parts(head: MSCNNLCE) -> Iterator[Part]:
    if head.convolutions is not None:
        shapes = [_sides(tuple(weight.shape)) for weight in head.convolutions.convolutions.parameters()]
        name = f"{len(shapes)} convolutions, each with pooling"
        yield Part(name, " and ".join(shapes), _parameters(head.convolutions))
    yield Part("dense to g", _linear(head.dense), _parameters(head.dense))
    for number, stage in enumerate(head.stages, start=1):
        kind = f"{stage.compatibility} attention" if isinstance(stage, StageAttention) else "average"
        yield Part(f"{kind}, {number}", _linear(stage.projection), _parameters(stage))
    if isinstance(head.gcn, LabelGCN):
        widths = [head.gcn.weights[0].shape[0], *(weight.shape[1] for weight in head.gcn.weights)]
        labels = f"{len(head.gcn.adjacency)} labels, "
        yield Part("label GCN", labels + " -> ".join(map(str, widths)), _parameters(head.gcn))
    if isinstance(head.fusion, MFBFusion):
        m, image = head.fusion.U.weight.shape
        shape = f"F {image}, m {m}, g {head.fusion.g}: {m // head.fusion.g} wide"
        yield Part("MFB", shape, _parameters(head.fusion))
    elif head.fusion is not None:
        yield Part(f"{type(head.fusion).__name__} fusion", "", _parameters(head.fusion))
    yield Part(
        f"{len(head.classifiers)} classifiers of stages", _linear(head.classifiers[0]), _parameters(head.classifiers)
    )
    if head.prior is not None:
        yield Part("offset per label", str(len(head.prior)), head.prior.numel())


def _children(head: nn.Module) -> Iterator[Part]:
    for name, module in head.named_children():
        yield Part(name, type(module).__name__, _parameters(module))


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _linear(module: object) -> str:
    return f"{module.in_features} -> {module.out_features}" if isinstance(module, nn.Linear) else ""


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
