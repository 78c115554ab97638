"""What a format cannot say becomes unknown, never negative, and is told."""

from __future__ import annotations

from format_cases import annotations_of, cells

from tagweave.data.formats.reach import Reach, keep_sayable

ROWS = {"a.jpg": "10? train", "b.jpg": "100", "c.jpg": "000 test", "d.jpg": "???"}
NAMES = ("cat", "cow", "dog")


def test_all_is_kept_where_all_can_be_said() -> None:
    given = annotations_of(ROWS, NAMES)
    kept, notes = keep_sayable(given, Reach(True, True, True, True, True))
    assert cells(kept) == cells(given)
    assert (kept.splits, notes) == (given.splits, ())


def test_all_that_is_lost_is_told() -> None:
    kept, notes = keep_sayable(annotations_of(ROWS, NAMES), Reach(False, False, False, False, False))
    assert cells(kept) == {"b.jpg": {"cat": 1}}
    assert notes == (
        "images known in part only: 1, written as unlabelled; 2 known cells are lost",
        "images known to have none of the labels: 1, written as unlabelled; 3 known cells are lost",
        "labels that no image has: 2, not named (cow, dog)",
        "images without labels: 3, not listed",
    )


def test_splits_are_told_of_what_is_written() -> None:
    kept, notes = keep_sayable(annotations_of(ROWS, NAMES), Reach(True, False, True, True, False))
    assert kept.splits == ("", "", "")
    assert notes == ("images without labels: 1, not listed", "images with a split: 2, written without")


def test_a_label_of_which_only_absence_is_known_is_kept_where_cells_are_said() -> None:
    kept, notes = keep_sayable(annotations_of({"a.jpg": "10?"}, NAMES), Reach(True, True, True, False, True))
    assert kept.labels.names == ("cat", "cow")
    assert notes == ("labels that no image has: 1, not named (dog)",)
