"""From scores to calibrated probabilities and thresholds, per label, with few positives in mind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

Floats = NDArray[np.float64]

BLOCK_CELLS = 1 << 17  # cells worked on at once: the temporaries of a block stay in a core's cache
RIDGE = 1e-3  # precision that keeps the Newton systems regular where the scores say nothing
FLATTEST = 1e-3  # least global slope per standard deviation of the scores: the order is kept even where it misleads
ITERATIONS = 500  # ten do; nearly separable scores almost without a prior take hundreds
TOLERANCE = 1e-7  # largest last step in (log slope, offset) of standardised scores
CALIBRATION_SHRINK = 5.0  # positives at which a label's own map weighs as much as the common one
THRESHOLD_SHRINK = 10.0  # positives at which its own threshold weighs as much as the common one
KNOT_POSITIVES = 20  # that a knot of the curve should rest on
MOST_KNOTS = 25


@dataclass(frozen=True)
class Calibration:
    """Hold one increasing map per label from score z to probability: p = sigmoid(slope_c z + offset_c).

    Attributes:
        slope: (C,), above 0, so that the order of a label's scores never changes.
        offset: (C,).

    Raises:
        InputError: the lengths differ, a value is not finite, or a slope is not above 0.
    """

    slope: Floats
    offset: Floats

    def __post_init__(self) -> None:
        if self.slope.ndim != 1 or self.slope.shape != self.offset.shape:
            raise InputError(
                f"Expected one slope and one offset per label, but got {_shapes(self.slope, self.offset)}."
            )
        if not (np.isfinite(self.slope).all() and np.isfinite(self.offset).all() and (self.slope > 0).all()):
            raise InputError("Expected finite offsets and finite slopes above 0; fit the calibration again.")

    def apply(self, scores: NDArray[Any]) -> Floats:
        """Return the probabilities (N, C) of scores (N, C) on the scale that the calibration was fitted on."""
        if scores.ndim != 2 or scores.shape[1] != len(self.slope):
            raise InputError(f"Expected scores of shape (images, {len(self.slope)} labels), but got {scores.shape}.")
        logits = scores * self.slope
        logits += self.offset
        return expit(logits, out=logits)

    def to_json(self) -> dict[str, list[float]]:
        """Return the parameters as JSON-ready lists; floats survive the round trip to the bit."""
        return {"slope": self.slope.tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_json(cls, parameters: Mapping[str, Sequence[float]]) -> Calibration:
        """Return the calibration that ``to_json`` described."""
        missing = [key for key in ("slope", "offset") if key not in parameters]
        if missing:
            raise InputError(f"Expected a calibration with slope and offset, but {' and '.join(missing)} is missing.")
        return cls(np.asarray(parameters["slope"], np.float64), np.asarray(parameters["offset"], np.float64))


@dataclass(frozen=True)
class Curve:
    """Hold one increasing map of probabilities for all labels: linear in log-odds between K knots, then of slope 1.

    Attributes:
        claimed: (K,) log-odds, increasing. found: (K,) log-odds that they are mapped to, increasing.
            Without knots nothing changes.
    """

    claimed: Floats
    found: Floats

    def apply(self, probabilities: NDArray[Any]) -> Floats:
        """Return the mapped probabilities (N, C); 0 and 1 stay what they are."""
        mapped = np.array(probabilities, dtype=np.float64)
        for rows in blocks_of(*mapped.shape) if len(self.claimed) else ():
            odds = logit(mapped[rows])
            inner = np.clip(odds, self.claimed[0], self.claimed[-1])
            # Slope 1 beyond the knots: nothing was counted there, so a claim is moved as far as the last knot was.
            beyond = np.subtract(odds, inner, out=np.zeros_like(odds), where=odds != inner)
            mapped[rows] = expit(np.interp(inner, self.claimed, self.found) + beyond)
        return mapped


def fit_calibration(scores: NDArray[Any], labels: LabelMatrix, shrink: float = CALIBRATION_SHRINK) -> Calibration:
    """Fit hierarchical Platt scaling: a map per label, drawn to one global map the more the fewer its positives.

    Global map (α, b): maximum likelihood of p = sigmoid(e^α z + b) over all known cells, z standardised by their mean
    and deviation, with Platt's targets (n+ + 1) / (n+ + 2) for positives and 1 / (n- + 2) for negatives.
    Map of label c: maximum a posteriori of the same likelihood over its known cells, under the prior
    (α_c, b_c) ~ Normal((α, b), (shrink I / n+)^-1), where I is the Fisher information (2, 2) of all known cells about
    (α, b) and n+ all known positives: the prior is worth ``shrink`` positives of average evidence.

    A label without a known positive takes the global slope and an offset so low that its own highest known score maps
    to 1 / (n-_c + 2) at most, its smoothed rate: what scores higher is not ruled out. Where nothing of it is known, the
    mean of all known scores maps to 1/2 at most.

    Args:
        scores: (N, C), any scale; the result maps this scale. Unknown cells are not read.
        labels: Y and O (N, C).
        shrink: number of positives at which a label's own evidence weighs as much as the global map. Near 0 every
            label stands alone; a very large number gives all labels with positives the global map.

    Raises:
        InputError: shapes disagree, a known score is not finite, or ``shrink`` is not above 0.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; the prior over labels is ours.
    """
    check_scores(scores, labels)
    if not shrink > 0:
        raise InputError(f"Expected shrink above 0, but got {shrink}; near 0 leaves every label to itself.")
    centre, spread = _moments(scores, labels.known)
    blocks = _standardised_blocks(scores, labels, centre, spread)
    pool = _fit_pool(blocks, labels)
    information = sum((_log_terms(block, _tile(pool, block))[2].sum(axis=0) for block in blocks), np.zeros((2, 2)))
    precision = shrink * information / max(int(labels.positives.sum()), 1) + RIDGE * np.eye(2)
    theta = np.concatenate([np.empty((0, 2)), *(_fit_labels(block, pool, precision) for block in blocks)])
    without = labels.positives == 0
    highest = np.where(labels.known, scores, -np.inf).max(axis=0, initial=-np.inf)
    highest = np.where(np.isfinite(highest), highest, centre)
    # logit(1 / (n + 2)) = -log(n + 1)
    bound = -np.log(labels.negatives + 1.0) - np.exp(pool[0]) * (highest - centre) / spread
    theta[without] = pool
    theta[without, 1] = np.minimum(pool[1], bound[without])
    slope = np.exp(theta[:, 0]) / spread
    return Calibration(slope, theta[:, 1] - slope * centre)


def fit_curve(probabilities: NDArray[Any], labels: LabelMatrix, prior: float = 3.0) -> Curve:
    """Fit the curve from claimed probability to the share of positives, over the known cells of all labels.

    Mends what the sigmoids of ``fit_calibration`` cannot bend to: scores with heavy tails are claimed too surely at
    both ends. Cells are cut into bins of ``KNOT_POSITIVES`` claimed positives; bin b with n_b cells, mean claim m_b
    and k_b positives is found at (k_b + w_b m_b) / (n_b + w_b) with w_b = prior / min(m_b, 1 - m_b). Isotonic
    regression joins bins out of order, and each joined block becomes one knot at its mean claim, so that the curve
    rises strictly.

    Args:
        probabilities: (N, C) in 0..1, calibrated without the labels that they are compared with; unknown cells are
            not read.
        labels: Y and O (N, C).
        prior: cells of a bin's rarer answer that its claim is worth.

    Raises:
        InputError: shapes disagree, or a known probability lies outside 0..1.

    Source: Oron & Flournoy 2017, "Centered isotonic regression".
    """
    check_probabilities(probabilities, labels)
    claims = probabilities[labels.known].astype(np.float64)
    if not claims.sum() > 0:
        return Curve(np.empty(0), np.empty(0))
    cells, claimed, positive = _equal_mass_bins(claims, labels.values[labels.known])
    mean = np.clip(claimed / cells, 1e-12, 1.0 - 1e-12)
    weight = prior / np.minimum(mean, 1.0 - mean)
    found = isotonic_regression((positive + weight * mean) / (cells + weight), weights=cells + weight)
    starts = found.blocks[:-1]
    centres = np.add.reduceat(mean * cells, starts) / np.add.reduceat(cells, starts)
    return Curve(logit(centres), logit(found.x[starts]))


def cross_fit(
    fit: Callable[[NDArray[Any], LabelMatrix], Calibration | Curve],
    inputs: NDArray[Any],
    labels: LabelMatrix,
    folds: NDArray[np.int64],
) -> Floats:
    """Return each row's probabilities (n, C) by the map that ``fit`` finds without the labels of the row's fold.

    Args:
        fit: ``fit_calibration`` or ``fit_curve``.
        inputs: (n, C) what it maps, made without the row's own label.
        labels: Y and O (n, C).
        folds: (n,) number of each row's fold.
    """
    mapped = np.empty(inputs.shape)
    for fold in np.unique(folds):
        rows = folds == fold
        mapped[rows] = fit(inputs, labels.hide(rows)).apply(inputs[rows])
    return mapped


def tune_thresholds(probabilities: NDArray[Any], labels: LabelMatrix, shrink: float = THRESHOLD_SHRINK) -> Floats:
    """Return each label's threshold (C,) of best F1 on known cells, drawn to the global one when positives are few.

    t_c = w own_c + (1 - w) global, w = n+_c / (n+_c + shrink), for the rule p >= t. ``own`` maximises the label's F1,
    ``global`` the micro-F1 of one threshold for all; both lie midway between two neighbouring probabilities (the
    lowest one's neighbour is 0), and of equal maxima the highest is taken. A label without a known positive gets the
    global threshold, which is 0.5 if no label has one.

    Args:
        probabilities: (N, C) in 0..1; unknown cells are not read.
        labels: Y and O (N, C).
        shrink: number of positives at which own and global threshold weigh the same; 0 takes the own one as it is.

    Returns:
        Thresholds strictly between 0 and 1.

    Raises:
        InputError: shapes disagree, a known probability lies outside 0..1, or ``shrink`` is negative.
    """
    check_probabilities(probabilities, labels)
    if not shrink >= 0:
        raise InputError(f"Expected shrink of at least 0, but got {shrink}; 0 takes each label's own threshold.")
    known, values, positives = labels.known, labels.values, labels.positives
    if not positives.any():
        return np.full(len(positives), 0.5)
    common = _best_threshold(probabilities[known], values[known])
    thresholds = np.full(len(positives), common)
    for label in np.flatnonzero(positives):
        cells = known[:, label]
        own = _best_threshold(probabilities[cells, label], values[cells, label])
        weight = positives[label] / (positives[label] + shrink)
        thresholds[label] = weight * own + (1.0 - weight) * common
    return thresholds


def reliability(probabilities: NDArray[Any], labels: LabelMatrix, bins: int = 15) -> dict[str, list[Any]]:
    """Compare claimed probability with the share of positives, per bin of equal width over all known cells.

    Args:
        probabilities: (N, C) in 0..1; unknown cells are not read.
        labels: Y and O (N, C).
        bins: number of bins [e_b, e_b+1); the last one includes 1.

    Returns:
        JSON-ready: ``edges`` (bins + 1), ``mean_probability`` and ``positive_share`` (bins; None in an empty bin),
        ``cells`` (bins).

    Raises:
        InputError: shapes disagree, a known probability lies outside 0..1, or ``bins`` is below 1.
    """
    cells, claimed, positive = _bin_sums(probabilities, labels, bins)
    return {
        "edges": np.linspace(0.0, 1.0, bins + 1).tolist(),
        "mean_probability": [
            total / n if n else None for total, n in zip(claimed.tolist(), cells.tolist(), strict=True)
        ],
        "positive_share": [
            total / n if n else None for total, n in zip(positive.tolist(), cells.tolist(), strict=True)
        ],
        "cells": cells.astype(int).tolist(),
    }


def expected_calibration_error(probabilities: NDArray[Any], labels: LabelMatrix, bins: int = 15) -> float:
    """Return ECE = sum_b n_b / n |mean probability_b - share of positives_b| over the bins of ``reliability``.

    0 is perfect, 1 the worst; nan when no cell is known. Errors as in ``reliability``.

    Source: Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    cells, claimed, positive = _bin_sums(probabilities, labels, bins)
    return float(np.abs(claimed - positive).sum() / cells.sum()) if cells.any() else float("nan")


def check_scores(scores: NDArray[Any], labels: LabelMatrix) -> None:
    """Raise InputError unless ``scores`` has the shape of ``labels`` and is finite wherever a label is known."""
    if scores.shape != labels.known.shape:
        raise InputError(f"Expected scores of shape {labels.known.shape} (images, labels), but got {scores.shape}.")
    faulty = (~np.isfinite(scores) & labels.known).sum(axis=0)
    if faulty.any():
        worst = int(faulty.argmax())
        raise InputError(
            f"Expected finite scores in known cells, but got {faulty.sum()} that are not, "
            f"most of them ({faulty[worst]}) for label '{labels.names[worst]}'; score these images again."
        )


def check_probabilities(probabilities: NDArray[Any], labels: LabelMatrix) -> None:
    """Raise InputError unless the known cells of ``probabilities`` (N, C) lie in 0..1."""
    check_scores(probabilities, labels)
    outside = ((probabilities < 0) | (probabilities > 1)) & labels.known
    if outside.any():
        cells = probabilities[labels.known]
        raise InputError(
            f"Expected probabilities in 0..1, but got {cells.min():g} to {cells.max():g}; "
            "apply a calibration or a sigmoid first."
        )


def blocks_of(rows: int, width: int) -> Iterator[slice]:
    """Yield slices that cover ``rows`` rows of ``width`` cells in blocks of about ``BLOCK_CELLS`` cells."""
    step = max(1, BLOCK_CELLS // max(width, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


@dataclass(frozen=True)
class _Block:
    """Hold some labels' standardised scores (c, N), 0 where unknown, and what the likelihood needs of the targets."""

    scores: Floats
    known: NDArray[np.bool_]
    target_sum: Floats  # (c,) sum of targets t
    target_moment: Floats  # (c,) sum of t z


_Terms = tuple[Floats, Floats, Floats]  # per map: loss (n,), gradient (n, 2), Hessian or its stand-in (n, 2, 2)


def _moments(scores: NDArray[Any], known: NDArray[np.bool_]) -> tuple[float, float]:
    """Return mean and standard deviation (1 where it vanishes) of the known scores."""
    cells = scores[known].astype(np.float64)
    if not len(cells):
        return 0.0, 1.0
    centre, spread = float(cells.mean()), float(cells.std())
    # below the rounding of the mean a spread is noise, not scale
    return centre, spread if spread > 1e-12 * abs(centre) else 1.0


def _standardised_blocks(scores: NDArray[Any], labels: LabelMatrix, centre: float, spread: float) -> list[_Block]:
    """Cut the labels into blocks of standardised scores with Platt's smoothed targets of the whole pool."""
    positives, negatives = labels.positives, labels.negatives
    above = (positives.sum() + 1.0) / (positives.sum() + 2.0)
    below = 1.0 / (negatives.sum() + 2.0)
    result = []
    for columns in blocks_of(len(labels.names), len(labels)):
        known, values = labels.known[:, columns].T.copy(), labels.values[:, columns].T
        standard = (np.where(known, scores[:, columns].T, centre) - centre) / spread
        moment = below * standard.sum(axis=1) + (above - below) * (standard * values).sum(axis=1)
        result.append(_Block(standard, known, above * positives[columns] + below * negatives[columns], moment))
    return result


def _fit_pool(blocks: Sequence[_Block], labels: LabelMatrix) -> Floats:
    """Return the global (log slope, offset) (2,).

    Fitted in (slope, offset), where the likelihood is convex also on separable data. Where the best slope is not
    above 0 the scores mislead, and the best map without a slope takes its place.
    """
    odds = float(np.log((labels.positives.sum() + 1.0) / (labels.negatives.sum() + 1.0)))
    start = np.array([[1.0, odds]])

    def objective(theta: Floats) -> _Terms:
        away = theta - start
        sums: list[Floats] = [0.5 * RIDGE * (away**2).sum(axis=1), RIDGE * away, RIDGE * np.eye(2)[None]]
        for block in blocks:
            for total, terms in zip(sums, _linear_terms(block, _tile(theta[0], block)), strict=True):
                total += terms.sum(axis=0)
        return sums[0], sums[1], sums[2]

    slope, offset = _minimise(objective, start)[0]
    return np.array([np.log(slope), offset]) if slope > FLATTEST else np.array([np.log(FLATTEST), odds])


def _fit_labels(block: _Block, pool: Floats, precision: Floats) -> Floats:
    """Return the most probable (log slope, offset) of each label (c, 2) under the prior Normal(pool, precision^-1)."""

    def objective(theta: Floats) -> _Terms:
        loss, gradient, fisher = _log_terms(block, theta)
        away = theta - pool
        pull = away @ precision
        fisher = fisher + precision
        hessian = fisher.copy()
        # d2p/dα2 = dp/dα since the slope is e^α: the one term by which the Hessian differs from Fisher's information
        hessian[:, 0, 0] += gradient[:, 0]
        convex = np.linalg.det(hessian) > 0.01 * np.linalg.det(fisher)
        return (
            loss + 0.5 * (away * pull).sum(axis=1),
            gradient + pull,
            np.where(convex[:, None, None], hessian, fisher),
        )

    return _minimise(objective, _tile(pool, block))


def _tile(theta: Floats, block: _Block) -> Floats:
    """Repeat one map (2,) for every label of the block (c, 2)."""
    return np.tile(theta, (len(block.scores), 1))


def _log_terms(block: _Block, theta: Floats) -> _Terms:
    """Return loss, gradient and Fisher information at (log slope, offset) (c, 2)."""
    scale = np.stack([np.exp(theta[:, 0]), np.ones(len(theta))], axis=1)
    loss, gradient, information = _linear_terms(block, np.stack([scale[:, 0], theta[:, 1]], axis=1))
    return loss, gradient * scale, information * scale[:, :, None] * scale[:, None, :]


def _linear_terms(block: _Block, theta: Floats) -> _Terms:
    """Return the negative log likelihood at (slope, offset) (c, 2), its gradient and its Hessian, which is Fisher's."""
    slope, offset = theta.T
    logits = slope[:, None] * block.scores + offset[:, None]
    probabilities = expit(logits)
    # log(1 + e^x) = max(x, 0) - log sigmoid(|x|), from the sigmoid at hand
    surprise = np.maximum(logits, 0.0) - np.log(np.maximum(probabilities, 1.0 - probabilities))
    softplus = np.einsum("cn,cn->c", surprise, block.known)
    probabilities *= block.known
    variances = probabilities * (1.0 - probabilities)
    loss = softplus - slope * block.target_moment - offset * block.target_sum
    by_slope = np.einsum("cn,cn->c", probabilities, block.scores) - block.target_moment
    by_offset = probabilities.sum(axis=1) - block.target_sum
    mixed = np.einsum("cn,cn->c", variances, block.scores)
    squared = np.einsum("cn,cn,cn->c", variances, block.scores, block.scores)
    hessian = np.stack([squared, mixed, mixed, variances.sum(axis=1)], axis=1).reshape(-1, 2, 2)
    return loss, np.stack([by_slope, by_offset], axis=1), hessian


def _minimise(objective: Callable[[Floats], _Terms], theta: Floats) -> Floats:
    """Return the minimum (n, 2) of n independent losses by damped Newton steps from ``theta``.

    A step that would raise a map's loss is not taken and that map's damping grows tenfold.
    """
    loss, gradient, curvature = objective(theta)
    damping = np.full(len(theta), 1e-3)
    for _ in range(ITERATIONS):
        damped = curvature * (1.0 + damping[:, None, None] * np.eye(2))
        trial = theta - np.linalg.solve(damped, gradient[..., None])[..., 0]
        moved = np.abs(trial - theta).max(initial=0.0)
        trial_loss, trial_gradient, trial_curvature = objective(trial)
        better = trial_loss <= loss + 1e-12 * np.abs(loss)
        theta = np.where(better[:, None], trial, theta)
        loss = np.where(better, trial_loss, loss)
        gradient = np.where(better[:, None], trial_gradient, gradient)
        curvature = np.where(better[:, None, None], trial_curvature, curvature)
        damping = np.where(better, damping / 10.0, damping * 10.0)
        if moved < TOLERANCE:
            break
    return theta


def _best_threshold(probabilities: NDArray[Any], values: NDArray[np.bool_]) -> float:
    """Return the threshold of the best F1 = 2 hits / (predicted + positives) of cells (n,) with some positives."""
    levels, inverse = np.unique(-probabilities.astype(np.float64), return_inverse=True)
    predicted = np.bincount(inverse).cumsum()
    hits = np.bincount(inverse, weights=values).cumsum()
    best = int(np.argmax(hits / (predicted + hits[-1])))
    lowest_in = -levels[best]
    highest_out = -levels[best + 1] if best + 1 < len(levels) else 0.0
    middle = (lowest_in + highest_out) / 2.0
    # between adjacent floats the midpoint may round to the lower one and would let it in
    threshold = middle if middle > highest_out else lowest_in
    return float(np.clip(threshold, np.finfo(np.float64).tiny, np.nextafter(1.0, 0.0)))


def _equal_mass_bins(claims: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return cells, summed claim and positives of bins of about equal summed claim; equal claims share a bin."""
    order = np.argsort(claims, kind="stable")
    ranked = claims[order]
    mass = np.cumsum(ranked)
    count = int(np.clip(mass[-1] // KNOT_POSITIVES, 1, MOST_KNOTS))
    cuts = np.searchsorted(mass, mass[-1] * np.arange(1, count) / count)
    starts = np.unique(np.concatenate([[0], np.searchsorted(ranked, ranked[cuts], side="left")]))
    cells = np.diff(np.append(starts, len(ranked))).astype(np.float64)
    return cells, np.add.reduceat(ranked, starts), np.add.reduceat(positive[order].astype(np.float64), starts)


def _bin_sums(probabilities: NDArray[Any], labels: LabelMatrix, bins: int) -> tuple[Floats, Floats, Floats]:
    """Return per bin the number of known cells, their summed probability and their number of positives."""
    check_probabilities(probabilities, labels)
    if bins < 1:
        raise InputError(f"Expected at least 1 bin, but got {bins}.")
    edges = np.linspace(0.0, 1.0, bins + 1)
    sums = np.zeros((3, bins))
    for rows in blocks_of(*probabilities.shape):
        known = labels.known[rows]
        cells = probabilities[rows][known].astype(np.float64)
        place = np.minimum(np.searchsorted(edges, cells, side="right") - 1, bins - 1)
        for total, weights in zip(sums, (None, cells, labels.values[rows][known]), strict=True):
            total += np.bincount(place, weights=weights, minlength=bins)
    return sums[0], sums[1], sums[2]


def _shapes(*arrays: NDArray[Any]) -> str:
    return " and ".join(str(array.shape) for array in arrays)
