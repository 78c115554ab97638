"""Labels from one format into another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tagweave.data.convert import convert
from tagweave.errors import InputError


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("image,cat,dog,split\na.jpg,1,0,train\nb.jpg,,1,\nc.jpg,0,0,test\n")
    return path


def problems(*paths: Path, **options: object) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        convert(*paths, **options)  # type: ignore[arg-type]
    return caught.value.problems


def test_what_is_done_and_lost_is_told(labels: Path, tmp_path: Path) -> None:
    done = convert(labels, tmp_path / "new" / "tasks.json", target_format="label-studio")
    assert (done.source_format, done.target_format, done.images, done.labels) == ("csv-onehot", "label-studio", 3, 1)
    assert done.notes == (
        "images known in part only: 1, written as unlabelled; 1 known cells are lost",
        "labels that no image has: 1, not named (dog)",
    )
    tasks = json.loads((tmp_path / "new" / "tasks.json").read_text())
    choices = {"from_name": "labels", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
    finished = {"was_cancelled": False, "ground_truth": False}
    assert tasks == [
        {"data": {"image": "/data/local-files/?d=a.jpg", "split": "train"},
         "annotations": [{"result": [choices], **finished}]},
        {"data": {"image": "/data/local-files/?d=b.jpg"}, "annotations": []},
        {"data": {"image": "/data/local-files/?d=c.jpg", "split": "test"},
         "annotations": [{"result": [], **finished}]},
    ]  # fmt: skip


def test_formats_are_guessed(labels: Path, tmp_path: Path) -> None:
    done = convert(labels, tmp_path / "a.coco.json")
    assert (done.target_format, done.notes) == ("coco", ())
    back = convert(tmp_path / "a.coco.json", tmp_path / "back.csv")
    assert (back.source_format, back.target_format) == ("coco", "csv-onehot")
    assert (tmp_path / "back.csv").read_text() == "image,cat,dog,split\na.jpg,1,0,train\nb.jpg,,1,\nc.jpg,0,0,test\n"


def test_nothing_is_overwritten_and_nothing_half_written(labels: Path, tmp_path: Path) -> None:
    assert "something is there" in problems(labels, labels)[0]
    assert "nothing is there" in problems(tmp_path / "x.csv", tmp_path / "y.csv")[0]
    labels.write_text("image,labels\nd/a.jpg,cat\n")
    before = sorted(tmp_path.iterdir())
    assert (
        "is in a folder, which VOC does not have; write coco instead"
        in problems(labels, tmp_path / "voc", target_format="voc")[0]
    )
    assert "give --images" in problems(labels, tmp_path / "sorted", target_format="folders")[0]
    assert "'d/a.jpg' is not in" in problems(labels, tmp_path / "s", target_format="folders", images=tmp_path)[0]
    assert sorted(tmp_path.iterdir()) == before


def test_problems_of_the_source_are_raised(labels: Path, tmp_path: Path) -> None:
    labels.write_text("image,labels\n../a.jpg,cat\nb.jpg,Cat\nc.jpg,cat\n")
    assert len(problems(labels, tmp_path / "a.xml")) == 2


@pytest.mark.parametrize(
    ("header", "format", "told"),
    [
        ("image,a;b,c", "csv-list", "label 'a;b' holds ';', which joins labels; write csv-onehot instead"),
        ("image,../a,c", "folders", "label '../a' cannot name a folder; rename it"),
        ("image,.a,c", "folders", "label '.a' cannot name a folder; rename it"),
        ("image,test,c", "folders", "label 'test' cannot name a folder; rename it"),
    ],
)
def test_names_that_a_format_cannot_hold(labels: Path, tmp_path: Path, header: str, format: str, told: str) -> None:
    labels.write_text(f"{header}\na.jpg,1,0\nb.jpg,0,1\n")
    assert problems(labels, tmp_path / "x", target_format=format, images=tmp_path) == (told,)


def test_reserved_columns(labels: Path, tmp_path: Path) -> None:
    labels.write_text("image,labels\na.jpg,Split\n")
    told = "label 'Split' is a column of its own; write parquet instead"
    assert problems(labels, tmp_path / "b.csv", target_format="csv-onehot") == (told,)
