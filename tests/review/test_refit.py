"""``fit --resume-labels``: the reviewed run is fitted again where it lies and as it was made, however often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import NAMES, Drawn
from tagweave.api import Run
from tagweave.config import parse_config, read_toml
from tagweave.console import Console
from tagweave.data.formats.csv_list import read_csv_list
from tagweave.data.formats.voc import write_voc
from tagweave.review.desk import Change, Desk
from tagweave.review.export import next_settings
from tagweave.runs import read_json
from tagweave.steps.stored import load_collection

Command = Callable[..., Any]


@pytest.fixture
def decided(run_copy: Run) -> tuple[Path, int]:
    """A run in which the first label was found on one image that had no labels, and the row of that image."""
    _, labels = load_collection(run_copy.folder)
    row = int(np.flatnonzero(~labels.labelled)[0])
    desk = Desk(run_copy.folder, Console(quiet=True))
    desk.decide("window", "gesture", "q", NAMES[0], [Change(NAMES[0], "yes", (desk.ids[row],), True)])
    desk.close()
    return run_copy.folder, row


def test_in_its_place_with_its_settings_and_not_twice(decided: tuple[Path, int], tagweave: Command) -> None:
    run, row = decided
    settings = (run / "config.toml").read_text()
    said = tagweave("fit", "--resume-labels", run)
    assert said.code == 0, said.err
    assert f"review: fit again in {run}, settings of {run / 'review' / 'config.toml'}" in said.err
    assert (run / "config.toml").read_text() == settings
    assert not Path("runs").exists()
    assert load_collection(run)[1].values[row, 0]
    first, labels = read_json(run / "metrics.json")["review"], (run / "review" / "labels.csv").read_bytes()
    again = tagweave("fit", "--resume-labels", run)
    assert again.err.count("nothing changed") == 6
    assert (run / "review" / "labels.csv").read_bytes() == labels
    second = read_json(run / "metrics.json")["review"]
    assert (second["before"], second["after"]) == (first["before"], first["after"])


def test_a_voc_folder_s_labels_with_the_decisions_over_them(
    decided: tuple[Path, int], drawn: Drawn, tagweave: Command, tmp_path: Path
) -> None:
    run, row = decided
    write_voc(tmp_path / "voc", read_csv_list(drawn.labels))
    said = tagweave(
        "check", drawn.images, "--voc", tmp_path / "voc", "--resume-labels", run, "-o", "next", "--preset", "tiny"
    )
    assert said.code == 0, said.err
    assert "settings of preset tiny" in said.err
    assert load_collection(Path("next/check"))[1].values[row, 0]
    both = tagweave("check", "--voc", tmp_path / "voc", "-l", drawn.labels, "--resume-labels", run)
    assert both.code == 2
    assert "error: Expected --voc, which brings its own labels, or --labels, but got both" in both.err


def test_a_label_budget_does_not_draw_from_the_decisions(run_copy: Run) -> None:
    file = run_copy.folder / "config.toml"
    given = parse_config(read_toml(file))
    file.write_text(file.read_text().replace("# label_budget = (absent)", "label_budget = 0.5"))
    assert parse_config(read_toml(file)).data.label_budget == 0.5
    assert parse_config(read_toml(next_settings(run_copy.folder))) == given
