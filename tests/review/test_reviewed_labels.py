from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagweave.data.annotations import Annotations
from tagweave.data.formats.csv_onehot import read_csv_onehot
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.review.desk import Change, Desk
from tagweave.review.export import next_labels, reviewed_labels, with_decisions, write_labels


def decide(desk: Desk, gesture: str, value: str, *rows: int, label: str = "cat") -> None:
    desk.decide("window", gesture, "q", label, [Change(label, value, tuple(desk.ids[r] for r in rows), True)])


def cells(labels: LabelMatrix) -> list[str]:
    return ["".join("?" if not k else "01"[int(v)] for v, k in zip(*row, strict=True))
            for row in zip(labels.values, labels.known, strict=True)]  # fmt: skip


@pytest.fixture
def reviewed(desk: Desk, run: Path) -> Path:
    """0: cat no instead of yes. 1: cat unsure. 5: cat yes. 6: undone. A label fox, yes on 7. dog is called hound."""
    decide(desk, "a", "no", 0)
    decide(desk, "b", "unsure", 1)
    decide(desk, "c", "yes", 5)
    decide(desk, "d", "yes", 6)
    desk.undo("window", "e", "")
    desk.create("window", "f", "fox")
    decide(desk, "g", "yes", 7, label="fox")
    desk.rename("window", "h", "dog", "hound")
    return run


def test_decisions_are_written_and_read_back(reviewed: Path, tmp_path: Path) -> None:
    assert write_labels(reviewed, tmp_path / "out.csv", "decisions") == 3
    read = read_csv_onehot(tmp_path / "out.csv")
    assert read.images == ("sub/0000.png", "sub/0005.png", "sub/0007.png")
    assert read.labels.names == ("cat", "fox", "hound")
    assert cells(read.labels) == ["0??", "1??", "?1?"]


def test_all_labels_are_written_with_their_splits(reviewed: Path, tmp_path: Path) -> None:
    assert write_labels(reviewed, tmp_path / "out.csv", "all") == 6
    read = read_csv_onehot(tmp_path / "out.csv")
    assert cells(read.labels) == ["0?0", "??1", "0?1", "0??", "1??", "?1?"]
    assert read.splits == ("train", "val", "test", "train", "train", "train")
    again = reviewed_labels(reviewed)
    assert (again.images, again.splits, again.labels.names) == (read.images, read.splits, read.labels.names)
    assert cells(again.labels) == cells(read.labels)


def test_decisions_go_over_the_rows_of_any_label_file(reviewed: Path) -> None:
    labels = LabelMatrix(np.array([[0, 1], [1, 0]], bool), np.ones((2, 2), bool), ("cat", "dog"))
    file = Annotations(labels, ("0005.png", "sub/0009.png"), ("", ""), (2, 3), "labels.csv")
    merged = with_decisions(file, reviewed)
    assert merged.labels.names == ("cat", "fox", "hound")
    assert merged.images == ("0005.png", "sub/0009.png", "sub/0000.png", "sub/0001.png", "sub/0007.png")
    assert cells(merged.labels) == ["1?1", "1?0", "0??", "???", "?1?"]
    assert merged.splits == ("",) * 5
    assert len(set(merged.lines)) == 5
    assert merged.notes == ("4 review decisions applied, 3 images added",)


def test_rows_of_images_that_the_run_does_not_hold_stay(reviewed: Path) -> None:
    labels = LabelMatrix(np.array([[1, 0], [0, 1]], bool), np.array([[1, 1], [0, 1]], bool), ("cat", "dog"))
    file = Annotations(labels, ("later/a.png", "later/b.png"), ("", ""), (2, 3), "labels.csv")
    merged = with_decisions(file, reviewed)
    assert merged.images[:2] == file.images
    assert merged.labels.names == ("cat", "fox", "hound")
    assert cells(merged.labels)[:2] == ["1?0", "??1"]


def test_the_next_fits_label_file_holds_them_and_says_so(reviewed: Path, tmp_path: Path) -> None:
    path, said = next_labels(reviewed)
    assert cells(read_csv_onehot(path).labels) == cells(reviewed_labels(reviewed).labels)
    assert said.startswith("4 review decisions applied")
    (tmp_path / "more.csv").write_text("image,labels\nsub/0009.png,dog\n")
    path, _ = next_labels(reviewed, tmp_path / "more.csv")
    assert "sub/0009.png" in read_csv_onehot(path).images
    assert list(read_csv_onehot(path).images) == sorted(read_csv_onehot(path).images)
    assert read_csv_onehot(path).labels.names == ("cat", "fox", "hound")


def test_a_run_without_review_and_a_wrong_name_are_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Expected a review log at .*review.sqlite, but there is none: run 'tagweave"):
        reviewed_labels(run)
    with pytest.raises(InputError, match=r"Expected an output file ending in .csv, but got '.*labels.txt'"):
        write_labels(run, tmp_path / "labels.txt", "all")
