"""The VOC folder, small ones written here and the real one where it is at hand."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from format_cases import annotations_of, cells

from tagweave.data.formats.voc import read_voc, write_voc
from tagweave.errors import InputError

DATA = Path(os.environ.get("TAGWEAVE_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
VOC = DATA / "VOCdevkit" / "VOC2007"


def annotation(*objects: tuple[str, int]) -> str:
    parts = "".join(
        f"<object><name>{name}</name><difficult>{hard}</difficult><part><name>head</name></part></object>"
        for name, hard in objects
    )
    return f"<annotation><owner><name>?</name></owner>{parts}</annotation>"


def voc(root: Path, lists: dict[str, str], files: dict[str, str]) -> Path:
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    for name, text in files.items():
        (root / "Annotations" / f"{name}.xml").write_text(text)
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return voc(
        tmp_path / "VOC2007",
        {"train": "000001\n000002\n", "val": "000003\n", "test": "000004\n000005\n\n"},
        {
            "000001": annotation(("dog", 0), ("dog", 1), ("cat", 1)),
            "000002": annotation(),
            "000003": annotation(("cat", 1), ("cat", 0)),
            "000004": annotation(("dog", 1), ("cat", 0)),
        },
    )


def problems(root: Path) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_voc(root)
    return caught.value.problems


def test_difficult_is_positive_in_training_and_unknown_in_test(small: Path) -> None:
    read = read_voc(small)
    assert read.labels.names == ("cat", "dog")
    assert read.labels.values.tolist() == [[True, True], [False, False], [True, False], [True, False], [False, False]]
    assert read.labels.known.tolist() == [[True, True]] * 3 + [[True, False], [False, False]]
    assert read.images == ("000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg", "000005.jpg")
    assert read.splits == ("train", "train", "val", "test", "test")
    assert read.lines == (1, 2, 1, 1, 2)
    assert read.image_folder == small / "JPEGImages"
    assert read.source == "VOC2007/ImageSets/Main"


def test_difficult_may_be_unknown_in_training(small: Path) -> None:
    read = read_voc(small, difficult="unknown")
    assert read.labels.known[:3].tolist() == [[False, True], [True, True], [True, True]]
    assert read.labels.values[:3].tolist() == [[False, True], [False, False], [True, False]]
    with pytest.raises(InputError, match="positive or unknown, but got 'maybe'"):
        read_voc(small, difficult="maybe")  # type: ignore[arg-type]


def test_trainval_is_train_where_it_is_the_only_list(small: Path) -> None:
    for name in ("train", "val"):
        (small / "ImageSets" / "Main" / f"{name}.txt").unlink()
    voc(small, {"trainval": "000001\n000003\n"}, {})
    assert read_voc(small).splits == ("train", "train", "test", "test")


def test_all_problems_at_once(small: Path) -> None:
    voc(small, {"train": "000001\n000009\n000002\n", "val": "000001\na/b\n"}, {"000002": "<annotation><object>"})
    assert problems(small) == (
        "val.txt line 1: '000001' is listed in train.txt line 1",
        "val.txt line 2: expected a name without folder, but got 'a/b'",
        "train.txt line 2: expected Annotations/000009.xml, but it is not there",
        "Annotations/000002.xml: no element found: line 1, column 20",
        "val.txt line 2: expected Annotations/b.xml, but it is not there",
    )


def test_entity_bombs_are_refused(small: Path) -> None:
    entities = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]>'
    bomb = f"{entities}<annotation><object><name>&y;</name></object></annotation>"
    voc(small, {}, {"000001": bomb})
    (small / "Annotations" / "000002.xml").write_bytes(bomb.encode("utf-16"))
    (small / "Annotations" / "000003.xml").write_text('<?xml version="1.0" encoding="klingon"?><annotation/>')
    first, second, third = problems(small)
    assert first == "Annotations/000001.xml: expected plain XML, but got a DOCTYPE; save it without"
    assert second == "Annotations/000002.xml: expected plain XML, but got a DOCTYPE; save it without"
    assert third.startswith("Annotations/000003.xml: unknown encoding")


def test_an_object_without_name(small: Path) -> None:
    voc(small, {}, {"000001": "<annotation><object><difficult>0</difficult></object></annotation>"})
    assert problems(small) == ("Annotations/000001.xml: expected a name in every object, but one has none",)


def test_names_with_spaces_and_other_suffixes(small: Path) -> None:
    described = "<annotation><filename>a b.png</filename></annotation>"
    voc(
        small,
        {"val": "a b\n000003\n"},
        {"a b": described, "000003": "<annotation><filename>x/y.png</filename></annotation>"},
    )
    assert read_voc(small).images[2:4] == ("a b.png", "000003.jpg")


def test_written_folders(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"picture")
    given = annotations_of({"a.jpg": "10", "b.png": "11 test"}, ("cat", "dog"))
    notes = write_voc(tmp_path / "VOC", replace(given, image_folder=tmp_path / "photos"))
    assert notes == ("images without a split: 1, written as train",)
    lists = tmp_path / "VOC" / "ImageSets" / "Main"
    assert {path.name: path.read_text() for path in lists.iterdir() if "_" not in path.name} == {
        "train.txt": "a\n", "val.txt": "", "trainval.txt": "a\n", "test.txt": "b\n",
    }  # fmt: skip
    assert (tmp_path / "VOC" / "JPEGImages" / "a.jpg").read_bytes() == b"picture"
    assert cells(read_voc(tmp_path / "VOC")) == {"a.jpg": {"cat": 1, "dog": 0}, "b.png": {"cat": 1, "dog": 1}}
    with pytest.raises(InputError, match="image 'a' is there with several suffixes"):
        write_voc(tmp_path / "VOC2", annotations_of({"a.jpg": "1", "a.png": "1"}, ("cat",)))


def test_a_folder_that_is_not_voc(small: Path, tmp_path: Path) -> None:
    (told,) = problems(tmp_path)
    assert told == (
        f"Expected a VOC folder at {tmp_path}, but it has no Annotations, ImageSets/Main, JPEGImages; "
        f"did you mean {small}?"
    )
    (small / "JPEGImages").rmdir()
    assert "has no JPEGImages; give the folder that holds them" in problems(small)[0]


def test_empty_lists(tmp_path: Path) -> None:
    assert "Expected image names in train.txt" in problems(voc(tmp_path, {"train": "\n"}, {}))[0]


@pytest.mark.data
@pytest.mark.skipif(not VOC.is_dir(), reason=f"no VOC2007 in {DATA}; set TAGWEAVE_DATA")
def test_voc2007_agrees_with_the_official_lists_of_each_label() -> None:
    begin = time.perf_counter()
    read = read_voc(VOC)
    assert time.perf_counter() - begin < 20
    assert Counter(read.splits) == {"train": 2501, "val": 2510, "test": 4952}
    assert len(read.labels.names) == 20
    row = {image.removesuffix(".jpg"): place for place, image in enumerate(read.images)}
    for column, name in enumerate(read.labels.names):
        for split in ("train", "val", "test"):
            lines = (VOC / "ImageSets" / "Main" / f"{name}_{split}.txt").read_text().split()
            rows = [row[image] for image in lines[::2]]
            flags = np.array(lines[1::2], dtype=int)
            counts = flags == 1 if split == "test" else flags >= 0
            assert (read.labels.values[rows, column] == counts).all()
            assert (read.labels.known[rows, column] == ((flags != 0) | (split != "test"))).all()


def test_each_label_has_its_lists(tmp_path: Path) -> None:
    rows = {"a.png": "10 train", "b.png": "01 val", "c.png": "00 train"}
    write_voc(tmp_path / "voc", annotations_of(rows, ("cat", "a/b")))
    lists = {path.name for path in (tmp_path / "voc" / "ImageSets" / "Main").iterdir()}
    assert "cat_trainval.txt" in lists
    assert not any(name.startswith("a") for name in lists)
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "cat_train.txt").read_text() == "a  1\nc -1\n"
