"""What a path looks like. That every format's own files are recognised is shown with the round trips."""

from __future__ import annotations

from pathlib import Path

import pytest
from format_cases import annotations_of, write

from tagweave.data.formats.sniff import guess_target, sniff
from tagweave.errors import InputError


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("labels.txt", "image,labels\n", "csv-list"),
        ("labels.csv", "Image,cat,split\n", "csv-onehot"),
        ("l.csv", "ImageID,Source,LabelName,Confidence\n", "openimages"),
        ("metadata.csv", "file_name,labels\n", "imagefolder"),
        ("m.csv", "file_name,labels\n", "imagefolder"),
        ("any.jsonl", "", "imagefolder"),
        ("a.json", [], "label-studio"),
        ("a.json", {"info": {"year": 1}, "licenses": [], "categories": []}, "coco"),
        ("a.json", {"name": "x", "samples": []}, "fiftyone"),
        ("a.xml", "", "cvat"),
    ],
)
def test_files(tmp_path: Path, name: str, content: object, format: str) -> None:
    assert sniff(write(tmp_path / name, content)) == format


@pytest.mark.parametrize(
    ("inside", "format"),
    [
        ("VOC2007/ImageSets/Main/train.txt", "voc"),
        ("ImageSets/Main/train.txt", "voc"),
        ("annotations/instances_val2014.json", "coco"),
        ("samples.json", "fiftyone"),
        ("validation/metadata.csv", "imagefolder"),
        ("cat/1.jpg", "folders"),
    ],
)
def test_folders(tmp_path: Path, inside: str, format: str) -> None:
    write(tmp_path / inside, "")
    assert sniff(tmp_path) == format


def test_json_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it has none of their keys"):
        sniff(write(tmp_path / "a.json", {"x": 1}))


@pytest.mark.parametrize(
    ("name", "cells", "format"),
    [
        ("a.csv", "10", "csv-list"), ("a.csv", "1?", "csv-onehot"), ("a.parquet", "10", "parquet"),
        ("a.jsonl", "10", "imagefolder"), ("a.xml", "10", "cvat"), ("a.coco.json", "10", "coco"),
    ],
)  # fmt: skip
def test_targets(name: str, cells: str, format: str) -> None:
    assert guess_target(Path(name), annotations_of({"a.jpg": cells, "b.jpg": "??"}, ("cat", "dog"))) == format


def test_a_target_that_may_be_many_things() -> None:
    with pytest.raises(
        InputError, match=r"Expected a name ending in \.csv, .* but got 'a\.json'; name the format with --to"
    ):
        guess_target(Path("a.json"), annotations_of({"a.jpg": "1"}, ("cat",)))


def test_a_tools_folder_is_no_folder_of_labels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "train.xml").write_text("<annotations/>")
    with pytest.raises(
        InputError,
        match=r"^Expected label folders in .*, but got train\.xml beside images/; give that file, or say --f",
    ):
        sniff(tmp_path)
