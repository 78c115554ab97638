"""From calibrated probabilities to labels: positive, negative, or still unknown (METHOD §1.6).

What is guaranteed: with 95 % confidence at least the wanted share of all accepted positives is right, over all labels
together, for images drawn like the labelled ones. A single label may lie below; its own evidence is kept beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

NEGATIVE_BELOW = 0.05  # a cell less likely than this is taken as absent
POSITIVE_FROM = 0.5  # a cell more likely absent than present is not accepted, whatever precision is wanted
ERROR = 0.05  # chance that a bound is wrong
GROWTH = 1.1  # from one set tested to the next


@dataclass(frozen=True)
class PseudoLabels:
    """Hold decisions over the cells that nobody labelled.

    Attributes:
        positive, negative: (N, C), disjoint, False on known cells; what is in neither stays unknown.
        thresholds: (C,) the probability from which a cell is positive; infinite where none is accepted.
    """

    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    thresholds: NDArray[np.float64]

    def spread_over(self, rows: NDArray[np.int64], count: int) -> PseudoLabels:
        """Return the same decisions for ``rows`` of a larger collection of ``count`` images, none for the others."""
        positive, negative = (np.zeros((count, self.positive.shape[1]), dtype=bool) for _ in range(2))
        positive[rows], negative[rows] = self.positive, self.negative
        return PseudoLabels(positive, negative, self.thresholds)

    def decided(self, labels: LabelMatrix) -> LabelMatrix:
        """Return ``labels`` with the decisions written into the unknown cells."""
        return LabelMatrix(labels.values | self.positive, labels.known | self.positive | self.negative, labels.names)


@dataclass(frozen=True)
class Evidence:
    """Hold what hidden labels say of the probabilities.

    Attributes:
        probabilities: (n, C) of the labelled images, each scored and calibrated without its own label.
        labels: (n, C) what is known of them.
    """

    probabilities: NDArray[np.float64]
    labels: LabelMatrix


@dataclass(frozen=True)
class Precision:
    """Hold how many of the judged cells were decided rightly.

    ``lower`` and ``upper`` are one-sided bounds, each right with 95 % confidence: 0 and 1 where nothing is judged.
    """

    right: int
    judged: int
    lower: float
    upper: float

    @property
    def share(self) -> float:
        """The share of right ones, nan where nothing is judged."""
        return self.right / self.judged if self.judged else float("nan")


@dataclass(frozen=True)
class Acceptance:
    """Hold from which probability on cells are accepted as positive, and what hidden labels say of that.

    Attributes:
        wanted: precision.
        limits: (C,) each label's lowest admissible probability, from its known rate.
        threshold: shared by all labels; infinite where the evidence supports none.
        thresholds: (C,) each label's own: not below ``threshold``, infinite where none is accepted.
        judged, right: (C,) hidden cells that the shared threshold accepts, and how many of them are positive.
        contradicted: (C,) labels whose own hidden cells show less than the wanted precision.
        positives: of the set that decided, all labels together, contradicted ones among them: the last set that
            passed or, where none did, the first that was tested.
        negatives: of the hidden cells below ``NEGATIVE_BELOW``.
        denied: share of the known positives that lie among these.
    """

    wanted: float
    limits: NDArray[np.float64]
    threshold: float
    thresholds: NDArray[np.float64]
    judged: NDArray[np.int64]
    right: NDArray[np.int64]
    contradicted: NDArray[np.bool_]
    positives: Precision
    negatives: Precision
    denied: float


def pseudo_labels(
    probabilities: NDArray[np.floating],
    labels: LabelMatrix,
    reached: NDArray[np.bool_],
    evidence: Evidence,
    precision: float = 0.8,
    by_name_alone: NDArray[np.bool_] | None = None,
) -> tuple[PseudoLabels, Acceptance]:
    """Decide unknown cells: positive from a threshold up that hidden labels support, negative below another.

    Of the cells of label c that nobody labelled, the best ranked are candidates, as many as the label's known rate
    lets expect (class-aware, as CAP). A candidate is positive from the label's threshold up (``accept``), a cell below
    ``NEGATIVE_BELOW`` negative. Images that no label mass reached stay unknown, and a label with no known positive
    gets no positives.

    Args:
        probabilities: (N, C), calibrated.
        labels: (N, C), what is known.
        reached: (N,).
        evidence: hidden labels, on the same scale of probability.
        precision: wanted share of right ones among the accepted, in (0, 1).
        by_name_alone: (C,) labels that are ranked by their names alone; their calibration never saw a positive, so
            that of them nothing is decided either.

    Raises:
        InputError: ``precision`` lies outside (0, 1).
    """
    open_cells = ~labels.known & reached[:, None]
    likely = candidates(probabilities, labels, open_cells)
    limits = np.where(likely, probabilities, np.inf).min(axis=0, initial=np.inf)
    acceptance = accept(evidence, limits, precision)
    positive = likely & (probabilities >= acceptance.thresholds)
    negative = open_cells & (probabilities < NEGATIVE_BELOW)
    negative &= labels.known.any(axis=0)  # of a label that nobody ever judged nothing is decided
    if by_name_alone is not None:
        negative &= ~by_name_alone
    return PseudoLabels(positive, negative, acceptance.thresholds), acceptance


def candidates(
    probabilities: NDArray[np.floating], labels: LabelMatrix, open_cells: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return each label's most probable open cells (N, C), as many as its known rate lets expect, rounded up."""
    likely = np.zeros_like(open_cells)
    positives, known = labels.positives, np.maximum(labels.known.sum(axis=0), 1)
    for c in np.flatnonzero(positives):
        rows = np.flatnonzero(open_cells[:, c])
        expected = -(-positives[c] * len(rows) // known[c])  # in whole numbers: 7 / 25 * 25 is above 7
        likely[rows[np.argsort(-probabilities[rows, c], kind="stable")][:expected], c] = True
    return likely


def accept(evidence: Evidence, limits: NDArray[np.float64], wanted: float) -> Acceptance:
    """Choose the thresholds that the hidden labels support.

    All labels share one threshold on the calibrated probability, the lowest that ``supported_threshold`` finds among
    the hidden cells at or above ``limits`` and ``POSITIVE_FROM``: a label with few positives has no evidence of its
    own, and what sets labels apart lies in their calibration. A label whose own judged cells contradict the wanted
    precision (its upper bound lies below) gets none; the estimate for all labels together still counts its cells.

    The evidence is on the careful side, since a hidden label is scored by fewer labels than the pool is; it speaks of
    images drawn like the labelled ones, and of no others.

    Args:
        limits: (C,) each label's lowest admissible probability; infinite where nothing may be accepted.
        wanted: precision in (0, 1).

    Raises:
        InputError: ``wanted`` lies outside (0, 1).
    """
    if not 0 < wanted < 1:
        raise InputError(f"Expected precision above 0 and below 1, which no sample can show, but got {wanted}.")
    claims, labels = evidence.probabilities, evidence.labels
    admissible = labels.known & (claims >= np.maximum(limits, POSITIVE_FROM))
    images = np.nonzero(admissible)[0]
    threshold, positives = supported_threshold(claims[admissible], labels.values[admissible], images, wanted)
    judged = admissible & (claims >= threshold)
    counts, right = judged.sum(axis=0), (judged & labels.values).sum(axis=0)
    # Only what the label's own cells disprove: demanding proof of each label would leave those of few positives out.
    contradicted = (counts > 0) & (_upper(right, counts) < wanted)
    absent = labels.known & (claims < NEGATIVE_BELOW)
    return Acceptance(
        wanted=wanted,
        limits=limits,
        threshold=threshold,
        thresholds=np.where(contradicted, np.inf, np.maximum(limits, threshold)),
        judged=counts,
        right=right,
        contradicted=contradicted,
        positives=positives,
        negatives=measure_precision(~labels.values[absent], np.nonzero(absent)[0]),
        denied=float((absent & labels.values).sum() / max(labels.values.sum(), 1)),
    )


def supported_threshold(
    claims: NDArray[np.floating], right: NDArray[np.bool_], images: NDArray[np.int64], wanted: float
) -> tuple[float, Precision]:
    """Return the lowest probability from which hidden cells show the wanted precision, and what they show.

    Sets of the most probable cells are tested one after the other against "its precision is below wanted" at level
    5 %. The row is fixed before any label is read: it starts with the set for which the probabilities promise the
    clearest result and goes on to laxer ones; the first that does not pass ends it. So the chance that any set passes
    wrongly stays at 5 %, however many are tested (fixed-sequence testing, as in Learn then Test).

    Args:
        claims: (n,) calibrated probabilities. right: (n,). images: (n,) whose cell it is.

    Returns:
        The threshold, infinite where the first set does not pass, with the precision of the last set that passed
        or else of the first.

    Source: Angelopoulos et al. 2021, "Learn then Test", section 3.
    """
    order = np.argsort(-claims, kind="stable")
    claims, right, images = claims[order], right[order], images[order]
    threshold, shown = np.inf, measure_precision(right[:0], images[:0])
    for size in _row_of_sets(claims, wanted):
        found = measure_precision(right[:size], images[:size])
        if found.lower < wanted:
            return threshold, shown if shown.judged else found
        threshold, shown = float(claims[size - 1]), found
    return threshold, shown


def measure_precision(right: NDArray[np.bool_], images: NDArray[np.int64]) -> Precision:
    """Return the share of right cells with exact binomial bounds that allow for several cells of one image.

    Cells of an image are right or wrong together to some degree. With e_i the sum of (right - share) over the cells
    of image i, the design effect d = sum_i e_i^2 / (n share (1 - share)), at least 1, divides both counts.

    Args:
        right: (n,). images: (n,) whose cell it is.

    Source: Clopper & Pearson 1934; Korn & Graubard 1998, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data".
    """
    judged, hits = len(right), int(right.sum())
    if not judged:
        return Precision(0, 0, 0.0, 1.0)
    share = hits / judged
    effect = 1.0
    if 0 < hits < judged:
        excess = np.bincount(images, weights=right - share)
        effect = max(1.0, float((excess**2).sum() / (judged * share * (1.0 - share))))
    hit, miss = hits / effect, (judged - hits) / effect
    return Precision(hits, judged, 1.0 - float(_upper(miss, hit + miss)), float(_upper(hit, hit + miss)))


def least_cells(wanted: float) -> int:
    """Return how many cells, all of them right, show the wanted precision with 95 % confidence: n = log 5 % / log."""
    return math.ceil(math.log(ERROR) / math.log(wanted))


def _row_of_sets(claims: NDArray[np.floating], wanted: float) -> NDArray[np.int64]:
    """Return the sizes of the sets to test, of cells sorted by claim (n,), the most promising one first."""
    if not len(claims):
        return np.empty(0, dtype=np.int64)
    least = least_cells(wanted)
    steps = math.log(max(len(claims) / least, 1.0), GROWTH)
    sizes = np.append(least * GROWTH ** np.arange(math.ceil(steps)), len(claims)).astype(np.int64)
    sizes = np.unique(np.searchsorted(-claims, -claims[sizes - 1], side="right"))  # equal claims go together
    promised = (np.cumsum(claims)[sizes - 1] / sizes - wanted) * np.sqrt(sizes)
    return sizes[int(np.argmax(promised)) :]


def _upper(hits: NDArray[np.integer] | float, judged: NDArray[np.integer] | float) -> NDArray[np.float64]:
    """Return the upper bound of a share, 1 where all are hits."""
    misses = np.subtract(judged, hits)
    bound = betaincinv(np.add(hits, 1.0), np.maximum(misses, 1e-12), 1.0 - ERROR)
    return np.where(misses > 0, bound, 1.0)
