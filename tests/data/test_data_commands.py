"""The commands on data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tagweave.data.commands import convert, data


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(convert)
    made.command()(data)
    return made


def test_convert_says_what_it_did(app: typer.Typer, tmp_path: Path) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "b.xml"
    source.write_text("image,labels,split\na.jpg,cat,train\nb.jpg,,test\n")
    done = CliRunner().invoke(app, ["convert", str(source), str(target)])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"{source} (csv-list) -> {target} (cvat)",
        "2 images, 1 labels",
        "note: images known to have none of the labels: 1, written as unlabelled; 1 known cells are lost",
    ]
    done = CliRunner().invoke(app, ["convert", str(target), str(tmp_path / "c"), "--to", "coco", "--json"])
    assert json.loads(done.output)["images"] == 2


def test_data_names_the_folder_and_its_splits(app: typer.Typer, tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets" / "Main" / "test.txt").write_text("000001\n000002\n")
    done = CliRunner().invoke(app, ["data", "voc2007", str(tmp_path)])
    assert done.output.splitlines() == [f"voc2007: 2 test in {root}", f"tagweave fit --voc {root}"]
