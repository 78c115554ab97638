"""Cells of trained systems: the same code and numbers as fit, kept, and blind to the test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_drawn import CONFIG, all_labels, bench_of, config, held_pictures

from drawn import Drawn
from tagweave.api import fit as run_fit
from tagweave.benchmark import audit as audit_module
from tagweave.benchmark.audit import audit, turned
from tagweave.benchmark.dataset import Held
from tagweave.benchmark.fitted import ALL, spoiled
from tagweave.benchmark.fitted import drawn as draw_labels
from tagweave.benchmark.trials import FIXED_SECONDS, LABEL_SECONDS, Trial, even_steps, labelled_images, spoken
from tagweave.benchmark.tuning import Search
from tagweave.config import NETWORK_ALONE
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.steps import fitting


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGWEAVE_THREADS", "1")


@pytest.fixture(scope="module")
def held(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Held:
    return held_pictures(drawn, tmp_path_factory.mktemp("held"))


def test_a_cell_has_the_numbers_of_fit(held: Held, drawn: Drawn, tmp_path: Path) -> None:
    cell = bench_of(held, tmp_path / "out").run([Trial("default", CONFIG, 0.5)])[0]
    run = run_fit(
        drawn.images, all_labels(drawn, tmp_path), out=tmp_path / "run", quiet=True, changes=["data.label_budget=0.5"],
        **{name: getattr(CONFIG, name) for name in ("encoder", "graph", "model", "train")},
    )  # fmt: skip
    systems = json.loads((run.folder / "metrics.json").read_text())["splits"]["test"]["systems"]
    assert set(cell["systems"]) == {*systems, "student"} >= {"ridge", "graph", "network", "places", "classifier"}
    for name, measures in systems.items():
        for key in ("mAP", "mAP_10", "at_half", "top3", "ece", "hamming_error"):
            assert cell["systems"][name][key] == measures[key], (name, key)
    assert cell["labelled"] == 20
    assert not (tmp_path / "out" / "work" / "0.5-0").exists()


def test_a_network_alone_is_measured_as_fit_measures_it(held: Held, drawn: Drawn, tmp_path: Path) -> None:
    alone = config(train={"shares": NETWORK_ALONE})
    cell = bench_of(held, tmp_path / "out").run([Trial("ours", alone, 0.5)])[0]
    run = run_fit(
        drawn.images, all_labels(drawn, tmp_path), out=tmp_path / "run", quiet=True, changes=["data.label_budget=0.5"],
        **{name: getattr(alone, name) for name in ("encoder", "graph", "model", "train")},
    )  # fmt: skip
    systems = json.loads((run.folder / "metrics.json").read_text())["splits"]["test"]["systems"]
    assert set(cell["systems"]) == {"classifier"}
    for key in ("mAP", "mAP_10", "at_half", "at_tuned", "top3", "top3_at_half", "hamming_error"):
        assert cell["systems"]["classifier"][key] == systems["classifier"][key], key
    assert cell["systems"]["classifier"]["ece"] == pytest.approx(systems["classifier"]["ece"], abs=1e-6)  # of float32
    assert cell["seconds"] > 0
    assert len(cell["history"]) == 2


def test_cells_are_kept_and_read_again(held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [Trial("default", CONFIG, 0.5)]
    first = bench_of(held, tmp_path).run(trials)
    monkeypatch.setattr("tagweave.benchmark.trials.fit_and_measure", lambda *_: pytest.fail("done before"))
    assert bench_of(held, tmp_path).run(trials) == first


def test_test_labels_are_not_in_what_the_steps_are_given(held: Held) -> None:
    manifest, labels = draw_labels(held, 0.5, CONFIG)
    test = manifest.splits == "test"
    hidden = spoiled(labels, manifest)
    assert labels.values[test].any()
    assert not hidden.values[test].any()
    np.testing.assert_array_equal(hidden.values[~test], labels.values[~test])
    np.testing.assert_array_equal(hidden.known, labels.known)


def test_all_labels_hide_nothing(held: Held) -> None:
    manifest, labels = draw_labels(held, ALL, CONFIG)
    np.testing.assert_array_equal(labels.known, held.labels.known)
    assert (manifest.splits == "val").sum() == 6  # 0.15 of 40


def test_a_fit_that_does_not_look_at_the_test_passes_the_audit(held: Held, tmp_path: Path) -> None:
    audit(held, CONFIG, 0.5, tmp_path)
    manifest, labels = draw_labels(held, 0.5, CONFIG)
    images, other = turned(manifest, labels)
    test = manifest.splits == "test"
    np.testing.assert_array_equal(other.values[test], ~labels.values[test])
    assert set(np.array(images.digests)[test]) == {manifest.digests[0]}
    assert images.digests[0] == manifest.digests[0]


@pytest.mark.parametrize("changed", ["labels", "features"])
def test_a_planted_leak_is_caught(held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    build = fitting.build_untrained_head

    def leaky(*given: Any) -> Any:
        # Rates, co-occurrence, mean and channel statistics of the test images too.
        return build(*(all_train(one) if hasattr(one, "manifest") else one for one in given))

    def all_train(images: Any) -> Any:
        splits = np.full(len(images.manifest), "train")
        return replace(images, manifest=replace(images.manifest, splits=splits))

    def turn_one(manifest: Manifest, labels: LabelMatrix) -> tuple[Manifest, LabelMatrix]:
        images, other = turned(manifest, labels)
        return (manifest, other) if changed == "labels" else (images, labels)

    monkeypatch.setattr(fitting, "build_untrained_head", leaky)
    monkeypatch.setattr(audit_module, "turned", turn_one)
    with pytest.raises(InputError, match=r"Expected the same model whatever the test images hold, but model/model"):
        audit(held, CONFIG, 0.5, tmp_path)


def test_labelled_only_networks_get_as_many_steps(held: Held) -> None:
    assert labelled_images(held, ALL) == 40
    assert labelled_images(held, 0.25) == 10
    alone = config(train={"targets": "labelled", "epochs": 3, "patience": 2})
    more = even_steps(held, 0.25, alone).train
    assert (more.epochs, more.patience) == (12, 8)
    assert even_steps(held, ALL, alone) == alone
    assert even_steps(held, 0.25, CONFIG) == CONFIG  # soft targets: an epoch goes over the whole pool


def test_the_estimate_counts_images_epochs_and_searches(held: Held, tmp_path: Path) -> None:
    bench, once = bench_of(held, tmp_path), config(train={"epochs": 3, "refit": False})
    image = FIXED_SECONDS + 4 * LABEL_SECONDS
    assert bench.estimate([Trial("a", once, 0.5)]) == pytest.approx(40 * 3 * image)
    alone = config(train={"epochs": 4, "targets": "labelled"})
    assert bench.estimate([Trial("a", alone, 0.5, Search())]) == pytest.approx(20 * (8 + 3 * 2 + 4) * image)


@pytest.mark.parametrize(("seconds", "said"), [(12.3, "about 12 s"), (600.0, "about 10 min"), (9000.0, "about 2.5 h")])
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert spoken(seconds) == said
