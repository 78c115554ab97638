"""Hugging Face's ImageFolder metadata."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from format_cases import cells, problems, write

from tagweave.data.formats import read_annotations


def test_imagefolder_with_splits(tmp_path: Path) -> None:
    write(tmp_path / "train" / "metadata.jsonl", '{"file_name": "a.jpg", "labels": ["cat", "dog"]}\n\n')
    write(tmp_path / "validation" / "metadata.csv", "file_name,labels\nb.jpg,cat; dog\nc.jpg,\n")
    table = pa.table({"file_name": ["d.jpg", "e.jpg"], "label": ["dog", None]})
    (tmp_path / "test").mkdir()
    pq.write_table(table, tmp_path / "test" / "metadata.parquet")
    read = read_annotations(tmp_path)
    both = {"cat": 1, "dog": 1}
    assert cells(read) == {
        "train/a.jpg": both, "validation/b.jpg": both, "validation/c.jpg": {"cat": 0, "dog": 0},
        "test/d.jpg": {"cat": 0, "dog": 1}, "test/e.jpg": {},
    }  # fmt: skip
    assert dict(zip(read.images, read.splits, strict=True))["validation/b.jpg"] == "val"
    assert read.image_folder == tmp_path


def test_imagefolder_problems(tmp_path: Path) -> None:
    lines = '{"file_name": "a.jpg", "labels": [1]}\nnot json\n{"labels": []}\n{"file_name": "../b.jpg"}\n'
    told = problems(write(tmp_path / "metadata.jsonl", lines))
    assert [text.split(",")[0] for text in told] == [
        "metadata.jsonl record 1: expected labels as a list of names",
        "metadata.jsonl record 2: expected a JSON object on the line",
        "metadata.jsonl record 3: expected an object with file_name",
        "metadata.jsonl record 4: expected a path inside the image folder",
    ]
    (tmp_path / "metadata.jsonl").unlink()
    assert "none found" in problems(tmp_path, "imagefolder")[0]
