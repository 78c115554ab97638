from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from synthetic import CONFIG, make_run
from test_build import outline

from tagweave.errors import InputError
from tagweave.report import write_comparison
from tagweave.report.compare import compare, difference


def changed(run: Path, **measures: Any) -> Path:
    """Return the run with other measures of its classifier on test."""
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["splits"]["test"]["systems"]["network"].update(measures)
    (run / "metrics.json").write_text(json.dumps(metrics))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    found = [make_run(tmp_path / name) for name in ("a", "b")]
    changed(found[0], mAP=0.5, one_error=0.3)
    changed(found[1], mAP=0.625, one_error=0.25)
    (found[1] / "config.toml").write_text(CONFIG.replace("epochs = 25", "epochs = 30"))
    return found


def test_differences_have_their_sign() -> None:
    assert [difference(a, 0.5) for a in (0.625, 0.375, 0.5, 0.5001, None)] == ["+12.5", "−12.5", "±0.0", "±0.0", "–"]
    assert difference(0.5, None) == "–"


def test_two_runs_side_by_side(runs: list[Path], tmp_path: Path) -> None:
    found = write_comparison(runs, tmp_path)
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    text = outline(page).text
    assert (outline(page).wrong, outline(page).open) == ([], [])
    assert "mAP 50.0 % 62.5 % +12.5" in text
    assert "one-error 30.0 % 25.0 % −5.0" in text
    assert '<span class="right">+12.5</span>' in page  # good is marked as good, whichever way it goes
    assert '<span class="right">−5.0</span>' in page
    assert found.settings == [("train.epochs", ["25", "30"])]
    assert "train.epochs 25 30" in text
    assert not found.same_images or "not measured on the same" not in text
    assert not re.search(r"https?://|@import|url\(", page)


def test_labels_come_by_their_difference(runs: list[Path]) -> None:
    metrics = json.loads((runs[1] / "metrics.json").read_text())
    rows = metrics["splits"]["test"]["systems"]["network"]["per_label"]
    rows[7]["AP"] = rows[7]["AP"] - 0.4 if rows[7]["AP"] > 0.5 else rows[7]["AP"] + 0.4
    rows[2]["label"] = "new name"
    (runs[1] / "metrics.json").write_text(json.dumps(metrics))
    found = compare(runs)
    assert found.labels[0] == rows[7]["label"]
    assert {"bird", "new name"} <= set(found.labels[-3:])  # only one run knows them


def test_other_images_are_told(runs: list[Path], tmp_path: Path) -> None:
    assert compare(runs).same_images
    other = make_run(tmp_path / "c", images=44)
    found = write_comparison([runs[0], other], tmp_path / "page.html")
    assert not found.same_images
    assert "not measured on the same test images" in outline((tmp_path / "page.html").read_text()).text
    assert [side.name for side in found.sides] == [str(runs[0]), str(other)]  # both are called holiday


def test_names_cannot_inject_anything(tmp_path: Path) -> None:
    run = make_run(tmp_path, names=["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "plain"])
    (run / "config.toml").write_text('[a]\nb = "<script>"\n')
    write_comparison([run, run], tmp_path)
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert page.count("<script") == 1
    assert not [key for _, key, _ in outline(page).attributes if key.startswith("on")]


def test_what_cannot_be_compared_is_told(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Expected two or more run folders to compare, but got 1\."):
        compare(runs[:1])
    with pytest.raises(InputError, match=r"Expected a finished run at .*, but there is no metrics.json"):
        compare([runs[0], tmp_path])
    metrics = json.loads((runs[1] / "metrics.json").read_text())
    del metrics["splits"]["test"]
    (runs[1] / "metrics.json").write_text(json.dumps(metrics))
    assert compare(runs).split == "val"
    metrics = json.loads((runs[0] / "metrics.json").read_text())
    del metrics["splits"]["val"]
    (runs[0] / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=r"Expected runs that were measured on one split, but got .*: test; .*: val"):
        compare(runs)
