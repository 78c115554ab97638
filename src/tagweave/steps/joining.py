"""The classifier's parts beside the network, and what share each of them has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from tagweave.config import NETWORK_ALONE
from tagweave.data.labels import LabelMatrix
from tagweave.metrics import average_precisions, mean_average_precision_draws, percentile_interval
from tagweave.steps.collection import Images
from tagweave.steps.fitting import Fit
from tagweave.steps.job import Job
from tagweave.steps.judged import Floats, calibrate, common_curve

if TYPE_CHECKING:
    from torch import nn

    from tagweave.model.local_ridge import LocalRidge

Shares = tuple[float, float, float]  # of network, ridge of places, propagation

STUDENT: Shares = (0.5, 0.5, 0.0)  # what learned from propagated labels, without the graph
PROPAGATION: Shares = (0.0, 0.0, 1.0)
OTHERS: tuple[Shares, ...] = (
    (1 / 3, 1 / 3, 1 / 3), STUDENT, (0.5, 0.0, 0.5), (0.0, 0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), PROPAGATION,
)  # fmt: skip
FEWEST = 30  # validation images that may move the shares


@dataclass(frozen=True)
class Joined:
    """Hold the classifier that is handed over.

    Attributes:
        head: the final network, mixed with the other parts.
        by_choice: logits (n, C) of the validation images by the mixture that never saw them.
        local: probabilities of the ridge of places alone, of validation and of test images.
        facts: of the mixture, for the report.
    """

    head: nn.Module
    by_choice: Floats
    local: tuple[Floats, Floats]
    facts: dict[str, Any]


def is_joined(job: Job, fitted: Fit) -> bool:
    """Tell whether others than the network have a say: they know the backbone only as it was before it learned."""
    return fitted.encoder is None and job.config.train.shares != NETWORK_ALONE


def join(job: Job, images: Images, choice: Fit, final: Fit, by_network: Floats) -> Joined:
    """Join each network with a ridge of places and with what propagation says, both of the same labels.

    ``by_network``: logits (n, C) of the validation images by the network of the choice.
    """
    val, test = images.labelled("val"), images.labelled("test")
    truth = images.labels.take(val)
    ridge = _fit_local(job, images, choice)
    final_ridge = ridge if final is choice else _fit_local(job, images, final)
    by_local = choice.logits(job, ridge, images, val)
    calibration = calibrate(by_local, truth)
    curves = common_curve(by_network, truth), common_curve(by_local, truth)

    def mixed(fitted: Fit, local: LocalRidge, shares: Shares) -> nn.Module:
        return _mixture(job, images, fitted, local, curves, shares)

    shares, facts = job.config.train.shares, dict[str, Any]()
    if shares is None:
        usual = usual_shares(job.folder, final.task.stage)
        parts = [expit(slope * z + offset) for (slope, offset), z in zip(curves, (by_network, by_local), strict=True)]
        parts.append(expit(choice.logits(job, mixed(choice, ridge, PROPAGATION), images, val)))
        shares, facts = choose_shares(parts, truth, usual)
    a, b, c = (f"{share:.0%}" for share in shares)
    job.console.say(f"train: the classifier is {a} network, {b} ridge of places, {c} propagation")
    by_choice = choice.logits(job, mixed(choice, ridge, shares), images, val)
    of_test = calibration.apply(final.logits(job, final_ridge, images, test))
    return Joined(
        mixed(final, final_ridge, shares), by_choice, (calibration.apply(by_local), of_test),
        {"shares": list(shares), "mixtures": facts},
    )  # fmt: skip


def _fit_local(job: Job, images: Images, fitted: Fit) -> LocalRidge:
    """Regress what propagation says on the maps of the pool, without the labelled images that are hidden.

    Images that no label reached, and that have none, teach nothing.
    """
    from tagweave.training.local_ridge import fit_local_ridge

    with np.load(job.folder / "graph" / f"{fitted.task.stage}.npz", allow_pickle=False) as stored:
        pool, probabilities, reached = stored["pool"], stored["probabilities"], stored["reached"]
    use = (reached | images.labels.labelled[pool]) & ~np.isin(pool, fitted.task.hidden)
    return fit_local_ridge(images.maps(pool[use]), probabilities[use])


def _mixture(
    job: Job, images: Images, fitted: Fit, local: LocalRidge, curves: tuple[tuple[float, float], tuple[float, float]],
    shares: Shares,
) -> nn.Module:  # fmt: skip
    import torch

    from tagweave.model.joint import JointHead
    from tagweave.steps.inductive import load_inductive

    propagated = load_inductive(job.folder / "graph" / f"inductive-{fitted.task.stage}.npz")
    slope, offset = (torch.tensor(both) for both in zip(*curves, strict=True))
    untaught = torch.zeros(len(images.labels.names), dtype=torch.bool)
    wanted = job.config.train.shares
    if propagated.names is not None and (wanted is None or wanted[2] > 0):
        # Of all labelled images, the hidden ones too: a label is mixed alike where it is calibrated and in the end.
        positives = images.labels.take(np.flatnonzero(images.is_pool)).positives
        untaught = torch.from_numpy(positives == 0) & propagated.names.tells
    return JointHead(fitted.network, local, propagated, slope, offset, torch.tensor(shares), untaught).eval()


def usual_shares(run: Path, stage: str) -> Shares:
    """Return 1 : 1 : min(2 g, 1), g the graph's share in propagation.

    Where the graph has no say, propagation is ridge regression of the labelled images, which the ridge of places holds
    already; where it has half, as on photographs, all three count alike (docs/log.md).
    """
    with np.load(run / "graph" / f"inductive-{stage}.npz", allow_pickle=False) as stored:
        propagation = min(2.0 * float(stored["share"]), 1.0)
    whole = 2.0 + propagation
    return 1.0 / whole, 1.0 / whole, propagation / whole


def choose_shares(parts: Sequence[Floats], truth: LabelMatrix, usual: Shares) -> tuple[Shares, dict[str, Any]]:
    """Return the mixture of highest mAP on validation images where it is surely ahead of the usual one, else that.

    Surely: the 95 % bootstrap interval of how far it is ahead, over draws of the images, lies above 0; on few images
    nothing is.

    Args:
        parts: probabilities (n, C) by network, ridge of places and propagation, whose labels taught them nothing;
            propagation knows the images themselves, as they stand in its graph.
        truth: (n, C).
        usual: shares when in doubt.

    Returns:
        the shares, and for the report the number of ``images``, mAP of the mixtures that were ``tried``, the usual one
        first, ``best``, the place of the best of them, and ``ahead``, the interval. Nothing where the images are too
        few.
    """
    if len(truth) < FEWEST or not truth.positives.any():
        return usual, {}
    mixtures = (usual, *OTHERS)
    mixed: list[Floats] = [np.average(parts, axis=0, weights=shares) for shares in mixtures]
    areas = [float(np.nanmean(average_precisions(scores, truth))) for scores in mixed]
    best = int(np.argmax(areas))
    before, after = (mean_average_precision_draws(mixed[place], truth) for place in (0, best))
    low, high = percentile_interval(after - before)
    tried = [{"shares": list(shares), "mAP": area} for shares, area in zip(mixtures, areas, strict=True)]
    facts = {"images": len(truth), "tried": tried, "best": best, "ahead": [low, high]}
    return (mixtures[best] if low > 0 else usual), facts
