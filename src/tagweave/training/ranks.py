"""The processes of one training, as ``torchrun`` starts them; without it there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tagweave.errors import InputError

PATIENCE = timedelta(days=7)  # the others wait while the first one embeds, propagates and scores


@dataclass(frozen=True)
class Ranks:
    """Hold which process this is: ``rank`` of ``world``, on device number ``local``."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def wrap(self, objective: nn.Module, device: torch.device) -> nn.Module:
        """Return a module whose gradients are averaged over the processes.

        Raises:
            InputError: batch norms that follow the batches cannot be joined on CPUs.
        """
        if self.world == 1:
            return objective
        if device.type == "cpu" and getattr(objective.network, "batch_norm", "frozen") == "batch":
            raise InputError(
                "Expected train.batch_norm=frozen for several processes on CPUs: their batch statistics cannot be "
                "joined there. Leave it out, or use GPUs."
            )
        # A head that learns in stages leaves the other stages' parameters without a gradient.
        return nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        """Return a context whose backward passes only add up gradients."""
        return wrapped.no_sync() if isinstance(wrapped, nn.parallel.DistributedDataParallel) else nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a number over the processes."""
        if self.world > 1:
            value = value.clone()
            dist.all_reduce(value)
            value /= self.world
        return value

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def tell(self, value: Any) -> Any:
        """Return the first process's ``value`` in every process."""
        if self.world == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said, src=0)
        return said[0]


ALONE = Ranks()


def current() -> Ranks:
    """Return this process among those that ``join_ranks`` joined."""
    if not dist.is_initialized():
        return ALONE
    return Ranks(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started: gloo on CPUs, nccl on GPUs."""
    local = int(os.environ["LOCAL_RANK"])
    on_gpu = torch.cuda.is_available() and device != "cpu"
    if on_gpu:
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield current()
    finally:
        dist.destroy_process_group()
