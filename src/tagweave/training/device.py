"""Where the training runs."""

from __future__ import annotations

import torch

from tagweave.errors import InputError


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device of ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        InputError: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError(
            "Expected a CUDA device for train.device=cuda, but PyTorch finds none. "
            "Use train.device=auto or cpu, or install a driver and a CUDA build of PyTorch."
        )
    return torch.device("cuda", local_rank) if available and name != "cpu" else torch.device("cpu")
