"""The one-hot form of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagweave.data.formats import read_annotations
from tagweave.data.formats.csv_onehot import read_csv_onehot
from tagweave.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_annotations(write(folder, text), "csv-onehot")
    return caught.value.problems


def test_blank_is_unknown_and_columns_are_sorted(tmp_path: Path) -> None:
    read = read_csv_onehot(write(tmp_path, "image,sky,bird,split\na.jpg,1,0,train\nb.jpg, ,1,\nc.jpg,,,test\n"))
    assert read.labels.names == ("bird", "sky")
    assert read.labels.values.tolist() == [[False, True], [True, False], [False, False]]
    assert read.labels.known.tolist() == [[True, True], [True, False], [False, False]]
    assert read.labels.labelled.tolist() == [True, True, False]
    assert read.splits == ("train", "", "test")


def test_no_rows_is_no_image(tmp_path: Path) -> None:
    assert read_csv_onehot(write(tmp_path, "image,cat\n")).labels.values.shape == (0, 1)


def test_all_problems_at_once_with_line_and_column(tmp_path: Path) -> None:
    text = "image,sky,Sky,,bird,bird\na.jpg,1,0,yes,0,0\na.jpg,1.0,0,0,0,0\nb.jpg,1,0\n"
    told = problems(tmp_path, text)
    assert told == (
        "labels.csv line 1: column 4 has no name",
        "labels.csv line 1: label 'Sky' differs only by case or spaces from 'sky'; did you mean 'sky'?",
        "labels.csv line 1: label 'bird' has 2 columns; keep one",
        "labels.csv line 2: column '': expected 1, 0 or blank for unknown, but got 'yes'",
        "labels.csv line 3: column 'sky': expected 1, 0 or blank for unknown, but got '1.0'",
        "labels.csv line 3: image 'a.jpg' is listed again, first on line 2; keep one row",
        "labels.csv line 4: expected 6 fields (image,sky,Sky,...,bird), but got 3; "
        "join labels with ';' and quote a field that holds a comma",
    )


@pytest.mark.parametrize("header", ["image", "image,split", "a.jpg,1"])
def test_a_header_without_images_or_labels(tmp_path: Path, header: str) -> None:
    (told,) = problems(tmp_path, f"{header}\n")
    assert "line 1: expected the header image,LABEL,LABEL,..." in told
    assert f"but got '{header}'; write it as the first line" in told
