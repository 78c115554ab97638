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


def layout(folder: Path, labels: Any, classes: Any = None) -> Path:
    for name in ("a.png", "sub/b.jpg", "c.webp", "d.png"):
        write(folder / "data" / name, "picture")
    write(folder / "labels.json", {"classes": classes, "labels": labels})
    return folder


def test_labels_json_beside_data(tmp_path: Path) -> None:
    labels = {"a": ["cat", "dog"], "sub/b": "dog", "c": None, "d": []}
    by_name = layout(tmp_path / "names", labels)
    by_place = layout(
        tmp_path / "places", {"a": [0, {"label": 1, "confidence": 0.5}], "sub/b": 1, "c": None, "d": []}, ["cat", "dog"]
    )
    for folder in (by_name, by_place):
        read = read_annotations(folder)
        assert cells(read) == {
            "data/a.png": {"cat": 1, "dog": 1}, "data/sub/b.jpg": {"cat": 0, "dog": 1}, "data/c.webp": {},
            "data/d.png": {"cat": 0, "dog": 0},
        }  # fmt: skip
        assert read.image_folder == folder
        assert cells(read_annotations(folder / "labels.json")) == cells(read)


def test_labels_json_problems(tmp_path: Path) -> None:
    told = problems(layout(tmp_path / "one", {"a": [2], "e": ["cat"], "c": [{"x": 1}]}, ["cat"]))
    assert told == (
        "labels.json sample 1: expected a label or its place in classes, but got 2",
        "labels.json sample 2: expected an image 'e' in data/, but there is none",
        "labels.json sample 3: expected a label or its place in classes, but got {'x': 1}",
    )
    write(tmp_path / "two" / "labels.json", {"classes": ["cat"], "labels": {"a": 0}})
    assert problems(tmp_path / "two")[0].startswith("Expected the images of labels.json in ")
    write(tmp_path / "three" / "labels.json", {"classes": ["cat"], "labels": {}})
    assert problems(tmp_path / "three") == ("labels.json: expected FiftyOne's labels by image, but found none",)


def test_coco_in_the_same_layout(tmp_path: Path) -> None:
    content = {
        "info": {}, "categories": [{"id": 1, "name": "cat"}], "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
    }  # fmt: skip
    write(tmp_path / "labels.json", content)
    read = read_annotations(tmp_path)
    assert cells(read) == {"data/a.png": {"cat": 1}}
    assert read.image_folder == tmp_path
