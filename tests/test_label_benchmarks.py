"""The benchmarks of suggestions and audit measure what they say, on a toy that takes a moment."""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tagweave.benchmark.dataset import BenchmarkData
from tagweave.data.labels import LabelMatrix
from tagweave.graph.image_graph import GraphSettings, build_graph

ROOT = Path(__file__).parent.parent
SCRIPTS = ("suggest", "audit", "collections_at_hand", "measure")
SETTINGS = GraphSettings(k=8)


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """Import the scripts as they import each other: from their own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield {name: importlib.import_module(name) for name in SCRIPTS}
    for name in SCRIPTS:
        del sys.modules[name]


@pytest.fixture(scope="module")
def groups() -> BenchmarkData:
    """Six groups of images of very different sizes, each with its label; every fourth image is held out."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(6), [100, 60, 20, 10, 6, 4])
    features = 4 * rng.normal(size=(6, 16))[group] + rng.normal(size=(200, 16))
    values = np.eye(6, dtype=bool)[group]
    labels = LabelMatrix(values, np.ones_like(values), tuple("abcdef"))
    return BenchmarkData("groups", "none", features.astype(np.float32), labels, np.arange(200) % 4 == 0, (16,))


def test_suggestions_find_small_groups_before_chance_does(
    scripts: dict[str, ModuleType], groups: BenchmarkData, tmp_path: Path
) -> None:
    suggest = scripts["suggest"]
    plan = suggest.Plan(5, 4, 3)
    found = suggest.compare(groups, SETTINGS, plan, ["random", "mixed", "disagreement"], 2, tmp_path)
    assert found["labelled"] == [5, 9, 13, 17]
    assert set(found["strategies"]) == {"random", "mixed", "disagreement"}
    assert found["strategies"]["mixed"]["mAP"][0] == found["strategies"]["random"]["mAP"][0]  # the same start
    assert found["strategies"]["mixed"]["area"] > found["strategies"]["random"]["area"] + 0.02
    assert found["strategies"]["random"]["needed"][0] == 5
    assert len(list((tmp_path / "cells").iterdir())) == 6
    again = suggest.compare(groups, SETTINGS, plan, ["random", "mixed", "disagreement"], 2, tmp_path)
    assert again == found
    suggest.draw(found, "groups", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000
    assert json.loads(json.dumps(found)) == found


def test_labels_for_a_goal_lie_on_the_line_between_points(scripts: dict[str, ModuleType]) -> None:
    labels_for = scripts["suggest"].labels_for
    curve = np.array([0.2, 0.4, 0.6])
    assert labels_for([10, 20, 40], curve, 0.5) == 30
    assert labels_for([10, 20, 40], curve, 0.1) == 10
    assert labels_for([10, 20, 40], curve, 0.7) is None


def test_planting_turns_as_many_each_way(scripts: dict[str, ModuleType], groups: BenchmarkData) -> None:
    labels = groups.labels.hide(np.arange(100, 200))
    shown, wrong = scripts["audit"].plant(labels, 0.1, 0)
    assert (wrong & labels.values).sum() == (wrong & ~labels.values).sum() == round(0.1 * labels.values.sum())
    assert (wrong <= labels.known).all()
    assert (shown.values == (labels.values ^ wrong)).all()
    assert (scripts["audit"].plant(labels, 0.1, 0)[1] == wrong).all()
    assert (scripts["audit"].plant(labels, 0.1, 1)[1] != wrong).any()


def test_measures_by_hand(scripts: dict[str, ModuleType]) -> None:
    values = np.array([[1], [1], [0], [0]], dtype=bool)
    given = LabelMatrix(values, np.ones_like(values), ("a",))
    wrong = np.array([[1], [0], [1], [0]], dtype=bool)
    found = scripts["audit"].measure(np.array([[0.9], [0.6], [0.5], [0.1]]), given, wrong)
    assert found["all"] == {"planted": 2, "recall": 0.5, "precision_at_fifth": 1.0, "AUC": 0.75}
    assert (found["wrong"]["recall"], found["missing"]["recall"]) == (1.0, 1.0)
    assert (found["claimed"], found["held"]) == (4, 0.5)  # means 0.9, 0.75, 0.67, 0.525


def test_every_method_finds_errors_on_clear_groups(
    scripts: dict[str, ModuleType], groups: BenchmarkData, tmp_path: Path
) -> None:
    audit = scripts["audit"]
    given = Namespace(seeds=1, share=0.05, network=False, out=tmp_path)
    records = audit.compare(groups, SETTINGS, given, [1.0])
    found = {record["method"]: record["all"] for record in records}
    assert set(found) == set(audit.METHODS)
    assert found["audit"]["recall"] >= 0.7
    assert found["audit"]["recall"] >= found["ridge, seen"]["recall"]
    assert all(record["AUC"] > 0.8 for record in found.values())
    planted = audit.planted_on(groups, build_graph(groups.features[~groups.test], SETTINGS), 0.2, 0.05, 0)
    assert len(planted.rows) == 30
    assert not planted.labels.known[np.setdiff1d(np.arange(150), planted.rows)].any()
