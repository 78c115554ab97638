"""Open Images' image-level labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from format_cases import cells, problems, write

from tagweave.data.formats import read_annotations
from tagweave.data.formats.openimages import image_file, image_id


def test_openimages_only_verified_cells_are_known(tmp_path: Path) -> None:
    write(tmp_path / "oidv7-class-descriptions.csv", '/m/01,Cat\n/m/02,"Dog, small"\n/m/03,Orange\n/m/04,Orange\n')
    rows = (
        "ImageID,Source,LabelName,Confidence\n"
        "000a,verification,/m/01,1\n000a,crowdsource-verification,/m/02,0\n000b,machine,/m/01,0.8\n"
        "000b,verification,/m/04,1\ntrain/000c,verification,/m/09,1.0\n"
    )
    read = read_annotations(write(tmp_path / "validation-annotations-human-imagelabels.csv", rows))
    assert cells(read) == {
        "000a.jpg": {"Cat": 1, "Dog, small": 0}, "000b.jpg": {"Orange (/m/04)": 1}, "train/000c.jpg": {"/m/09": 1},
    }  # fmt: skip
    assert set(read.splits) == {"val"}
    assert read.notes == ("cells with a confidence between 0 and 1: 1, read as unknown",)


def test_openimages_problems(tmp_path: Path) -> None:
    rows = "ImageID,Source,LabelName,Confidence\na,v,x,1\na,v,x,0\nb,v,x,yes\nb,v,,1\n../c,v,x,1\nd,v,x,2\n"
    told = problems(write(tmp_path / "l.csv", rows))
    assert [text.split(":")[0] for text in told] == [f"l.csv line {line}" for line in (2, 4, 5, 6, 7)]
    assert told[0].endswith("image 'a.jpg' has label 'x' both present and absent; keep one")
    assert told[1].endswith("expected a confidence between 0 and 1, but got 'yes'")
    assert told[2].endswith("expected a label, but got none")


@pytest.mark.parametrize("image", ["a.jpg", "a.png", "a.png.jpg", "d/a.JPG", ".jpg", "a.b.jpg"])
def test_image_ids_come_back(image: str) -> None:
    assert image_file(image_id(image)) == image
