"""Every format gives back what it can say, tells what it cannot, and is recognised by its own files."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagweave.data.annotations import Annotations
from tagweave.data.convert import convert
from tagweave.data.formats import FORMATS, read_annotations
from tagweave.data.formats.reach import keep_sayable
from tagweave.data.formats.sniff import sniff
from tagweave.data.labels import LabelMatrix

TARGETS = {
    "csv-list": "a.csv", "csv-onehot": "a.csv", "parquet": "a.parquet", "folders": "a", "imagefolder": "a.jsonl",
    "voc": "a", "coco": "a.json", "label-studio": "a.json", "cvat": "a.xml", "fiftyone": "a.json",
    "openimages": "a.csv",
}  # fmt: skip
ODD_LABELS = ("=1+1", 'a "b"', "a,b", "ein Baum", "Straße <&>", "猫", "100%", "'x'")
ODD_IMAGES = ("a.jpg", "b c.png", "=d.jpg", 'é"&.jpg', "100%25+1#?.jpg", "猫;,.webp", "x.png.jpg", "-.JPG")
# 1 present, 0 absent, -1 unknown
Cells = st.lists(st.lists(st.sampled_from([1, 0, -1]), min_size=3, max_size=3), min_size=1, max_size=6)
Splits = st.lists(st.sampled_from(["", "train", "val", "test"]), min_size=6, max_size=6)


def annotations_of(cells: list[list[int]], splits: list[str], labels: tuple[str, ...], images: int = 0) -> Annotations:
    table = np.array(cells)
    names = tuple(sorted(labels))
    rows = len(table)
    listed = tuple(ODD_IMAGES[(images + row) % len(ODD_IMAGES)] for row in range(rows))
    matrix = LabelMatrix(table == 1, table >= 0, names)
    return Annotations(matrix, listed, tuple(splits[:rows]), tuple(range(rows)), "x")


def facts(annotations: Annotations) -> tuple[set[tuple[str, str, bool]], dict[str, str], set[str]]:
    """Known cells, splits by image and label names, whatever the order of rows."""
    labels = annotations.labels
    cells = {
        (annotations.images[i], labels.names[c], bool(labels.values[i, c]))
        for i, c in np.argwhere(labels.known).tolist()
    }
    return cells, dict(zip(annotations.images, annotations.splits, strict=True)), set(labels.names)


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "folders"])
@given(
    cells=Cells,
    splits=Splits,
    labels=st.lists(st.sampled_from(ODD_LABELS), min_size=3, max_size=3, unique=True),
    images=st.integers(0, 7),
)
@settings(max_examples=25, deadline=None)
def test_what_can_be_said_comes_back(
    format: str, cells: list[list[int]], splits: list[str], labels: list[str], images: int
) -> None:
    given_ = annotations_of(cells, splits, tuple(labels), images)
    kept, notes = keep_sayable(given_, FORMATS[format].reach)
    if format == "voc":
        kept = replace(kept, splits=tuple(split or "train" for split in kept.splits))
    if not kept.labels.names or not len(kept):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TARGETS[format]
        FORMATS[format].write(path, kept)
        if format != "csv-list" or kept.labels.labelled.any():
            assert sniff(path) == format
        read = read_annotations(path, format)
    assert facts(read) == facts(kept)
    assert not read.notes
    # What is lost is told, and only unknown is ever made of it.
    assert (facts(kept)[0] != facts(given_)[0]) <= bool(notes)
    assert facts(read)[0] <= facts(given_)[0]


@pytest.mark.parametrize("format", ["csv-onehot", "parquet", "coco", "openimages", "label-studio", "imagefolder"])
@given(cells=Cells, splits=Splits)
@settings(max_examples=10, deadline=None)
def test_there_and_back_again(format: str, cells: list[list[int]], splits: list[str]) -> None:
    """One-hot CSV to a format and back keeps all that both can say."""
    given_ = annotations_of(cells, splits, ODD_LABELS[:3])
    with tempfile.TemporaryDirectory() as folder:
        first, there, back = Path(folder) / "a.csv", Path(folder) / "there" / TARGETS[format], Path(folder) / "back.csv"
        FORMATS["csv-onehot"].write(first, given_)
        kept, _ = keep_sayable(given_, FORMATS[format].reach)
        if not kept.labels.names or not len(kept):
            return
        convert(first, there, source_format="csv-onehot", target_format=format)
        convert(there, back, source_format=format, target_format="csv-onehot")
        assert facts(read_annotations(back, "csv-onehot")) == facts(kept)


def test_folders_hold_the_images(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "sub/a.png", "b.png")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / name)
    (tmp_path / "labels.csv").write_text("image,labels\na.png,=cat;dog\nsub/a.png,dog\nb.png,\n")
    done = convert(tmp_path / "labels.csv", tmp_path / "sorted", target_format="folders", images=tmp_path / "photos")
    assert done.notes == (
        "images known to have none of the labels: 1, written as unlabelled; 2 known cells are lost",
        "images without labels: 1, not listed",
        "image names get their label's folder before them",
        "images with several labels are in several folders: 1 files more than images",
    )
    assert sniff(tmp_path / "sorted") == "folders"
    read = read_annotations(tmp_path / "sorted")
    assert read.labels.names == ("=cat", "dog")
    assert read.images == ("=cat/a.png", "dog/a.png", "dog/sub/a.png")
    assert read.labels.values.tolist() == [[True, True], [True, True], [False, True]]
    assert read.labels.known.all()


@given(cells=st.lists(st.lists(st.sampled_from([1, 0, -1]), min_size=2, max_size=2), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_folders_give_back_what_they_can_say(cells: list[list[int]]) -> None:
    given_ = annotations_of([[*row, 0] for row in cells], [""] * 4, ODD_LABELS[2:5])
    with tempfile.TemporaryDirectory() as folder:
        for place, image in enumerate(given_.images):
            (Path(folder) / "photos").mkdir(exist_ok=True)
            (Path(folder) / "photos" / image).write_bytes(bytes([place]))
        kept, _ = keep_sayable(replace(given_, image_folder=Path(folder) / "photos"), FORMATS["folders"].reach)
        if not len(kept):
            return
        FORMATS["folders"].write(Path(folder) / "sorted", kept)
        read = read_annotations(Path(folder) / "sorted", "folders")
    expected = {
        (f"{kept.labels.names[label]}/{image}", kept.labels.names[c], bool(kept.labels.values[row, c]))
        for row, image in enumerate(kept.images)
        for label in np.flatnonzero(kept.labels.values[row])
        for c in range(len(kept.labels.names))
    }
    assert facts(read)[0] == expected
