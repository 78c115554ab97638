"""The classes that a backbone was trained to tell, and the layer that scores them from its pooled feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import EncoderConfig
from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.encoders.class_words import class_words

Floats = NDArray[np.float32]

VOCABULARY = "imagenet-1k"  # of timm's names; larger ones would make the exported model large
AGREED = 1e-3  # of the largest logit: how far the layer over the average may be from what the backbone says


@dataclass(frozen=True)
class ClassHead:
    """Score K classes, logits = weight f + bias, from columns f of the pooled feature.

    Attributes:
        names: the words of each class, its own name first (``class_words``). weight: (K, M). bias: (K,).
        columns: (M,), places of f in the pooled feature (D,).
    """

    names: tuple[tuple[str, ...], ...]
    weight: Floats
    bias: Floats
    columns: NDArray[np.int64]


def class_head(config: EncoderConfig) -> ClassHead | None:
    """Return the class head of an encoder; of several backbones side by side the mean of their logits.

    None where the weights are not the published ones, the classes are not ImageNet's, or they are not scored by one
    linear layer from the average of the final map.

    Raises:
        InputError: as ``build_encoder``.
    """
    if config.weights is not None:
        return None
    encoders = [build_encoder(name, config.size, None, config.map_side) for name in config.name.split("+")]
    starts = np.cumsum([0, *(encoder.layout.features for encoder in encoders[:-1])])
    return _mean([found for one, start in zip(encoders, starts, strict=True) if (found := _head_of(one, int(start)))])


def _head_of(encoder: Encoder, start: int) -> ClassHead | None:
    """Return the head of one backbone whose pooled feature begins at column ``start``."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    trunk: Any = encoder.module.trunk
    if infer_imagenet_subset(trunk) != VOCABULARY or not _reads_the_average(encoder):
        return None
    layer, classes = trunk.get_classifier(), ImageNetInfo(VOCABULARY)
    told = (classes.index_to_description(number, detailed=True) for number in range(layer.out_features))
    parts = (own.partition(": ") for own in told)
    return ClassHead(
        tuple(class_words([name.strip() for name in synonyms.split(",")], said) for synonyms, _, said in parts),
        layer.weight.detach().numpy(), layer.bias.detach().numpy(), start + np.arange(layer.in_features),
    )  # fmt: skip


def _reads_the_average(encoder: Encoder) -> bool:
    """Tell, on an image of noise, whether the classifier is a linear layer over the average of the final map."""
    import torch

    module: Any = encoder.module
    if isinstance(getattr(module.trunk, "head", None), torch.nn.Identity):  # a VGG, whose dense layers are left out
        return False
    layer, width = module.trunk.get_classifier(), encoder.layout.parts[0]
    if not isinstance(layer, torch.nn.Linear) or layer.in_features != width or layer.bias is None:
        return False
    side = encoder.preprocessing.size
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8))
    with torch.inference_mode():
        average = module(pixels)[:, encoder.layout.map_values :][:, :width]
        wanted = module.trunk((pixels.permute(0, 3, 1, 2).float() - module.mean) / module.std)
        return bool((layer(average) - wanted).abs().max() <= AGREED * wanted.abs().max())


def _mean(heads: Sequence[ClassHead]) -> ClassHead | None:
    if not heads:
        return None
    share = 1.0 / len(heads)
    return ClassHead(
        heads[0].names, np.concatenate([share * head.weight for head in heads], axis=1),
        np.sum([share * head.bias for head in heads], axis=0), np.concatenate([head.columns for head in heads]),
    )  # fmt: skip
