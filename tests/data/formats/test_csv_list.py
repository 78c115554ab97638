"""The list form of labels."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tagweave.data.formats import read_annotations
from tagweave.data.formats.csv_list import read_csv_list
from tagweave.errors import InputError

DATA = Path(os.environ.get("TAGWEAVE_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode())
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_annotations(write(folder, text), "csv-list")
    return caught.value.problems


def test_listed_images_are_fully_labelled(tmp_path: Path) -> None:
    read = read_csv_list(write(tmp_path, "image,labels,split\nb.jpg,sky; tree ,train\nd\\a.jpg,,test\nc.jpg,bird;,\n"))
    assert read.labels.names == ("bird", "sky", "tree")
    assert read.labels.values.tolist() == [[False, True, True], [False] * 3, [True, False, False]]
    assert read.labels.known.all()
    assert read.images == ("b.jpg", "d/a.jpg", "c.jpg")
    assert read.splits == ("train", "test", "")
    assert read.lines == (2, 3, 4)
    assert (read.source, read.image_folder, len(read)) == ("labels.csv", None, 3)


def test_byte_order_mark_crlf_and_columns_in_any_order(tmp_path: Path) -> None:
    read = read_csv_list(write(tmp_path, "\ufeffSplit,Image,Labels\r\ntrain,ein Baum ü.jpg,Bäume\r\n\r\n"))
    assert (read.images, read.labels.names, read.splits) == (("ein Baum ü.jpg",), ("Bäume",), ("train",))


def test_composed_and_decomposed_names_are_one_label(tmp_path: Path) -> None:
    read = read_csv_list(write(tmp_path, "image,labels\na.jpg,caf\u00e9\nb.jpg,cafe\u0301\n"))
    assert read.labels.names == ("caf\u00e9",)


def test_one_label_for_all(tmp_path: Path) -> None:
    assert read_csv_list(write(tmp_path, "image,labels\na.jpg,cat\nb.jpg,\n")).labels.values.tolist() == [
        [True],
        [False],
    ]


@pytest.mark.parametrize(
    "header", ["a.jpg,cat", "image,label", "image,labels,set", "image,labels,labels", "labels,split"]
)
def test_a_header_that_is_missing_or_wrong(tmp_path: Path, header: str) -> None:
    (told,) = problems(tmp_path, f"{header}\nb.jpg,dog\n")
    assert told.startswith("labels.csv line 1: expected the header image,labels or image,labels,split")
    assert f"but got '{header}'; write it as the first line" in told


def test_all_problems_at_once_with_their_lines(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "image,labels,split",
            "a.jpg,sky;tree,train",
            "b.jpg,sky;sky,train",
            "c.jpg,Sky,train",
            "d.jpg,tree,dev",
            "e.jpg,tree",
            "a.jpg,tree,test",
            "../f.jpg,tree,test",
            "/g.jpg,tree,test",
            "C:\\h.jpg,tree,test",
            ",tree,test",
            "i.jpg,sky,tree,test",
            "x/../../j.jpg,sky,",
        ]
    )
    inside = "expected a path inside the image folder, but got"
    relative = "write it relative to that folder"
    fields = "expected 3 fields (image,labels,split), but got"
    way_out = "join labels with ';' and quote a field that holds a comma"
    assert problems(tmp_path, text) == tuple(
        f"labels.csv line {line}: {told}"
        for line, told in [
            (4, "label 'Sky' differs only by case or spaces from 'sky'; did you mean 'sky'?"),
            (5, "expected a split of train, val, test or nothing, but got 'dev'"),
            (6, f"{fields} 2; {way_out}"),
            (7, "image 'a.jpg' is listed again, first on line 2; keep one row"),
            (8, f"{inside} '../f.jpg'; {relative}"),
            (9, f"{inside} '/g.jpg'; {relative}"),
            (10, f"{inside} 'C:\\h.jpg'; {relative}"),
            (11, "expected an image's path, but got ''"),
            (12, f"{fields} 4; {way_out}"),
            (13, f"{inside} 'x/../../j.jpg'; {relative}"),
        ]
    )


def test_a_close_split_is_suggested(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "image,labels,split\na.jpg,cat,tran\n")
    assert told.endswith("but got 'tran'; did you mean 'train'?")


def test_wrong_encoding_is_told_beside_the_other_problems(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("image,labels\na.jpg,caf\xe9\na.jpg,tea\n".encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read_annotations(path, "csv-list")
    assert [told.split(":")[0] for told in caught.value.problems] == ["labels.csv line 2", "labels.csv line 3"]


def test_the_same_file_written_two_ways_is_repeated(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "image,labels\nd/a.jpg,cat\n./d//a.jpg,cat\n")
    assert "image 'd/a.jpg' is listed again, first on line 2" in told


def test_a_label_named_twice_in_a_row_counts_once_and_is_said(tmp_path: Path) -> None:
    read = read_csv_list(write(tmp_path, "image,labels\na.jpg,sky;tree;sky\nb.jpg,tree\n"))
    assert read.labels.values.tolist() == [[True, True], [False, True]]
    assert read.notes == ("line 2: label 'sky' is given 2 times and counts once",)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "corel5k").is_dir(), reason=f"no Corel5k in {DATA}; set TAGWEAVE_DATA")
def test_corel5k() -> None:
    read = read_csv_list(DATA / "corel5k" / "labels.csv")
    assert read.notes == ("line 2727: label 'tree' is given 2 times and counts once",)
    assert Counter(read.splits) == {"train": 4500, "test": 499}
    assert read.labels.values.shape == (4999, 374)
    assert read.labels.values.sum(axis=1).mean() == pytest.approx(3.5, abs=0.2)
