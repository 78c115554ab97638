"""Suggestions for a run: which images, the file that a person fills in, and the next fit with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import NAMES, Drawn, quick_fit
from tagweave.api import Run
from tagweave.errors import InputError
from tagweave.steps.stored import load_collection
from tagweave.suggest.strategies import STRATEGIES

Command = Callable[..., Any]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def unlabelled_of(run: Run) -> set[str]:
    manifest, labels = load_collection(run.folder)
    open_rows = np.flatnonzero(~labels.known.all(axis=1) & (manifest.splits != "test"))
    return {manifest.paths[row] for row in open_rows}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_unlabelled_images_outside_the_test(finished: Run, strategy: str) -> None:
    found = finished.suggest(1000, strategy)
    images = [image.image for image in found.images]
    assert len(images) == len(set(images)) == found.open - found.duplicates
    assert set(images) <= unlabelled_of(finished)
    assert found.open == len(unlabelled_of(finished))
    assert found.images[0].worth == 1.0
    assert all(image.why and set(image.likely) == set(NAMES) for image in found.images)


def test_suggestions_need_no_trained_model(drawn: Drawn, tmp_path: Path) -> None:
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", until="propagate")
    assert len(run.suggest(5, "disagreement").images) == 5


def test_the_file_to_fill_in_goes_into_the_next_fit(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    found = finished.suggest(4)
    (tmp_path / "todo.json").write_text("instances")
    reasons = found.write(tmp_path / "todo.csv")
    assert reasons == tmp_path / "todo.csv.json"
    assert (tmp_path / "todo.json").read_text() == "instances"
    rows = rows_of(tmp_path / "todo.csv")
    assert [row["image"] for row in rows] == [image.image for image in found.images]
    assert all(row[name] == "" for row in rows for name in NAMES)
    assert json.loads(reasons.read_text())["images"][0]["why"] == found.images[0].why
    found.write(tmp_path / "whole.csv", with_given=True)
    whole = rows_of(tmp_path / "whole.csv")
    _, labels = load_collection(finished.folder)
    assert len(whole) == 4 + labels.labelled.sum()
    for row in whole[:4]:
        row.update(dict.fromkeys(NAMES, "0") | {"moon": "1"})
    with (tmp_path / "whole.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(whole[0]))
        writer.writeheader()
        writer.writerows(whole)
    again = quick_fit(drawn.images, tmp_path / "whole.csv", tmp_path / "run", until="propagate")
    manifest, after = load_collection(again.folder)
    before_manifest, _ = load_collection(finished.folder)
    assert after.labelled.sum() == labels.labelled.sum() + 4
    assert (manifest.splits == before_manifest.splits).all()  # a split that was drawn stays
    row = manifest.paths.index(whole[0]["image"])
    assert after.known[row].all()
    assert after.values[row].sum() == 1
    assert not {image.image for image in again.suggest(1000).images} & {row["image"] for row in whole[:4]}


def test_suggest_command(run_copy: Run, tagweave: Command, tmp_path: Path) -> None:
    said = tagweave("suggest", run_copy.folder, "-n", "3", "--out", tmp_path / "todo.csv", "--strategy", "coverage")
    assert said.code == 0
    assert "3 of" in said.out
    assert "by coverage" in said.out
    assert "3 images to label written to" in said.err
    assert len(rows_of(tmp_path / "todo.csv")) == 3
    document = json.loads(tagweave("suggest", run_copy.folder, "-n", "2", "--json").out)
    assert (document["strategy"], len(document["images"])) == ("mixed", 2)
    assert set(document["images"][0]) == {"image", "worth", "why", "likely"}
    assert tagweave("suggest", run_copy.folder, "--strategy", "best").code == 2
    alone = tagweave("suggest", run_copy.folder, "--all")
    assert (alone.code, alone.err) == (2, "error: Expected --out FILE with --all.\n")
    (tmp_path / "todo.csv").write_text("filled in")
    again = tagweave("suggest", run_copy.folder, "--out", tmp_path / "todo.csv")
    assert again.code == 2
    assert "is there, perhaps filled in already; give another name." in again.err
    assert (tmp_path / "todo.csv").read_text() == "filled in"
    (tmp_path / "more.csv.json").write_text("{}")
    reasons = tagweave("suggest", run_copy.folder, "--out", tmp_path / "more.csv")
    assert (reasons.code, (tmp_path / "more.csv").exists()) == (2, False)
    assert "more.csv.json is there, perhaps filled in already; give another name." in reasons.err
    ending = tagweave("suggest", run_copy.folder, "--out", tmp_path / "todo.txt")
    assert (ending.code, ending.err) == (
        2, f"error: Expected an output file ending in .csv, but got '{tmp_path / 'todo.txt'}'.\n"
    )  # fmt: skip


def test_predictions_of_another_collection_are_refused(run_copy: Run, finished: Run, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = run_copy.folder / "predictions.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(len(NAMES)), path)
    with pytest.raises(InputError, match=r"the 60 images and 4 labels of the run, in its order, but it holds others"):
        run_copy.suggest()
