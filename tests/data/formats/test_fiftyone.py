"""FiftyOne's samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from format_cases import cells, problems, write

from tagweave.data.formats import read_annotations


def sample(path: str, field: Any, name: str = "ground_truth", tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "_id": {"$oid": "6"}, "_cls": "Sample", "filepath": path, "tags": list(tags), "_media_type": "image",
        "metadata": None, name: field,
    }  # fmt: skip


def seen(*names: str) -> dict[str, Any]:
    items = [{"_id": {"$oid": "5"}, "_cls": "Classification", "tags": [], "label": name} for name in names]
    return {"_cls": "Classifications", "classifications": items, "logits": None}


def test_fiftyone(tmp_path: Path) -> None:
    samples = [
        sample("data/a.jpg", seen("cat", "dog"), tags=("reviewed", "validation")),
        sample("data/b.jpg", seen()),
        sample("data/c.jpg", None),
        sample("data/d.jpg", {"_cls": "Classification", "label": "dog"}),
    ]
    write(tmp_path / "samples.json", {"samples": samples})
    read = read_annotations(tmp_path)
    assert cells(read) == {
        "data/a.jpg": {"cat": 1, "dog": 1}, "data/b.jpg": {"cat": 0, "dog": 0}, "data/c.jpg": {},
        "data/d.jpg": {"cat": 0, "dog": 1},
    }  # fmt: skip
    assert read.splits == ("val", "", "", "")
    assert read.image_folder == tmp_path
    assert cells(read_annotations(tmp_path / "samples.json")) == cells(read)


def test_fiftyone_problems(tmp_path: Path) -> None:
    samples = [
        {"x": 1}, sample("/home/me/a.jpg", seen("cat")), sample("b.jpg", {"_cls": "Classification"}),
        {**sample("c.jpg", seen("cat"), "one"), "two": seen("dog")}, sample("d.jpg", seen("Cat"), "one"),
        sample("e.jpg", seen("cat"), "one"), sample("f.jpg", seen("cat"), "one"),
    ]  # fmt: skip
    told = problems(write(tmp_path / "s.json", {"samples": samples}))
    assert [text.split(":")[0] for text in told] == [f"s.json sample {number}" for number in range(1, 6)]
    assert "but got '/home/me/a.jpg'" in told[1]
    assert told[3].endswith("expected ground_truth or one field of classifications, but got one, two")
    assert told[4].endswith("label 'Cat' differs only by case or spaces from 'cat'; did you mean 'cat'?")
