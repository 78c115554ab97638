"""Where a training stands: everything that goes into its checkpoint, and the way back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tagweave.runs import atomic
from tagweave.training.checkpoint import load_checkpoint, save_checkpoint


@dataclass
class Progress:
    """Hold how far a training is.

    Attributes:
        epoch: whole epochs done. position: batches of the next one that are done, ``total`` their summed loss.
        step: updates in all.
    """

    epoch: int = 0
    step: int = 0
    position: int = 0
    total: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    history: tuple[dict[str, Any], ...] = ()


@dataclass
class State:
    """Hold a training: the network, its averaged copy, the optimiser, the scaler of 16-bit gradients, the progress."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    at: Progress = field(default_factory=Progress)


def save_progress(folder: Path, key: str, state: State) -> None:
    """Write ``last.pt`` and ``history.jsonl``."""
    with atomic(folder / "history.jsonl") as partial:
        partial.write_text("".join(json.dumps(record) + "\n" for record in state.at.history), encoding="utf-8")
    parts = {"head": state.network.state_dict(), "average": state.average.state_dict()}
    tools = {"optimiser": state.optimiser.state_dict(), "scaler": state.scaler.state_dict()}
    save_checkpoint(folder / "last.pt", {"key": key, **parts, **tools, "progress": vars(state.at)})


def resume(folder: Path, key: str, state: State) -> None:
    """Go on from ``last.pt``, where it was made with the same ``key``."""
    found = load_checkpoint(folder / "last.pt", key)
    if found is None:
        return
    state.network.load_state_dict(found["head"])
    state.average.load_state_dict(found["average"])
    state.optimiser.load_state_dict(found["optimiser"])
    state.scaler.load_state_dict(found["scaler"])
    state.at = Progress(**{**found["progress"], "history": tuple(found["progress"]["history"])})
