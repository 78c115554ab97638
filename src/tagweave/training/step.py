"""One batch's gradients, in parts, over one process or several."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.config import TrainConfig
from tagweave.model.losses import build_loss
from tagweave.training.batches import Inputs, TrainingSet
from tagweave.training.consistency import Consistency, per_image
from tagweave.training.objective import Objective, balanced_cells, shares
from tagweave.training.ranks import Ranks
from tagweave.training.state import State


@dataclass(frozen=True)
class Stepper:
    """Turn batches into gradients.

    Attributes:
        objective: compiled and joined over the processes where that is wanted.
        parts: a process's share of a batch is computed in so many parts, which add up to the whole batch's mean.
        by_images: parts count by their images, not by known cells: for heads with an objective of their own, and where
            the network fills in unknown cells.
        balanced: the whole batch's balance of positives goes into its cells before it is cut.
    """

    objective: nn.Module
    device: torch.device
    ranks: Ranks
    parts: int
    by_images: bool
    balanced: bool

    def places(self, count: int) -> list[NDArray[np.int64]]:
        """Return this process's parts of a batch of ``count`` images, as places in it.

        A process without an image takes the first one, which counts nothing there: the others wait for its gradient.
        """
        own = np.arange(self.ranks.rank, count, self.ranks.world)
        return [part for part in np.array_split(own, self.parts) if len(part)] or [np.arange(1)]

    def gradients(
        self, state: State, inputs: Sequence[Inputs], data: TrainingSet, rows: NDArray[np.int64]
    ) -> Tensor:  # fmt: skip
        """Add up the gradients of one batch and return its loss, the same in every process.

        Args:
            inputs: of each of ``places``. rows: of the whole batch, in ``data``.
        """
        places = self.places(len(rows))
        cells = self._cells(data, rows)
        portions = shares(data.weights[rows], places, self.by_images) if self.ranks.rank < len(rows) else [0.0]
        loss = torch.zeros((), device=self.device)
        for number, (given, part, portion) in enumerate(zip(inputs, places, portions, strict=True)):
            is_last = number + 1 == len(places)
            with nullcontext() if is_last else self.ranks.unsynchronised(self.objective):
                value = self.objective(*move((given, *(each[part] for each in cells)), self.device))
                if self.parts > 1 or self.ranks.world > 1:
                    value = value * (portion * self.ranks.world)
                state.scaler.scale(value).backward()
            loss = loss + value.detach()
        return self.ranks.mean(loss)

    def _cells(self, data: TrainingSet, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Return targets and weights of a batch, and where the network fills in unknown cells the weights of those."""
        targets, weights = torch.from_numpy(data.targets[rows]), torch.from_numpy(data.weights[rows])
        if self.balanced:
            targets, weights = balanced_cells(targets, weights)
        if data.unknown is None:
            return targets, weights
        return targets, per_image(weights), per_image(torch.from_numpy(data.unknown[rows]).float())


def build_stepper(network: nn.Module, config: TrainConfig, device: torch.device, ranks: Ranks) -> Stepper:
    """Build the stepper of a network that lies on ``device``.

    Raises:
        InputError: the settings do not go together with the backbone or the processes.
    """
    fills_in = config.targets == "fixmatch"  # their balance is not known before
    balanced = config.loss == "weighted_bce" and (config.accumulate > 1 or ranks.world > 1 or fills_in)
    objective = Objective(network, build_loss("bce" if balanced else config.loss), config.auxiliary)
    wrapped = ranks.wrap(Consistency(objective) if fills_in else objective, device)
    if config.compile:
        wrapped = torch.compile(wrapped)  # type: ignore[assignment]
    own = objective.is_own
    return Stepper(wrapped, device, ranks, config.accumulate, own or fills_in, balanced and not own)


def move(content: Any, device: torch.device) -> Any:
    """Return tensors, in tuples and lists however nested, on a device."""
    if isinstance(content, Tensor):
        return content.to(device, non_blocking=True)
    return type(content)(move(item, device) for item in content)
