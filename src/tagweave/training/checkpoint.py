"""Checkpoints: written whole or not at all, read without executing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tagweave.runs import atomic


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values atomically."""
    with atomic(path) as partial:
        torch.save(content, partial)


def load_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """Return a checkpoint made with the same ``key``, or None."""
    if not path.is_file():
        return None
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content if content.get("key") == key else None


def save_state(path: Path, module: nn.Module) -> None:
    """Write a module's state as safetensors, atomically."""
    state = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    with atomic(path) as partial:
        save_file(state, str(partial))


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state that ``save_state`` wrote."""
    return load_file(str(path))
