"""The choice of a format."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import tagweave
from tagweave.data.formats import FORMATS, read_annotations
from tagweave.errors import InputError

DOCS = Path(tagweave.__file__).parents[2] / "docs" / "formats.md"


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


def test_problems_are_raised_or_kept_for_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path, "image,labels,split\na.jpg,cat,tran\n")
    told = "labels.csv line 2: expected a split of train, val, test or nothing, but got 'tran'; did you mean 'train'?"
    with pytest.raises(InputError) as caught:
        read_annotations(path)
    assert caught.value.problems == (told,)
    assert read_annotations(path, defer=True).problems == (told,)


@pytest.mark.parametrize("text", ["a.jpg,cat\n", "image,label\na.jpg,cat\n", "file,cat\na.jpg,1\n"])
def test_a_wrong_header_is_told_with_both_forms(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"image,labels or image,labels,split \(or image and one column per label"):
        read_annotations(write(tmp_path, text))


def test_an_unknown_format_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_annotations(write(tmp_path, "image,labels\n"), "csv-lists")
    told = f"Expected a label format of {', '.join(FORMATS)}, but got 'csv-lists'; did you mean 'csv-list'?"
    assert caught.value.problems == (told,)


def test_nothing_there_and_a_folder_given_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is there"):
        read_annotations(tmp_path / "labels.csv")
    for format in ("csv-list", "coco", "cvat", "parquet", "openimages"):
        with pytest.raises(InputError):
            read_annotations(tmp_path, format)


def test_the_page_states_what_an_absent_label_means() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for name, format in FORMATS.items():
        facts = [getattr(format.reach, fact) for fact in ("partial", "unlabelled", "none", "unused", "splits")]
        signs = " | ".join("yes" if fact else "no" for fact in facts)
        assert f"| `{name}` | {format.absent} | {signs} |" in page
