"""A folder per label."""

from __future__ import annotations

from pathlib import Path

from format_cases import cells, problems
from PIL import Image

from tagweave.data.formats import read_annotations


def test_folders_with_splits(tmp_path: Path) -> None:
    for place, name in enumerate(("train/cat/1.png", "train/dog/1.png", "val/dog/2.png", "train/3.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), place).save(tmp_path / name)
    (tmp_path / "val" / "cow").mkdir()
    read = read_annotations(tmp_path)
    assert cells(read) == {
        "train/3.png": {},
        "train/cat/1.png": {"cat": 1, "cow": 0, "dog": 0},
        "train/dog/1.png": {"cat": 0, "cow": 0, "dog": 1},
        "val/dog/2.png": {"cat": 0, "cow": 0, "dog": 1},
    }
    assert read.splits == ("train", "train", "train", "val")


def test_folders_without_labels(tmp_path: Path) -> None:
    assert "Expected a folder per label" in problems(tmp_path)[0]
