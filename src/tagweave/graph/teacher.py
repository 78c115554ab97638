"""A closed-form teacher: ridge regression of the labels on the features, tuned by leaving one out.

Our addition to the method: on few labels it is stronger than any classifier trained by gradient on the same features,
costs seconds, and its scores join those of the graph in a proportion that cross-fitting decides. Where something is
known of the labels before any image is labelled, it starts from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tagweave.calibration import Calibration, fit_calibration
from tagweave.data.labels import LabelMatrix
from tagweave.graph.blocks import one_blas_thread, row_blocks

Floats = NDArray[np.float64]

BLOCK = 8_192  # rows that are turned to float64 at a time
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)
PULL = 10  # positives with which a label's own strength of the prior counts as much as that of all labels
UNKNOWN_SPREAD = 0.5  # sqrt(pi (1 - pi)) of a label that is known nowhere


@dataclass(frozen=True)
class Teacher:
    """Score labels linearly: z = x weight + bias + lift s, s what is known of the labels beforehand.

    Attributes:
        weight: (D, C). bias: (C,). penalty: the chosen ridge penalty.
        errors: by penalty that was tried, the mean squared error of known cells left out, without the prior.
        left_out: (N, C), on known cells the score by a fit without that image, elsewhere 0.
        strength: rho of all labels together, from 0, of what was known beforehand. lift: (C,), that of each label.
        plain: the teacher of the same labels to whom nothing was known beforehand; None where that is this one.
    """

    weight: Floats
    bias: Floats
    penalty: float
    errors: dict[float, float]
    left_out: Floats
    strength: float
    lift: Floats
    plain: Teacher | None = None

    def score(self, unit: NDArray[np.floating], prior: NDArray[np.floating] | None = None) -> Floats:
        """Return scores (N, C) of unit features (N, D) and s (N, C); about 0 for absent and 1 for present."""
        scores = np.empty((len(unit), len(self.bias)))
        with one_blas_thread():
            for rows in row_blocks(len(unit), BLOCK):
                np.matmul(unit[rows], self.weight, out=scores[rows])
        scores += self.bias
        if prior is None:
            assert not self.lift.any(), "the teacher was fitted with a prior and must score with one"
        else:
            scores += self.lift * prior
        return scores


def fit_teacher(
    unit: NDArray[np.floating], labels: LabelMatrix, penalties: tuple[float, ...] = PENALTIES,
    prior: NDArray[np.floating] | None = None,
) -> Teacher:  # fmt: skip
    """Fit ridge regression with an unpenalised intercept on the known cells of each label.

    min over w, b of sum_i (y_i - lift s_i - <w, x_i> - b)^2 + penalty |w|^2, one penalty for all labels: the one with
    the least squared error, without s, when each image is left out once, for which ridge has a closed form. Labels with
    the same known images are solved together.

    lift_c = rho_c sqrt(pi_c (1 - pi_c)), pi_c = (positives + 1/2) / (known + 1): were s of deviation 1, it would tell
    the label with correlation rho_c. In closed form, what is left over of y is regressed on what is left over of s:
    for all labels with a positive together, in units of sqrt(pi (1 - pi)), and for each label by itself; rho_c is the
    mean of the two, that of all labels with the weight of 10 positives (or negatives, where these are fewer). It is 0
    where s misleads, of all labels where it misleads for all together.

    Args:
        unit: x (N, D), unit length.
        labels: (N, C); a label without known cells scores 0, or what its prior says.
        penalties: the choices.
        prior: s (N, C), what is known of the labels without any labelled image; 0 where nothing is.
    """
    with one_blas_thread():
        groups = [_group(unit, labels, rows, columns, prior) for rows, columns in _known_groups(labels)]
        fits = [_fit(group, penalties) for group in groups]
        errors = sum((fit.errors[:, 0].sum(axis=1) for fit in fits), start=np.zeros(len(penalties)))
        errors /= max(int(labels.known.sum()), 1)
        tried = dict(zip(penalties, errors.tolist(), strict=True))
        chosen = int(np.argmin(errors))
        empty = Teacher(
            np.zeros((unit.shape[1], len(labels.names))), np.zeros(len(labels.names)), penalties[chosen], tried,
            np.zeros(labels.values.shape), 0.0, np.zeros(len(labels.names)),
        )  # fmt: skip
        plain = _assembled(empty, groups, fits, chosen, 0.0, [np.zeros(len(group.columns)) for group in groups])
        if prior is None:
            return plain
        with_prior = _assembled(empty, groups, fits, chosen, *_strengths(groups, fits, chosen))
        return replace(with_prior, plain=plain)


def _assembled(
    empty: Teacher, groups: Sequence[_Group], fits: Sequence[_Fit], chosen: int, strength: float,
    strengths: Sequence[Floats],
) -> Teacher:  # fmt: skip
    """Return ``empty`` filled with the fits of the penalty at place ``chosen``; ``strengths``: rho (c,) by group."""
    weight, bias, left_out = empty.weight.copy(), empty.bias.copy(), empty.left_out.copy()
    lift = np.full(len(bias), strength * UNKNOWN_SPREAD)
    for group, fit, rho in zip(groups, fits, strengths, strict=True):
        columns = group.columns
        targets, both = group.without(group.targets, rho), group.without(fit.weights[chosen], rho)
        mean = group.without(group.mean, rho)
        weight[:, columns], bias[columns] = both, mean - group.x_mean @ both
        lift[columns] = rho * group.spread
        for block, x in group.blocks():
            found = _left_out(targets[block], mean, x, both, fit.leverages[chosen, block])
            known_before = group.targets[block, len(columns) :] * rho if group.has_prior else 0.0
            left_out[np.ix_(group.rows[block], columns)] = found + known_before
    return replace(empty, weight=weight, bias=bias, left_out=left_out, strength=strength, lift=lift)


def _strengths(groups: Sequence[_Group], fits: Sequence[_Fit], chosen: int) -> tuple[float, list[Floats]]:
    """Return rho of all labels together, in units in which those with a positive count alike, and of each (c,)."""
    sums = []
    for group, fit in zip(groups, fits, strict=True):
        unit_share = np.where(group.mean[: len(group.columns)] > 0, group.spread**-2.0, 0.0)
        sums.append(fit.errors[chosen, 1:] * unit_share)
    cross, square = sum((both.sum(axis=1) for both in sums), start=np.zeros(2))
    common = max(float(cross / square), 0.0) if square > 0 else 0.0
    own = []  # none where all together mislead
    for group, (part, whole) in zip(groups, sums, strict=True):
        rho = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        positives = group.mean[: len(group.columns)] * len(group.rows)
        examples = np.where(whole > 0, np.minimum(positives, len(group.rows) - positives), 0.0)
        drawn = np.maximum((examples * rho + PULL * common) / (examples + PULL), 0.0)
        own.append(drawn if common > 0 else np.zeros_like(drawn))
    return common, own


def fit_linear(unit: NDArray[np.floating], labels: LabelMatrix) -> tuple[Teacher, Calibration]:
    """Fit the teacher alone, calibrated on its left-out scores: the classifier of the labelled images only."""
    teacher = fit_teacher(unit, labels)
    return teacher, calibrate_left_out(teacher, labels)


def calibrate_left_out(teacher: Teacher, labels: LabelMatrix) -> Calibration:
    """Calibrate a teacher of ``labels`` on its left-out scores."""
    rows = labels.labelled
    return fit_calibration(teacher.left_out[rows], labels.take(rows))


def _known_groups(labels: LabelMatrix) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return (rows, columns) of labels that share their known images; labels without any are left out."""
    masks, group = labels.known_masks()
    return [
        (np.flatnonzero(masks[:, number]), np.flatnonzero(group == number))
        for number in range(masks.shape[1])
        if masks[:, number].any()
    ]


@dataclass(frozen=True)
class _Group:
    """Labels that share their known images: X (n, D), centred as it is read in blocks of rows.

    Attributes:
        targets: y (n, c), and beside it, where there is a prior s, ``spread`` s (n, c). mean: of the targets.
        spread: sqrt(pi (1 - pi)) (c,).
    """

    unit: NDArray[np.floating]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    targets: Floats
    x_mean: Floats
    mean: Floats
    spread: Floats

    @property
    def has_prior(self) -> bool:
        return self.targets.shape[1] > len(self.columns)

    def without(self, both: Floats, strength: Floats) -> Floats:
        """Return what belongs to y - strength ``spread`` s of an array (..., 2 c) that belongs to each."""
        of_labels, of_prior = both[..., : len(self.columns)], both[..., len(self.columns) :]
        return of_labels - strength * of_prior if self.has_prior else of_labels

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        for block in row_blocks(len(self.rows), BLOCK):
            yield block, self.unit[self.rows[block]] - self.x_mean


def _group(
    unit: NDArray[np.floating], labels: LabelMatrix, rows: NDArray[np.int64], columns: NDArray[np.int64],
    prior: NDArray[np.floating] | None,
) -> _Group:  # fmt: skip
    sums = [unit[rows[block]].sum(axis=0, dtype=np.float64) for block in row_blocks(len(rows), BLOCK)]
    cells = np.ix_(rows, columns)
    targets = labels.values[cells].astype(np.float64)
    rate = (targets.sum(axis=0) + 0.5) / (len(rows) + 1)
    spread = np.sqrt(rate * (1 - rate))
    if prior is not None:
        targets = np.column_stack([targets, spread * prior[cells]])
    return _Group(unit, rows, columns, targets, np.add.reduce(sums) / len(rows), targets.mean(axis=0), spread)


@dataclass(frozen=True)
class _Fit:
    """One fit of the targets per penalty: weights (P, D, c or 2 c) and leverages (P, n).

    ``errors`` (P, 3, c): of what is left out, the sums of e^2, e e' and e'^2, e that of y and e' that of the prior.
    """

    weights: Floats
    leverages: Floats
    errors: Floats


def _fit(group: _Group, penalties: tuple[float, ...]) -> _Fit:
    """Fit all penalties on one decomposition X = U s V'.

    weight = V (s^2 + penalty)^-1 V' X' (y - mean y); leverage_i = 1 / n + sum_r (x_i v_r)^2 / (s_r^2 + penalty).
    """
    squares, right = _principal_directions(group)
    inverse = 1.0 / (squares + np.array(penalties)[:, None])
    products = np.zeros((right.shape[0], group.targets.shape[1]))
    leverages = np.empty((len(penalties), len(group.rows)))
    for block, x in group.blocks():
        products += x.T @ (group.targets[block] - group.mean)
        leverages[:, block] = 1.0 / len(group.rows) + inverse @ ((x @ right) ** 2).T
    turned = right.T @ products
    weights = np.stack([right @ (scale[:, None] * turned) for scale in inverse])
    count = len(group.columns)
    errors = np.zeros((len(penalties), 3, count))
    for block, x in group.blocks():
        y = group.targets[block]
        for number, weight in enumerate(weights):
            error = y - _left_out(y, group.mean, x, weight, leverages[number, block])
            own, other = error[:, :count], error[:, count:]
            errors[number, 0] += (own**2).sum(axis=0)
            if other.size:
                errors[number, 1:] += (own * other).sum(axis=0), (other**2).sum(axis=0)
    return _Fit(weights, leverages, errors)


def _left_out(y: Floats, mean: Floats, x: Floats, weight: Floats, leverage: Floats) -> Floats:
    """Return the prediction of a block of rows by all others: y_i - (y_i - fit_i) / (1 - leverage_i)."""
    slack = 1.0 - leverage[:, None]
    # A row that alone decides its fit says nothing left out; the mean stands in.
    return np.where(slack > 1e-9, y - (y - mean - x @ weight) / np.maximum(slack, 1e-9), mean)


def _principal_directions(group: _Group) -> tuple[Floats, Floats]:
    """Return s^2 (r,) and V (D, r), by the smaller of X'X and XX', null directions left out."""
    width = len(group.x_mean)
    if len(group.rows) > width:
        gram = np.zeros((width, width))
        for _, x in group.blocks():
            gram += x.T @ x
        return _positive(*np.linalg.eigh(gram))
    x = group.unit[group.rows] - group.x_mean
    squares, left = _positive(*np.linalg.eigh(x @ x.T))
    return squares, (x.T @ left) / np.sqrt(squares)


def _positive(squares: Floats, vectors: Floats) -> tuple[Floats, Floats]:
    keep = squares > max(squares[-1], 1e-12) * 1e-10
    return squares[keep], vectors[:, keep]
