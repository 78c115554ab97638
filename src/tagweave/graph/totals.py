"""Label totals: how much of every label arrives at every image (METHOD §1.4, §1.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.graph.blocks import Progress
from tagweave.graph.diffusion import Diffusion, build_diffusion
from tagweave.graph.image_graph import ImageGraph
from tagweave.graph.strength import link_strength, normalise, reweight_by_agreement

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Totals:
    """Hold label totals: a (N, C) positive and b (N, C) known mass that arrived, and scores f (N, C) in [0, 1].

    ``unclamped`` is f before the known cells were set to their values.
    """

    a: Floats
    b: Floats
    scores: Floats
    unclamped: Floats
    rounds: int = 1


def label_totals(normalised: sparse.csr_array, labels: LabelMatrix, diffusion: Diffusion, kappa: float) -> Totals:
    """Total each label one against the rest (METHOD §1.4).

    a_ic = sum_j H_ij O_jc Y_jc, b_ic = sum_j H_ij O_jc, f_ic = (a_ic + kappa pi_c) / (b_ic + kappa), with H the
    diffusion operator and pi the labels' rates. Where nothing arrives f is pi. Known cells are clamped to Y.
    """
    masks, column = labels.known_masks()
    # b depends on O alone: labels known of the same images share one column, which nearly halves the work.
    arrived = diffusion(normalised, np.concatenate([labels.values & labels.known, masks], axis=1))
    count = len(labels.names)
    b = np.maximum(arrived[:, count:], 0.0)[:, column]
    a = np.clip(arrived[:, :count], 0.0, b)  # as it is but for what the solver leaves out
    del arrived
    rates = labels.rates()
    mass = b + kappa
    free = np.divide(a + kappa * rates, mass, out=np.broadcast_to(rates, a.shape).copy(), where=mass > 0)
    return Totals(a, b, np.where(labels.known, labels.values, free), free)


def dynamic_totals(graph: ImageGraph, labels: LabelMatrix, progress: Progress | None = None) -> Totals:
    """Total the labels over rounds of dynamic link strength (METHOD §1.5).

    Round 1 is static. Every later round reweights W by the agreement of the scores, recomputes S and Ŝ from it and
    totals again, all nodes at once, until the scores move by less than ``tol`` on average or ``rounds`` are done.
    ``progress`` is that of the diffusion, anew in every round.
    """
    settings = graph.settings
    diffusion = build_diffusion(settings.diffusion, settings.t, settings.alpha, progress=progress)
    totals = label_totals(graph.normalised, labels, diffusion, settings.kappa)
    for number in range(2, settings.rounds + 1):
        weights = reweight_by_agreement(graph.weights, totals.scores, settings.eta)
        strength = normalise(link_strength(weights, settings.strength))
        following = label_totals(strength, labels, diffusion, settings.kappa)
        moved = float(np.abs(following.scores - totals.scores).mean())
        totals = Totals(following.a, following.b, following.scores, following.unclamped, number)
        if moved < settings.tol:
            break
    return totals


def single_label(totals: Totals) -> NDArray[np.int64]:
    """Return the label with the largest total a per image (N,): the paper's rule for exclusive labels."""
    return totals.a.argmax(axis=1)
