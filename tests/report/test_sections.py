"""What the sections take from the artefacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_run

from tagweave.report import sections
from tagweave.report.artefacts import Artefacts, read_artefacts


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return read_artefacts(make_run(tmp_path_factory.mktemp("sections")))


def test_links_are_taken_once_in_the_stronger_direction() -> None:
    conditional = np.array([[1, 0.2, 0.05, 0.3], [0.6, 1, 0, 0.3], [0.09, 0, 1, 0], [0.3, 0.2, 0, 1]])
    found = sections.strongest_links(conditional, 9)
    assert [(link.i, link.j, link.probability) for link in found] == [(1, 0, 0.6), (0, 3, 0.3), (1, 3, 0.3)]
    assert len(sections.strongest_links(conditional, 2)) == 2


def test_the_first_of_equal_epochs_is_the_best(artefacts: Artefacts) -> None:
    rows = [(1, 0.4), (2, 0.6), (3, 0.6), (4, None)]
    history = [{"epoch": epoch, "loss": 1 / epoch, "val_mAP": score, "seconds": 2.0} for epoch, score in rows]
    found = sections.training(replace(artefacts, history=history))
    assert found is not None
    assert (found.epochs, found.best, found.best_precision, found.seconds) == (4, 2, 0.6, 8.0)


def test_without_validation_only_the_loss_is_drawn(artefacts: Artefacts) -> None:
    history = [{"epoch": 1, "loss": 1.0, "val_mAP": None, "seconds": 2.0}]
    found = sections.training(replace(artefacts, history=history))
    assert found is not None
    assert (found.best, len(found.charts)) == (None, 1)


def test_labels_go_from_high_to_low_and_unmeasured_last(artefacts: Artefacts) -> None:
    bars = sections.label_bars(artefacts)
    values = [bar.precision for bar in bars[:-1]]
    assert values == sorted(values, reverse=True)
    assert (bars[-1].name, bars[-1].precision) == ("tv_monitor", None)
    linear = {row["label"]: row["AP"] for row in artefacts.metrics["splits"]["test"]["systems"]["linear"]["per_label"]}
    assert all(bar.baseline == linear[bar.name] for bar in bars)


def test_a_classifier_without_propagation_is_named_so(artefacts: Artefacts) -> None:
    split = artefacts.metrics["splits"]["test"]["systems"]
    measured = {"main": "classifier", "splits": {"test": {"systems": {**split, "classifier": split["network"]}}}}
    joined, alone = "Classifier: network, places and propagation, joined", "Classifier: the network alone"
    for told, name in (({"joined": True}, joined), ({"joined": False}, alone)):
        run = replace(artefacts, metrics={**artefacts.metrics, **measured, **told})
        found = sections.headline(run)
        assert (found.main_name, found.systems[-1].name) == (name, name)
        assert name in [picture.system for picture in sections.reliability(run)]


def test_equal_prints_are_equally_good() -> None:
    half = {"CF1": 0.5, "OF1": 0.5}
    rows = {
        "a": {"mAP": 0.70001, "at_half": half},
        "b": {"mAP": 0.70004, "at_half": half},
        "c": {"mAP": None, "at_half": half},
    }
    first, second, third = sections._compare(rows, "at_half")
    assert first.best == second.best == {"mAP", "CF1", "OF1"}
    assert third.best == {"CF1", "OF1"}


def test_known_positives_are_counted_per_split(artefacts: Artefacts) -> None:
    found = sections.label_counts(artefacts)
    given, splits = artefacts.given, artefacts.manifest.splits
    assert found is not None
    assert given is not None
    for c, (name, positives, _) in enumerate(found.rows):
        assert name == artefacts.names[c]
        for split, number in zip(("train", "val", "test"), positives, strict=True):
            assert number == sum(given.values[i, c] for i in range(len(splits)) if splits[i] == split)
    assert found.images == [20, 10, 10]
    assert found.labelled == [10, 10, 10]
    assert all(name in found.missing["val"] for name, (_, val, _), _ in found.rows if val == 0)


def test_empty_bins_are_left_out(artefacts: Artefacts) -> None:
    assert [picture.chart.count("<circle") for picture in sections.reliability(artefacts)] == [9, 9, 9]


def test_propagated_probabilities_have_a_picture_of_their_own(artefacts: Artefacts) -> None:
    bins = {"mean_probability": [0.1, None, 0.8], "positive_share": [0.2, None, 0.7], "cells": [90, 0, 10]}
    spread = {**artefacts.metrics["propagation"], "reliability": bins, "calibration_error": 0.1}
    *others, found = sections.reliability(replace(artefacts, metrics={**artefacts.metrics, "propagation": spread}))
    assert len(others) == 3
    assert (found.system, found.error, found.cells) == ("Propagated, on hidden labels", 0.1, 100)
    assert found.chart.count("<circle") == 2
