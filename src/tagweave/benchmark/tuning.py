"""The small search that every head gets: learning rate, loss and epochs, one after the other, on validation images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import NETWORK_ALONE, Config
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest

Choice = dict[str, Any]
Try = Callable[[Manifest, LabelMatrix, Config], float | None]


@dataclass(frozen=True)
class Search:
    """Say what is tried.

    Attributes:
        rates: factors of the configured learning rate. losses: tried at the best rate, the configured one first.
        images: at most so many of the pool take part, labelled ones first, so that a search costs a fraction of a fit.
    """

    rates: tuple[float, ...] = (1.0, 0.25)
    losses: tuple[str, ...] = ("asymmetric",)
    images: int = 1500

    @property
    def about(self) -> dict[str, Any]:
        """What a searched cell depends on."""
        return asdict(self)

    def share(self, pool: int, epochs: int) -> float:
        """Return what the search costs, in epochs over a pool of this size."""
        tries = len(self.rates) + len(self.losses)
        return (tries * half(epochs) + epochs) * min(self.images / max(pool, 1), 1.0)

    def describe(self) -> str:
        """Return it in a sentence."""
        rates = ", ".join(f"{factor:g}" for factor in self.rates)
        return (
            f"search, the same for every head: learning rate times {rates}, then the loss (the configured one or "
            f"{', '.join(self.losses)}; heads with their own keep it), each at half the epochs, then half or all "
            f"epochs; by validation mAP, on at most {self.images:,} images of the pool, one training each"
        )


def half(epochs: int) -> int:
    """Return half of the epochs, at least one."""
    return max(1, epochs // 2)


def tune(
    train: Try, manifest: Manifest, labels: LabelMatrix, config: Config, search: Search, own_loss: bool
) -> tuple[Config, list[dict[str, Any]]]:
    """Return ``config`` with the chosen values, and what each try reached.

    Test images take no part, not even as images. Without validation images there is nothing to choose by, and the
    configuration stands.

    Args:
        train: trains once and returns the best validation mAP.
        manifest, labels: of the whole collection, splits drawn.
        own_loss: the head brings its own loss, so that there is none to choose.
    """
    rows = part(manifest, labels, search.images, config.seed)
    few, known = manifest.take(rows), labels.take(rows)
    if not ((few.splits == "val") & known.values.any(axis=1)).any():
        return config, []

    def reach(values: Choice) -> float:
        area = train(few, known, _changed(config, {**values, "refit": False, "shares": NETWORK_ALONE}))
        return -1.0 if area is None else area

    now, tries = config.train, _Tries(reach)
    short = {"epochs": half(now.epochs), "updates": now.updates // 2}
    base: Choice = {"learning_rate": now.learning_rate, "loss": now.loss, **short}
    chosen = tries.best([{**base, "learning_rate": rate * now.learning_rate} for rate in search.rates])
    losses = [] if own_loss else [loss for loss in search.losses if loss != now.loss]
    chosen = tries.best([chosen, *({**chosen, "loss": loss} for loss in losses)])
    chosen = tries.best([chosen, {**chosen, "epochs": now.epochs, "updates": now.updates}])
    return _changed(config, chosen), tries.found


class _Tries:
    """Remember what each choice reached, so that none is tried twice."""

    def __init__(self, reach: Callable[[Choice], float]) -> None:
        self._reach, self.found = reach, list[Choice]()

    def best(self, choices: Sequence[Choice]) -> Choice:
        """Return the first of the choices that reach most."""
        return max(choices, key=self._area)

    def _area(self, choice: Choice) -> float:
        for done in self.found:
            if choice.items() <= done.items():
                return float(done["val_mAP"])
        self.found.append({**choice, "val_mAP": self._reach(choice)})
        return float(self.found[-1]["val_mAP"])


def part(manifest: Manifest, labels: LabelMatrix, images: int, seed: int) -> NDArray[np.int64]:
    """Return rows of at most ``images`` pool images, drawn, labelled ones before others, in their order."""
    pool = np.random.default_rng(seed).permutation(np.flatnonzero(manifest.splits != "test"))
    return np.sort(pool[np.argsort(~labels.labelled[pool], kind="stable")][:images])


def _changed(config: Config, values: Choice) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update=values)})
