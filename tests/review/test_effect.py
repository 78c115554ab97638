from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hand_made import GIVEN, NAMES

from tagweave.review.effect import Effect, note_effect, read_before, read_held_out
from tagweave.runs import read_json


def keep(run: Path, probabilities: list[list[float]], names: tuple[str, ...] = NAMES) -> None:
    np.savez(run / "unseen.npz", rows=np.arange(4), probabilities=probabilities, names=np.array(names))
    (run / "metrics.json").write_text(json.dumps({"main": "classifier", "splits": {}}))


@pytest.fixture
def later(run: Path, tmp_path: Path) -> Path:
    """A later run on the same images; image 2 is the one test image: no cat, a dog."""
    found = tmp_path / "later"
    shutil.copytree(run, found)
    return found


def test_both_runs_are_measured_on_the_same_images_and_labels(run: Path, later: Path) -> None:
    keep(run, [[0.5, 0.5], [0.9, 0.2], [0.9, 0.1], [0.5, 0.5]])
    keep(later, [[0.5, 0.5], [0.1, 0.8], [0.1, 0.9], [0.5, 0.5]])
    assert GIVEN.values[2].tolist() == [False, True]
    effect = note_effect(later, run, "3 review decisions applied", read_held_out(run))
    assert effect == Effect("run", "3 review decisions applied", 1.0, 1.0, 1, 1)  # one image ranks right by itself
    assert read_json(later / "metrics.json")["review"]["after"] == 1.0
    assert read_json(later / "metrics.json")["main"] == "classifier"


def test_labels_that_one_run_lacks_do_not_count(run: Path, later: Path) -> None:
    keep(run, [[0.5, 0.5]] * 4, names=("cat", "hound"))
    keep(later, [[0.5, 0.5]] * 4)
    effect = note_effect(later, run, "", read_held_out(run))
    assert (effect.images, effect.labels) == (1, 1)  # cat of the validation image: no test image holds one


def test_a_run_without_held_out_scores_is_not_compared(run: Path, later: Path) -> None:
    keep(later, [[0.5, 0.5]] * 4)
    assert read_held_out(run) is None
    effect = note_effect(later, run, "1 review decisions applied", None)
    assert effect.before is None
    assert effect.why_not.startswith("the reviewed run kept no held-out scores; run 'tagweave evaluate'")


def test_what_was_before_stays_until_decisions_are_added(run: Path) -> None:
    keep(run, [[0.5, 0.25]] * 4)
    first = read_before(run, 3)
    keep(run, [[0.75, 0.25]] * 4)  # the fit took the run's place
    again, later = read_before(run, 3), read_before(run, 4)
    assert first is not None
    assert again is not None
    assert later is not None
    assert (again.images, again.names) == (first.images, first.names)
    np.testing.assert_array_equal(again.splits, first.splits)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    assert later.probabilities[0].tolist() == [0.75, 0.25]
