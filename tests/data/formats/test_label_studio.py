"""Label Studio's exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from format_cases import cells, problems, write

from tagweave.data.formats import read_annotations
from tagweave.data.formats.label_studio import image_of, url_of


def choice(*names: str) -> dict[str, Any]:
    return {
        "id": "x1", "from_name": "tags", "to_name": "img", "type": "choices", "origin": "manual",
        "value": {"choices": list(names)},
    }  # fmt: skip


def task(image: str, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": list(annotations), "predictions": [], **more}


def done(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 7, "completed_by": 1, "result": list(results), "was_cancelled": False, "ground_truth": False, **more}


def test_label_studio_knows_what_was_annotated(tmp_path: Path) -> None:
    guess = [{"model_version": "m", "result": [choice("dog")]}]
    tasks = [
        task("/data/local-files/?d=photos/a%20b.jpg", done(choice("cat", "dog"))),
        task("/data/upload/3/1f2e3d4c-c.jpg", done()),
        task("d.jpg", predictions=guess),
        task("https://host/x/e.jpg?key=1", done(choice("cat"), was_cancelled=True)),
        task("f.jpg", done(choice("cat", "dog")), done(choice("cat"))),
        task("g.jpg", done(choice("cat")), done(choice("dog"), ground_truth=True)),
    ]
    read = read_annotations(write(tmp_path / "export.json", tasks))
    assert cells(read) == {
        "photos/a b.jpg": {"cat": 1, "dog": 1},
        "c.jpg": {"cat": 0, "dog": 0},
        "d.jpg": {},
        "x/e.jpg": {},
        "f.jpg": {"cat": 1},
        "g.jpg": {"cat": 0, "dog": 1},
    }
    assert read.notes == ("task 5: annotators disagree on 1 labels, read as unknown",)


def test_label_studio_problems(tmp_path: Path) -> None:
    tasks = [
        {"id": 1, "image": "a.jpg", "choice": "cat"},
        task("/data/local-files/?d=../a.jpg"),
        task("b.jpg", done({"type": "choices", "value": {"choices": [1]}})),
    ]
    first, second, third = problems(write(tmp_path / "e.json", tasks))
    assert first.startswith("e.json task 1: expected data with an image, but got {'id': 1")
    assert first.endswith("export as JSON, not JSON-MIN")
    assert second.startswith("e.json task 2: expected a path inside the image folder, but got '../a.jpg'")
    assert third == "e.json task 3: expected choices as a list of names, but got [1]"
    (told,) = problems(write(tmp_path / "f.json", {"images": []}), "label-studio")
    assert told == "f.json: expected Label Studio's list of tasks, but got an object; export as JSON"


@pytest.mark.parametrize("image", ["a b/c+d.jpg", "100%25.jpg", "é?#&=.png", "1f2e3d4c-a.jpg"])
def test_local_files_urls_come_back(image: str) -> None:
    assert image_of(url_of(image)) == image
