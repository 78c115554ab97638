"""Tables of labels in Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from format_cases import cells, problems

from tagweave.data.formats import read_annotations


def table(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_three_tables(tmp_path: Path) -> None:
    expected = {"a.jpg": {"cat": 1, "dog": 0}, "b.jpg": {"cat": 1}}
    wide = table(tmp_path / "w.parquet", {"image": ["a.jpg", "b.jpg"], "cat": [1.0, 1.0], "dog": [0.0, None]})
    assert cells(read_annotations(wide)) == expected
    long = {
        "image": ["a.jpg", "a.jpg", "b.jpg", "b.jpg"], "label": ["cat", "dog", "cat", "dog"],
        "value": [True, False, True, True], "known": [True, True, True, False],
    }  # fmt: skip
    read = read_annotations(table(tmp_path / "l.parquet", long))
    assert cells(read) == expected
    assert read.notes == ("values that are not known but propagated: 1, read as unknown",)
    lists = {"image": ["a.jpg", "b.jpg", "c.jpg"], "labels": [["cat"], [], None], "split": ["test", None, None]}
    read = read_annotations(table(tmp_path / "s.parquet", lists))
    assert cells(read) == {"a.jpg": {"cat": 1}, "b.jpg": {"cat": 0}, "c.jpg": {}}
    assert read.splits == ("test", "", "")


def test_parquet_problems(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    predictions = {"image": ["a.jpg"], "label": ["cat"], "probability": [0.5]}
    assert problems(table(path, predictions))[0].startswith("p.parquet: expected the columns image, label, value")
    assert problems(table(path, {"image": ["a.jpg", "/b.jpg"], "cat": [2, 1]})) == (
        "p.parquet row 1: column 'cat': expected 1, 0 or null for unknown, but got '2'",
        "p.parquet row 2: expected a path inside the image folder, but got '/b.jpg'; write it relative to that folder",
    )
    path.write_text("image,labels\n")
    assert "could not be read" in problems(path)[0]
