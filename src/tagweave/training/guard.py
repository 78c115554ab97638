"""A loss or gradient that is not a number ends the training, and the images are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tagweave.runs import atomic

LISTED = "not-finite.txt"
SHOWN = 8  # names in the message


def stop(what: str, value: Tensor, epoch: int, names: Sequence[str], folder: Path) -> FloatingPointError:
    """Write the batch's names to ``folder`` and return the error to raise.

    Args:
        what: is not finite. value: what it is. epoch: from 1.
    """
    with atomic(folder / LISTED) as partial:
        partial.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    shown = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
    return FloatingPointError(
        f"The {what} is {value.item()} in epoch {epoch}, batch of {shown}; all {len(names)} names are in "
        f"{folder / LISTED}. Look at these images, or lower train.learning_rate."
    )
