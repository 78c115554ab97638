"""Who is trained on, validated on, tested on: stratified parts, labelled budgets, near-duplicates kept together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

LEAST_FOR_VAL = 10
LEAST_FOR_TEST = 40
_BITS = 64
_DEGENERATE = 8  # fewer bits set (or unset) than this: a flat image, whose hash says nothing


@dataclass(frozen=True)
class SplitPlan:
    """Say how images are shared out where the label file does not.

    Attributes:
        val_fraction: share of the labelled images that choose the model, in [0, 1).
        test_fraction: share of the labelled images that are scored, in [0, 1).
        label_budget: labels that training and validation may see: a share up to 1 or a number above; None is all.
        seed: of all draws.

    Raises:
        InputError: the fractions leave nothing to train on.
    """

    val_fraction: float = 0.15
    test_fraction: float = 0.2
    label_budget: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.val_fraction >= 0 and self.test_fraction >= 0 and self.val_fraction + self.test_fraction < 1):
            raise InputError(
                "Expected val_fraction and test_fraction of at least 0 and together below 1, "
                f"but got {self.val_fraction} and {self.test_fraction}."
            )


def assign_splits(
    labels: LabelMatrix, given: NDArray[np.str_], groups: NDArray[np.int64], plan: SplitPlan
) -> tuple[LabelMatrix, NDArray[np.str_], list[str]]:
    """Give every image a split and hide the labels beyond the budget; return labels, splits and notes.

    Given splits stay, blanks are ``train``. Without any given, a test split is drawn from the labelled images. The
    budget then hides labels of images that are not ``test`` and frees ``val``. Where no ``val`` is left, it is drawn
    from the labelled ``train`` images. Drawn splits keep ``groups`` (N,) on one side.

    Raises:
        InputError: the budget is not possible.
    """
    splits = np.where(given == "", "train", given).astype("<U5")
    notes: list[str] = []
    val_share = plan.val_fraction
    if not (given != "").any():
        rows = np.flatnonzero(labels.labelled)
        splits, note = _draw("test", splits, rows, labels, groups, plan.test_fraction, plan.seed)
        notes += note
        if (splits == "test").any():
            val_share = plan.val_fraction / (1 - plan.test_fraction)
    if plan.label_budget is not None:
        labels, splits, note = _hide_beyond(plan.label_budget, labels, splits, plan.seed)
        notes += note
    if not (splits == "val").any():
        rows = np.flatnonzero(labels.labelled & (splits == "train"))
        splits, note = _draw("val", splits, rows, labels, groups, val_share, plan.seed)
        notes += note
    return labels, splits, notes


def _draw(
    name: str,
    splits: NDArray[np.str_],
    rows: NDArray[np.int64],
    labels: LabelMatrix,
    groups: NDArray[np.int64],
    fraction: float,
    seed: int,
) -> tuple[NDArray[np.str_], list[str]]:
    """Name a stratified fraction of ``rows``, unless they are too few."""
    least = LEAST_FOR_TEST if name == "test" else LEAST_FOR_VAL
    if fraction == 0 or len(rows) == 0:
        return splits, []
    if len(rows) < least:
        return splits, [f"no {name} split is drawn: that takes {least} labelled images, and there are {len(rows)}"]
    parts = stratified_split(labels.take(rows), (1 - fraction, fraction), seed, groups[rows])
    drawn = splits.copy()
    drawn[rows[parts == 1]] = name
    return drawn, []


def _hide_beyond(
    budget: float, labels: LabelMatrix, splits: NDArray[np.str_], seed: int
) -> tuple[LabelMatrix, NDArray[np.str_], list[str]]:
    """Hide all labels but the budget's, test apart; former ``val`` images join ``train``."""
    rows = np.flatnonzero(labels.labelled & (splits != "test"))
    freed = np.where(splits == "val", "train", splits)
    if len(rows) == 0:
        return labels, freed, []
    kept = label_budget(rows, budget, seed)
    note = f"label budget: {len(kept)} of {len(rows)} labelled images outside test stay labelled"
    return labels.hide(np.setdiff1d(rows, kept)), freed, [note]


def label_budget(rows: NDArray[np.int64], budget: float, seed: int) -> NDArray[np.int64]:
    """Return the rows that stay labelled: the first of ``numpy.random.default_rng(seed).permutation(rows)``.

    Args:
        rows: labelled rows.
        budget: in (0, 1] a share, rounded, at least one row; a whole number above 1 is a number of rows.
        seed: of the permutation.

    Raises:
        InputError: the budget is neither, or more than there is.
    """
    count = max(1, round(budget * len(rows))) if 0 < budget <= 1 else budget
    if not (count >= 1 and float(count).is_integer()):
        raise InputError(f"Expected a label budget in (0, 1] or a whole number above 1, but got {budget}.")
    if count > len(rows):
        raise InputError(f"Expected a label budget of at most {len(rows)}, the labelled images, but got {budget}.")
    return np.random.default_rng(seed).permutation(rows)[: int(count)]


def stratified_split(
    labels: LabelMatrix, fractions: Sequence[float], seed: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Share rows out so that every part gets its fraction of each label's known positives.

    Iterative stratification: the label with the fewest positives left goes first, each of its rows to the part that
    wants that label most, then to the part that wants rows most, then to the first. Rows without positives fill the
    parts up; unlabelled rows are shared out apart. At last, part 0 gets a row of every label that it lacks.

    Args:
        labels: (N, C).
        fractions: one per part, above 0, summing to 1.
        seed: of the order in which rows are taken.
        groups: (N,) rows with the same number stay together; None leaves all apart.

    Returns:
        Part number of each row (N,).

    Raises:
        InputError: the fractions are not above 0 or do not sum to 1.

    Source: Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification of multi-label data", algorithm 1.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if not ((shares > 0).all() and np.isclose(shares.sum(), 1)):
        raise InputError(f"Expected fractions above 0 that sum to 1, but got {', '.join(map(str, fractions))}.")
    unit = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(unit.max(initial=-1) + 1)
    unit = np.argsort(order)[unit]
    units = _Units.gather(labels, unit, len(order))
    parts = _share_positives(units, shares)
    parts = _fill(parts, units, (units.positives.getnnz(axis=1) == 0) & units.labelled, units.labelled, shares)
    parts = _fill(parts, units, ~units.labelled, ~units.labelled, shares)
    return _cover_first(parts, units)[unit]


@dataclass(frozen=True)
class _Units:
    """Hold what is shared out: U groups of rows, in shuffled order.

    Attributes:
        positives: (U, C) known positives of each label.
        sizes: (U,) rows.
        labelled: (U,) whether anything is known of any row.
    """

    positives: csr_matrix
    sizes: NDArray[np.int64]
    labelled: NDArray[np.bool_]

    @classmethod
    def gather(cls, labels: LabelMatrix, unit: NDArray[np.int64], count: int) -> _Units:
        rows, columns = np.nonzero(labels.values)
        ones = np.ones(len(rows), dtype=np.int64)
        positives = coo_matrix((ones, (unit[rows], columns)), shape=(count, len(labels.names))).tocsr()
        labelled = np.bincount(unit[labels.labelled], minlength=count) > 0
        return cls(positives, np.bincount(unit, minlength=count), labelled)


def _share_positives(units: _Units, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Assign the units with positives, rarest label first; -1 elsewhere."""
    parts = np.full(len(units.sizes), -1)
    by_label = units.positives.tocsc()
    left = np.asarray(units.positives.sum(axis=0)).ravel()
    wanted = np.outer(shares, left)
    wanted_rows = shares * units.sizes[units.labelled].sum()
    while left.any():
        label = np.where(left > 0, left, np.iinfo(left.dtype).max).argmin()
        holders = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
        for unit in np.sort(holders[parts[holders] < 0]):
            part = np.lexsort((-wanted_rows, -wanted[:, label]))[0]
            parts[unit] = part
            begin, end = units.positives.indptr[unit : unit + 2]
            columns, counts = units.positives.indices[begin:end], units.positives.data[begin:end]
            wanted[part, columns] -= counts
            left[columns] -= counts
            wanted_rows[part] -= units.sizes[unit]
    return parts


def _fill(
    parts: NDArray[np.int64],
    units: _Units,
    chosen: NDArray[np.bool_],
    among: NDArray[np.bool_],
    shares: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Assign the ``chosen`` units, the largest first, so that all units of ``among`` meet the shares."""
    filled = parts.copy()
    taken = among & (parts >= 0)
    wanted = shares * units.sizes[among].sum() - np.bincount(parts[taken], units.sizes[taken], len(shares))
    members = np.flatnonzero(chosen)
    for unit in members[np.argsort(-units.sizes[members], kind="stable")]:
        filled[unit] = wanted.argmax()
        wanted[filled[unit]] -= units.sizes[unit]
    return filled


def _cover_first(parts: NDArray[np.int64], units: _Units) -> NDArray[np.int64]:
    """Move the smallest unit of every label that part 0 lacks into part 0."""
    covered = parts.copy()
    by_label = units.positives.tocsc()
    for label in range(by_label.shape[1]):
        holders = np.sort(by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]])
        if len(holders) and not (covered[holders] == 0).any():
            covered[holders[units.sizes[holders].argmin()]] = 0
    return covered


def near_duplicates(fingerprints: NDArray[np.uint64], digests: Sequence[str], distance: int = 2) -> NDArray[np.int64]:
    """Return a group number per image (N,), in order of first appearance; near-duplicates share a group.

    Two images are linked when their fingerprints differ in at most ``distance`` bits, or their digests are equal, and
    groups are what links connect. A fingerprint of fewer than 8 set or 8 unset bits belongs to a flat image and links
    by digest only.

    The search is exact: of ``distance + 4`` bands of bits at least 4 agree, so all candidates share 4 bands.

    Args:
        fingerprints: (N,) difference hashes.
        digests: N digests of the files' bytes.
        distance: bits, at least 0.
    """
    same = np.unique(np.asarray(digests, dtype=np.str_), return_inverse=True)[1]
    bits = _count_bits(fingerprints)
    telling = np.flatnonzero((bits >= _DEGENERATE) & (bits <= _BITS - _DEGENERATE))
    hashes, hash_of = np.unique(fingerprints[telling], return_inverse=True)
    # Nodes are the images, then the digests, then the distinct hashes.
    count = len(digests)
    first_hash = count + same.max(initial=-1) + 1
    near = _near_pairs(hashes, distance) + first_hash
    begins = np.concatenate([np.arange(count), telling, near[:, 0]])
    ends = np.concatenate([count + same, first_hash + hash_of, near[:, 1]])
    size = first_hash + len(hashes)
    links = coo_matrix((np.ones(len(begins), dtype=bool), (begins, ends)), shape=(size, size))
    return _by_appearance(connected_components(links, directed=False)[1][:count])


def _near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Return all pairs (P, 2) of distinct hashes at most ``distance`` bits apart; a pair may occur twice."""
    count = distance + 4
    # Neighbouring bits are alike in smooth pictures; bands that take every count-th bit have fuller keys.
    bands = [sum(1 << bit for bit in range(first, _BITS, count)) for first in range(count)]
    pairs = [_pairs_in_buckets(hashes, hashes & np.uint64(sum(chosen)), distance) for chosen in combinations(bands, 4)]
    return np.concatenate(pairs)


def _pairs_in_buckets(hashes: NDArray[np.uint64], keys: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Compare the hashes whose keys are equal: each with the next in key order, then with the one after, and on."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    left = np.arange(len(order))
    for step in range(1, len(order)):
        left = left[left + step < len(order)]
        left = left[ordered[left] == ordered[left + step]]
        if not len(left):
            break
        both = np.stack([order[left], order[left + step]], axis=1)
        pairs.append(both[_count_bits(hashes[both[:, 0]] ^ hashes[both[:, 1]]) <= distance])
    return np.concatenate(pairs)


def _count_bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    bytes_ = np.ascontiguousarray(words, dtype=np.uint64).view(np.uint8).reshape(-1, 8)
    return np.unpackbits(bytes_, axis=1).sum(axis=1, dtype=np.int64)


def _by_appearance(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
