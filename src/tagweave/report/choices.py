"""What a run chose and what it was chosen by, from the files that its steps left."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagweave.calibration import CALIBRATION_SHRINK
from tagweave.config import NETWORK_ALONE
from tagweave.report.artefacts import Artefacts
from tagweave.report.sections import system_name

# A bootstrap of fewer images is too sure of itself: of three that all systems rank perfectly every draw is perfect.
FEWEST_IMAGES = 30


@dataclass(frozen=True)
class Compared:
    """Hold one system's measures on the validation images; the interval is None where it would promise too much."""

    name: str
    mean_average_precision: float | None
    interval: tuple[float, float] | None
    mean_average_precision_10: float | None


@dataclass(frozen=True)
class Validation:
    """Hold the systems side by side on the validation images.

    Attributes:
        positives: known cells that are. labels, labels_10: how many have one, and ten, positives among the images.
        few: whether the images are too few to tell systems apart.
        ahead, level, behind: systems that the main one is better than, cannot be told from, and is worse than; all
            empty where they are too few, or the run kept no intervals.
    """

    images: int
    positives: int
    labels: int
    labels_10: int
    systems: list[Compared]
    main_name: str
    few: bool
    ahead: list[str]
    level: list[str]
    behind: list[str]


@dataclass(frozen=True)
class Epochs:
    """Hold how long the network learned.

    Attributes:
        most: that the settings allow. first: of the training without validation images. best: the one of them with the
            highest validation mAP, and that mAP; None where none was measured. final: of the network handed over.
        refit: whether that one learned from the validation images too.
    """

    most: int
    first: int
    best: int | None
    best_precision: float | None
    final: int
    refit: bool


@dataclass(frozen=True)
class Mixture:
    """Hold the shares of the classifier's parts.

    Attributes:
        network, places, propagation: shares of sum 1.
        chosen: whether they were left to the run; otherwise they were set.
        images: validation images that mixtures were compared on; None where there were too few.
        usual_precision: mAP of the usual mixture there. best, best_precision: shares of the best mixture, and its mAP.
        ahead: the 95 % interval of how far that is ahead.
    """

    network: float
    places: float
    propagation: float
    chosen: bool
    images: int | None = None
    usual_precision: float | None = None
    best: tuple[float, ...] = ()
    best_precision: float | None = None
    ahead: tuple[float, float] | None = None

    @property
    def moved(self) -> bool:
        """Whether the validation images moved them from the usual ones."""
        return self.ahead is not None and self.ahead[0] > 0


@dataclass(frozen=True)
class Choices:
    """Hold what was chosen; None, or empty, where the run has nothing to tell of it.

    Attributes:
        propagation: ``graph_share``, ``blends``, ``ridge_penalty`` and ``penalties`` of ``metrics.json``.
        mixture: of the classifier's parts; None where the network is alone or the run kept no record.
        joined: whether others than the network have a say in the classifier. alone_by_setting: whether
            ``train.shares`` left them out.
        uncalibrated: labels without a validation positive. shared: those with some, but so few that the curve common to
            all labels outweighs their own.
    """

    validation: Validation | None
    propagation: dict[str, Any]
    folds: int | None
    mixture: Mixture | None
    joined: bool
    alone_by_setting: bool
    epochs: Epochs | None
    uncalibrated: list[str]
    shared: list[str]


def choices(artefacts: Artefacts) -> Choices:
    """Return what the run chose, as its measures, its training's record and its settings tell."""
    settings = _settings(artefacts.config)
    train = settings.get("train", {})
    found = artefacts.metrics["splits"].get("val")
    main = found["systems"][artefacts.metrics["main"]] if found else {"per_label": []}
    positives = {row["label"]: row["positives"] for row in main["per_label"]}
    return Choices(
        validation=_validation(artefacts, found["systems"]) if found else None,
        propagation=artefacts.metrics.get("propagation") or {},
        folds=settings.get("graph", {}).get("folds"),
        mixture=_mixture(artefacts, train),
        joined=artefacts.metrics.get("joined", True),
        alone_by_setting=tuple(train.get("shares") or ()) == NETWORK_ALONE,
        epochs=_epochs(artefacts, train),
        uncalibrated=[name for name, number in positives.items() if number == 0],
        shared=[name for name, number in positives.items() if 0 < number < CALIBRATION_SHRINK],
    )


def _settings(config: str | None) -> dict[str, Any]:
    """Return the settings; none where the text, which the page shows as it is, is no TOML."""
    try:
        return tomllib.loads(config or "")
    except tomllib.TOMLDecodeError:
        return {}


def _mixture(artefacts: Artefacts, train: dict[str, Any]) -> Mixture | None:
    shares = (artefacts.trained or {}).get("shares")
    if not shares or not artefacts.metrics.get("joined", True):
        return None
    compared = dict[str, Any]()
    if found := (artefacts.trained or {}).get("mixtures"):
        usual, best = found["tried"][0], found["tried"][found["best"]]
        compared = {
            "images": found["images"], "usual_precision": usual["mAP"], "best": tuple(best["shares"]),
            "best_precision": best["mAP"], "ahead": _pair(found["ahead"]),
        }  # fmt: skip
    network, places, spread = shares
    return Mixture(network, places, spread, chosen=not train.get("shares"), **compared)


def _validation(artefacts: Artefacts, systems: dict[str, dict[str, Any]]) -> Validation:
    main = artefacts.metrics["main"]
    one, names = systems[main], {key: system_name(artefacts, key) for key in systems}
    few = one["images"] < FEWEST_IMAGES
    gaps = {} if few else {key: system.get("main_ahead") for key, system in systems.items() if key != main}
    signs = {names[key]: _sign(*gap) for key, gap in gaps.items() if gap}
    return Validation(
        images=one["images"],
        positives=sum(row["positives"] for row in one["per_label"]),
        labels=one["labels_with_positives"],
        labels_10=one["labels_with_10_positives"],
        systems=[
            Compared(names[key], system["mAP"], None if few else _pair(system.get("mAP_interval")), system["mAP_10"])
            for key, system in systems.items()
        ],
        main_name=names[main],
        few=few,
        ahead=[name for name, sign in signs.items() if sign > 0],
        level=[name for name, sign in signs.items() if sign == 0],
        behind=[name for name, sign in signs.items() if sign < 0],
    )


def _sign(low: float, high: float) -> int:
    """Return on which side of 0 an interval lies, 0 where it holds it."""
    return int(np.sign(low)) if low * high > 0 else 0


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])


def _epochs(artefacts: Artefacts, train: dict[str, Any]) -> Epochs | None:
    """Return the epochs of the last round; None where the record or the settings are not there."""
    if not artefacts.history or not artefacts.trained or "refit" not in train:
        return None
    last = max(row.get("round", 1) for row in artefacts.history)
    rows = [row for row in artefacts.history if row.get("round", 1) == last]
    scores = [(number, row["val_mAP"]) for number, row in enumerate(rows, 1) if row["val_mAP"] is not None]
    best = max(scores, key=lambda pair: pair[1], default=(None, None))
    return Epochs(
        most=train["epochs"], first=len(rows), best=best[0], best_precision=best[1],
        final=artefacts.trained["epochs"], refit=train["refit"],
    )  # fmt: skip
