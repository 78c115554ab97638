"""Stratified parts, labelled budgets and near-duplicates, against slow references."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import SplitPlan, assign_splits, label_budget, near_duplicates, stratified_split
from tagweave.errors import InputError


def matrix(values: NDArray[np.bool_], known: NDArray[np.bool_] | None = None) -> LabelMatrix:
    names = tuple(f"label {place}" for place in range(values.shape[1]))
    return LabelMatrix(values, np.ones_like(values) if known is None else known, names)


def random_labels(rows: int, seed: int = 0, unlabelled: float = 0.0) -> LabelMatrix:
    """Labels from common to rare, some rows unlabelled."""
    rng = np.random.default_rng(seed)
    values = rng.random((rows, 8)) < np.geomspace(0.5, 0.01, 8)
    known = np.repeat(rng.random((rows, 1)) >= unlabelled, 8, axis=1)
    return matrix(values, known)


def imbalance(labels: LabelMatrix, parts: NDArray[np.int64], shares: tuple[float, ...]) -> float:
    """Sum over parts and labels of |positives - wanted positives|, in loops."""
    total = 0.0
    for part, share in enumerate(shares):
        for column in range(labels.values.shape[1]):
            here = sum(bool(value) for value, p in zip(labels.values[:, column], parts, strict=True) if p == part)
            total += abs(here - share * int(labels.values[:, column].sum()))
    return total


SHARES = (0.65, 0.15, 0.2)


def test_a_split_by_hand() -> None:
    # Label 1 is rarest: its two rows go to the two parts; the four rows with label 0 only then even out.
    labels = matrix(np.array([[1, 1], [1, 1], [1, 0], [1, 0], [1, 0], [1, 0], [0, 0], [0, 0]], dtype=bool))
    parts = stratified_split(labels, (0.5, 0.5), seed=0)
    assert sorted(parts[:2]) == [0, 1]
    assert sorted(parts[2:6]) == [0, 0, 1, 1]
    assert sorted(parts[6:]) == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_positives_are_shared_as_wanted(seed: int) -> None:
    labels = random_labels(600, seed)
    parts = stratified_split(labels, SHARES, seed)
    assert np.abs(np.bincount(parts) - 600 * np.array(SHARES)).max() <= 6
    for part, share in enumerate(SHARES):
        positives = labels.values[parts == part].sum(axis=0)
        assert np.abs(positives - share * labels.positives).max() <= 2
    plain = [np.random.default_rng(draw).permutation(np.repeat([0, 1, 2], [390, 90, 120])) for draw in range(50)]
    assert imbalance(labels, parts, SHARES) < min(imbalance(labels, draw, SHARES) for draw in plain)


def test_a_small_split_is_among_the_best_of_all_splits() -> None:
    labels = random_labels(9, seed=4)
    parts = stratified_split(labels, (2 / 3, 1 / 3), seed=0)
    every = [np.isin(np.arange(9), rows).astype(int) for rows in itertools.combinations(range(9), 3)]
    scores = sorted(imbalance(labels, other, (2 / 3, 1 / 3)) for other in every)
    assert imbalance(labels, parts, (2 / 3, 1 / 3)) <= scores[len(scores) // 10]


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(2, 60), seed=st.integers(0, 1000), grouped=st.booleans())
def test_every_row_has_a_part_and_part_0_every_label(rows: int, seed: int, grouped: bool) -> None:
    labels = random_labels(rows, seed, unlabelled=0.3)
    groups = np.random.default_rng(seed).integers(0, rows, rows) if grouped else None
    parts = stratified_split(labels, SHARES, seed, groups)
    assert parts.shape == (rows,)
    assert set(parts.tolist()) <= {0, 1, 2}
    assert (labels.values[parts == 0].any(axis=0) == labels.values.any(axis=0)).all()
    if groups is not None:
        assert all(len(set(parts[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    assert (parts == stratified_split(labels, SHARES, seed, groups)).all()


def test_part_0_gets_a_row_of_every_label_even_where_its_share_is_small() -> None:
    labels = matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]] + [[0, 0]] * 15, dtype=bool))
    groups = np.array([0, 1, 2, 2, 3, *range(4, 19)])
    parts = stratified_split(labels, (0.1, 0.9), 0, groups)
    assert labels.values[parts == 0].sum(axis=0).tolist() == [1, 1]
    assert parts[4] == 0  # the smaller of the two groups that hold label 1


def test_the_seed_decides() -> None:
    labels = random_labels(200)
    assert (stratified_split(labels, SHARES, 1) != stratified_split(labels, SHARES, 2)).any()


def test_unlabelled_and_empty_rows_are_shared_out_too() -> None:
    values = np.zeros((300, 2), dtype=bool)
    values[:100, 0] = True
    known = np.ones_like(values)
    known[200:] = False
    parts = stratified_split(matrix(values, known), SHARES, 0)
    for rows in (slice(0, 100), slice(100, 200), slice(200, 300)):
        assert np.bincount(parts[rows], minlength=3).tolist() == [65, 15, 20]


def test_unknown_cells_do_not_count_as_positives() -> None:
    values = np.ones((40, 1), dtype=bool)
    known = np.arange(40)[:, None] < 20
    parts = stratified_split(matrix(values, known), (0.5, 0.5), 0)
    assert np.bincount(parts[:20]).tolist() == [10, 10]
    assert np.bincount(parts[20:]).tolist() == [10, 10]


def test_no_rows() -> None:
    assert stratified_split(matrix(np.zeros((0, 3), dtype=bool)), SHARES, 0).shape == (0,)


@pytest.mark.parametrize("fractions", [(0.5, 0.4), (1.0, 0.0), (1.5, -0.5)])
def test_fractions_that_do_not_share_out(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="Expected fractions above 0 that sum to 1, but got"):
        stratified_split(random_labels(5), fractions, 0)


# Budgets


def test_budget_is_the_start_of_the_permutation() -> None:
    rows = np.arange(100, 4600)
    order = np.random.default_rng(1).permutation(rows)
    assert (label_budget(rows, 0.1, 1) == order[:450]).all()
    assert (label_budget(rows, 450, 1) == order[:450]).all()
    assert (label_budget(rows, 1, 1) == order).all()
    assert (label_budget(rows, 1e-9, 1) == order[:1]).all()


def test_budgets_are_nested() -> None:
    rows = np.arange(50)
    assert set(label_budget(rows, 0.2, 0).tolist()) < set(label_budget(rows, 0.4, 0).tolist())


@pytest.mark.parametrize("budget", [0, -0.1, 1.5, float("nan"), float("inf")])
def test_budgets_that_are_neither_share_nor_number(budget: float) -> None:
    with pytest.raises(InputError, match=r"label budget in \(0, 1\] or a whole number above 1, but got"):
        label_budget(np.arange(10), budget, 0)


def test_a_budget_beyond_what_is_there() -> None:
    with pytest.raises(InputError, match="at most 10, the labelled images, but got 11"):
        label_budget(np.arange(10), 11, 0)


# Near-duplicates


def slow_groups(fingerprints: list[int], digests: list[str], distance: int) -> list[int]:
    """Groups by comparing all pairs and spreading the smaller number until nothing changes."""
    count = len(digests)
    telling = [8 <= word.bit_count() <= 56 for word in fingerprints]

    def linked(a: int, b: int) -> bool:
        near = (fingerprints[a] ^ fingerprints[b]).bit_count() <= distance
        return digests[a] == digests[b] or (telling[a] and telling[b] and near)

    group = list(range(count))
    changed = True
    while changed:
        changed = False
        for a, b in itertools.combinations(range(count), 2):
            if group[a] != group[b] and linked(a, b):
                group[a] = group[b] = min(group[a], group[b])
                changed = True
    return [sorted(set(group)).index(number) for number in group]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), distance=st.integers(0, 4))
def test_groups_agree_with_all_pairs(seed: int, distance: int) -> None:
    rng = np.random.default_rng(seed)
    bases = [int(word) for word in rng.integers(0, 2**64, 6, dtype=np.uint64)] + [0, 0b111, 2**64 - 1, 2**8 - 1]
    words = []
    for _ in range(30):
        word = bases[rng.integers(len(bases))]
        for bit in rng.integers(0, 64, rng.integers(0, 5)).tolist():
            word ^= 1 << bit
        words.append(word)
    digests = [str(rng.integers(25)) for _ in words]
    groups = near_duplicates(np.array(words, dtype=np.uint64), digests, distance)
    assert groups.tolist() == slow_groups(words, digests, distance)


def test_flat_images_group_by_digest_only() -> None:
    fingerprints = np.array([0, 0, 0, 1, 2**64 - 1, 2**64 - 1], dtype=np.uint64)
    assert near_duplicates(fingerprints, ["a", "b", "a", "c", "d", "e"]).tolist() == [0, 1, 0, 2, 3, 4]


def test_every_pair_of_flipped_bits_is_found() -> None:
    base = 0x0123456789ABCDEF
    flipped = [base ^ (1 << a) ^ (1 << b) for a, b in itertools.combinations(range(64), 2)]
    words = np.array([base, *flipped], dtype=np.uint64)
    assert near_duplicates(words, [str(place) for place in range(len(words))]).max() == 0


def test_many_images_are_quick_and_exact() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, 50_000, dtype=np.uint64)
    copies = words[:100] ^ np.uint64(1 << 63 | 1)
    groups = near_duplicates(np.concatenate([words, copies]), [str(place) for place in range(50_100)])
    assert (groups[50_000:] == groups[:100]).all()
    assert groups.max() == 49_999


def test_fingerprints_with_most_bits_in_common_are_quick_too() -> None:
    rng = np.random.default_rng(0)
    words = (rng.integers(0, 2**24, 20_000, dtype=np.uint64) << np.uint64(20)) | np.uint64(0xFFFF)
    groups = near_duplicates(words, [str(place) for place in range(20_000)])
    for row in range(50):
        near = np.array([(int(words[row]) ^ int(word)).bit_count() <= 2 for word in words])
        assert (groups[near] == groups[row]).all()


def test_no_images() -> None:
    assert near_duplicates(np.zeros(0, dtype=np.uint64), []).shape == (0,)


# The plan


def assign(labels: LabelMatrix, given: list[str], **options: float) -> tuple[LabelMatrix, NDArray[np.str_], list[str]]:
    return assign_splits(labels, np.array(given, dtype="<U5"), np.arange(len(labels)), SplitPlan(**options))  # type: ignore[arg-type]


def counts(splits: NDArray[np.str_]) -> dict[str, int]:
    return {split: int((splits == split).sum()) for split in ("train", "val", "test")}


def test_without_given_splits_all_three_are_drawn_from_labelled_rows() -> None:
    labels = random_labels(300, unlabelled=0.5)
    _, splits, notes = assign(labels, [""] * 300)
    labelled = int(labels.labelled.sum())
    assert counts(splits[labels.labelled]) == pytest.approx(
        {"train": 0.65 * labelled, "val": 0.15 * labelled, "test": 0.2 * labelled}, abs=4
    )
    assert set(splits[~labels.labelled].tolist()) == {"train"}
    assert notes == []


@pytest.mark.parametrize(
    ("rows", "test", "val"), [(9, False, False), (10, False, True), (39, False, True), (40, True, True)]
)
def test_too_few_labelled_rows_for_a_split_are_told(rows: int, test: bool, val: bool) -> None:
    _, splits, notes = assign(matrix(np.ones((rows, 1), dtype=bool)), [""] * rows)
    assert ((splits == "test").any(), (splits == "val").any()) == (test, val)
    assert [note.split(":")[0] for note in notes] == [
        f"no {name} split is drawn" for name, drawn in (("test", test), ("val", val)) if not drawn
    ]


def test_given_splits_stay() -> None:
    given = ["train"] * 20 + ["val"] * 10 + ["test"] * 10 + [""] * 10
    _, splits, _ = assign(random_labels(50), given)
    assert splits.tolist() == [split or "train" for split in given]


def test_val_is_drawn_where_only_train_and_test_are_given() -> None:
    labels = matrix(np.ones((100, 1), dtype=bool))
    _, splits, _ = assign(labels, ["train"] * 80 + ["test"] * 20)
    assert counts(splits) == {"train": 68, "val": 12, "test": 20}
    assert set(splits[80:].tolist()) == {"test"}


def test_the_budget_hides_all_but_its_rows_and_never_test() -> None:
    labels = matrix(np.ones((100, 1), dtype=bool))
    given = ["train"] * 50 + ["val"] * 30 + ["test"] * 20
    left, splits, notes = assign(labels, given, label_budget=0.5, seed=3)
    kept = np.sort(np.random.default_rng(3).permutation(np.arange(80))[:40])
    assert (np.flatnonzero(left.labelled) == [*kept, *range(80, 100)]).all()
    assert counts(splits) == {"train": 74, "val": 6, "test": 20}
    assert left.labelled[splits == "val"].all()
    assert notes == ["label budget: 40 of 80 labelled images outside test stay labelled"]


def test_the_budget_applies_after_test_is_drawn() -> None:
    left, splits, _ = assign(matrix(np.ones((100, 1), dtype=bool)), [""] * 100, label_budget=20)
    assert left.labelled[splits == "test"].all()
    assert int((splits == "test").sum()) == 20
    assert int(left.labelled.sum()) == 40


def test_drawn_splits_keep_groups_on_one_side() -> None:
    labels = random_labels(200)
    groups = np.arange(200) // 4
    _, splits, _ = assign_splits(labels, np.full(200, ""), groups, SplitPlan())
    assert all(len(set(splits[groups == group].tolist())) == 1 for group in range(50))


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.2)])
def test_fractions_that_leave_nothing_to_train_on(val: float, test: float) -> None:
    with pytest.raises(InputError, match="together below 1, but got"):
        SplitPlan(val, test)


def test_no_val_and_no_test_wanted() -> None:
    _, splits, notes = assign(random_labels(100), [""] * 100, val_fraction=0, test_fraction=0)
    assert (counts(splits), notes) == ({"train": 100, "val": 0, "test": 0}, [])
