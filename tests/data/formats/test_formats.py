"""The choice of a reader."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tagweave.data.formats import READERS, read_annotations
from tagweave.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "format"),
    [("image,labels\na.jpg,1\n", "csv-list"), ("image,cat,dog\na.jpg,1,0\n", "csv-onehot")],
)
def test_the_guess_is_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, format: str) -> None:
    path = write(tmp_path, text)
    with caplog.at_level(logging.INFO, logger="tagweave"):
        read = read_annotations(path)
    assert caplog.messages == [f"{path} is read as {format}"]
    named = read_annotations(path, format)
    assert (read.labels.values == named.labels.values).all()


def test_a_folder_is_voc(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected a VOC folder"):
        read_annotations(tmp_path)


@pytest.mark.parametrize("text", ["a.jpg,cat\n", "image,label\na.jpg,cat\n", "file,cat\na.jpg,1\n"])
def test_a_wrong_header_is_told_with_both_forms(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"image,labels or image,labels,split \(or image and one column per label"):
        read_annotations(write(tmp_path, text))


def test_an_unknown_format_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_annotations(write(tmp_path, "image,labels\n"), "csv-lists")
    told = "Expected a label format of csv-list, csv-onehot, voc, but got 'csv-lists'; did you mean 'csv-list'?"
    assert caught.value.problems == (told,)
    assert list(READERS) == ["csv-list", "csv-onehot", "voc"]


def test_nothing_there_and_a_folder_given_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is there"):
        read_annotations(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="could not be read: Is a directory"):
        read_annotations(tmp_path, "csv-list")
