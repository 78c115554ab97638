"""COCO instances files, as published and as people change them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from format_cases import cells, problems, write

from tagweave.data.formats import read_annotations

BOX = {"segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], "area": 9.5, "bbox": [1.0, 2.0, 3.0, 3.2]}
CATEGORIES = [
    {"supercategory": "animal", "id": 17, "name": "cat"},
    {"supercategory": "person", "id": 1, "name": "person"},
]


def coco(images: list[Any], annotations: list[Any] | None) -> dict[str, Any]:
    stated = {} if annotations is None else {"annotations": annotations}
    return {"info": {"year": 2017}, "licenses": [], "images": images, **stated, "categories": CATEGORIES}


def test_coco_crowds_count_and_absent_is_negative(tmp_path: Path) -> None:
    images = [{"id": 9, "file_name": "a.jpg", "height": 4, "width": 6}, {"id": 25, "file_name": "b.jpg"}]
    annotations = [
        {**BOX, "id": 1, "image_id": 9, "category_id": 17, "iscrowd": 0},
        {**BOX, "id": 2, "image_id": 9, "category_id": 17, "iscrowd": 0},
        {**BOX, "id": 3, "image_id": 9, "category_id": 1, "iscrowd": 1},
    ]
    read = read_annotations(write(tmp_path / "mine.json", coco(images, annotations)))
    assert cells(read) == {"a.jpg": {"cat": 1, "person": 1}, "b.jpg": {"cat": 0, "person": 0}}
    assert read.splits == ("", "")


def test_coco_may_come_in_any_order(tmp_path: Path) -> None:
    content = coco([{"id": 9, "file_name": "a.jpg"}], [{"image_id": 9, "category_id": 1}])
    read = read_annotations(write(tmp_path / "a.json", dict(reversed(content.items()))))
    assert cells(read) == {"a.jpg": {"cat": 0, "person": 1}}


def test_coco_without_annotations_is_unlabelled(tmp_path: Path) -> None:
    read = read_annotations(write(tmp_path / "image_info_test2017.json", coco([{"id": 9, "file_name": "a.jpg"}], None)))
    assert cells(read) == {"a.jpg": {}}
    assert read.notes == ("image_info_test2017.json has no annotations: its images are unlabelled",)


def test_lvis_knows_only_what_was_looked_for(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.jpg", "neg_category_ids": [17], "not_exhaustive_category_ids": []},
        {"id": 2, "file_name": "b.jpg", "neg_category_ids": [], "not_exhaustive_category_ids": [1]},
    ]
    read = read_annotations(write(tmp_path / "lvis.json", coco(images, [{"id": 1, "image_id": 2, "category_id": 1}])))
    assert cells(read) == {"a.jpg": {"cat": 0}, "b.jpg": {"person": 1}}


def test_coco_official_folder(tmp_path: Path) -> None:
    for part, identity in (("train", 9), ("val", 139)):
        content = coco(
            [{"id": identity, "file_name": f"{identity:012d}.jpg"}], [{"image_id": identity, "category_id": 1}]
        )
        write(tmp_path / "annotations" / f"instances_{part}2017.json", content)
    read = read_annotations(tmp_path)
    assert read.images == ("train2017/000000000009.jpg", "val2017/000000000139.jpg")
    assert read.splits == ("train", "test")
    assert read.notes == ("instances_val2017.json is read as test: COCO's own test labels are not public",)
    assert read.image_folder == tmp_path
    write(tmp_path / "annotations" / "instances_val2014.json", coco([], []))
    assert "of one year in" in problems(tmp_path)[0]


def test_coco_all_problems_at_once(tmp_path: Path) -> None:
    images = [
        {"id": 9, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}, {"id": 10}, 7,
        {"id": 11, "file_name": "../c.jpg"}, {"id": 12, "file_name": "a.jpg"},
        {"id": 13, "file_name": "d.jpg", "split": "tran"}, {"id": 14, "file_name": "e.jpg", "neg_category_ids": [99]},
    ]  # fmt: skip
    annotations = [{"image_id": 9, "category_id": 17}, {"image_id": 8, "category_id": 2}, {"image_id": 9}]
    told = problems(write(tmp_path / "a.json", coco(images, annotations)))
    assert told == (
        "a.json image 2: image id 9 is listed again; keep one",
        "a.json image 3: expected id and file_name, but got {'id': 10}",
        "a.json image 4: expected an object, but got 7",
        "a.json image 5: expected a path inside the image folder, but got '../c.jpg'; write it relative to that folder",
        "a.json image 6: image 'a.jpg' is listed again, first on image 1; keep one image",
        "a.json image 7: expected a split of train, val, test or nothing, but got 'tran'; did you mean 'train'?",
        "a.json image 8: neg_category_ids holds 99, which is no category",
        "a.json annotation 2: category_id 2 is no category of the file",
        "a.json annotation 2: image_id 8 is no image of the file",
        "a.json annotation 3: expected image_id and category_id, but got {'image_id': 9}",
    )


def test_a_folder_with_files_of_other_names(tmp_path: Path) -> None:
    for part in ("train", "validation", "mine"):
        write(tmp_path / "annotations" / f"instances_{part}.json", coco([{"id": 1, "file_name": f"{part}.jpg"}], []))
    (tmp_path / "images" / "train").mkdir(parents=True)
    read = read_annotations(tmp_path)
    assert read.images == ("mine.jpg", "train/train.jpg", "validation.jpg")
    assert read.splits == ("", "train", "val")
    assert read.image_folder == tmp_path / "images"
    assert problems(tmp_path / "images", "coco")[0].startswith("Expected annotations/instances_*.json in ")
