"""The audit and the suggestions of a finished run: files, texts, and what they may never hold."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import NAMES, Drawn, quick_fit, write_list
from tagweave.api import Run
from tagweave.errors import InputError
from tagweave.steps.stored import load_collection

Command = Callable[..., Any]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_given_label_is_judged_but_the_test_s(finished: Run) -> None:
    manifest, labels = load_collection(finished.folder)
    test = manifest.splits == "test"
    found = finished.audit(count=10_000)
    assert found.cells == len(found.suspects) == labels.known[~test].sum()
    assert {suspect.split for suspect in found.suspects} == {"train", "val"}
    whole = finished.audit(count=10_000, with_test=True)
    assert whole.cells == labels.known.sum()
    wrong = [suspect.wrong for suspect in whole.suspects]
    assert wrong == sorted(wrong, reverse=True)


def test_suspects_say_what_was_given_and_who_looks_alike(finished: Run) -> None:
    manifest, labels = load_collection(finished.folder)
    row = {path: number for number, path in enumerate(manifest.paths)}
    for suspect in finished.audit(count=20, with_test=True).suspects:
        c = NAMES.index(suspect.label)
        assert (suspect.given == "present") == labels.values[row[suspect.image], c]
        assert len(suspect.neighbours) == 8
        likeness = [neighbour.likeness for neighbour in suspect.neighbours]
        assert likeness == sorted(likeness, reverse=True)
        for neighbour in suspect.neighbours:
            assert neighbour.image != suspect.image
            assert manifest.splits[row[neighbour.image]] != "test"
            assert neighbour.present == labels.values[row[neighbour.image], c]


def test_a_planted_error_is_judged_by_others_alone(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    """The probability of a flipped label stays low although the label file now says that it is there."""
    manifest, labels = load_collection(finished.folder)
    rank = {(s.image, s.label): n for n, s in enumerate(finished.audit(10_000).suspects)}
    train = np.flatnonzero((manifest.splits == "train") & labels.labelled)
    values = labels.values[labels.labelled].copy()
    images = [path for path, known in zip(manifest.paths, labels.labelled, strict=True) if known]
    place = images.index(manifest.paths[train[3]])
    values[place, 0] = ~values[place, 0]
    splits = manifest.splits[labels.labelled].tolist()
    file = write_list(tmp_path / "labels.csv", images, values, splits)
    run = quick_fit(drawn.images, file, tmp_path / "run", until="propagate")
    after = {(s.image, s.label): n for n, s in enumerate(run.audit(10_000).suspects)}
    assert after[images[place], NAMES[0]] < rank[images[place], NAMES[0]]


def test_audit_command(run_copy: Run, tagweave: Command, tmp_path: Path) -> None:
    said = tagweave("audit", run_copy.folder, "-n", "5", "--out", tmp_path / "audit.csv")
    assert said.code == 0
    assert "the 5 most suspect of" in said.out
    assert "Suspects by expected precision, if 5% of the present labels are missing and" in said.out
    rows = rows_of(tmp_path / "audit.csv")
    assert len(rows) == 5
    again = tagweave("audit", run_copy.folder, "-n", "4", "--out", tmp_path / "audit.csv")
    assert again.code == 2
    assert "audit.csv is there, perhaps somebody's own; give another name, or --overwrite." in again.err
    assert len(rows_of(tmp_path / "audit.csv")) == 5
    assert tagweave("audit", run_copy.folder, "-n", "4", "--out", tmp_path / "audit.csv", "--overwrite").code == 0
    assert len(rows_of(tmp_path / "audit.csv")) == 4
    assert list(rows[0]) == [
        "image", "label", "given", "split", "probability", "wrong", "neighbours_with", "neighbours", "nearest",
    ]  # fmt: skip
    said = tagweave("audit", run_copy.folder, "-n", "3", "--json", "--out", tmp_path / "audit.json")
    document = json.loads(said.out)
    assert document == json.loads((tmp_path / "audit.json").read_text())
    assert len(document["suspects"]) == 3
    assert set(document["suspects_at_expected_precision"]) == {"0.9", "0.8", "0.7", "0.6", "0.5", "0.3"}
    wrong = tagweave("audit", run_copy.folder, "--out", tmp_path / "audit.xlsx")
    assert (wrong.code, wrong.err) == (
        2, f"error: Expected an output file ending in .csv or .json, but got '{tmp_path / 'audit.xlsx'}'.\n"
    )  # fmt: skip
    share = tagweave("audit", run_copy.folder, "--error-share", "0.7")
    assert (share.code, share.err) == (2, "error: Expected a share of errors above 0 and below 0.5, but got 0.7.\n")


def test_a_run_without_its_parts_says_what_to_do(run_copy: Run, tagweave: Command, tmp_path: Path) -> None:
    (run_copy.folder / "graph" / "out_of_fold.npz").unlink()
    with pytest.raises(InputError, match=r"Expected out-of-fold probabilities .* remove .* 'tagweave propagate"):
        run_copy.audit()
    (run_copy.folder / "steps" / "propagate.json").unlink()
    for command in ("audit", "suggest"):
        said = tagweave(command, run_copy.folder)
        assert said.code == 2
        assert "Expected propagated labels in" in said.err
        assert "Expected a run folder" in tagweave(command, tmp_path).err


def test_without_features_the_way_out_is_named(run_copy: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    about = json.loads((run_copy.folder / "steps" / "embed.json").read_text())
    shutil.copytree(about["cache"], tmp_path / "cache")
    (tmp_path / "cache" / "index.txt").write_text("")
    (run_copy.folder / "steps" / "embed.json").write_text(json.dumps({**about, "cache": str(tmp_path / "cache")}))
    with pytest.raises(InputError, match=r"Expected the features of the images .* run 'tagweave embed"):
        run_copy.suggest()
