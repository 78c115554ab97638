"""Checkpoints: written whole or not at all, read without executing anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tagweave.runs import atomic

ABOUT = "tagweave"


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


def save_state(path: Path, module: nn.Module, about: Mapping[str, Any] | None = None) -> None:
    """Write a module's state as safetensors, atomically, with ``about`` as JSON beside the tensors."""
    state = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    with atomic(path) as partial:
        # One entry: the order of several is not the same in every process.
        save_file(state, str(partial), None if about is None else {ABOUT: json.dumps(about)})


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state that ``save_state`` wrote."""
    return load_file(str(path))


def load_about(path: Path) -> dict[str, Any]:
    """Read what ``save_state`` wrote beside the tensors; empty where it wrote nothing."""
    with safe_open(str(path), "pt") as file:
        content: dict[str, Any] = json.loads((file.metadata() or {}).get(ABOUT, "{}"))
    return content
