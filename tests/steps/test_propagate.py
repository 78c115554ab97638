"""Propagated labels: what is accepted, why other labels get nothing, and what the files and sentences say of it."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tagweave.api import Run, fit
from tagweave.config import build_config
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings, build_graph
from tagweave.graph.propagation import SHARES
from tagweave.graph.teacher import PENALTIES
from tagweave.runs import read_json
from tagweave.steps.account import (
    CONTRADICTED,
    NO_POSITIVE,
    TOO_LOW,
    UNPROVEN,
    propagation_facts,
    reasons,
    sentences,
    supported_precision,
)
from tagweave.steps.outcome import Outcome, spread_and_decide
from tagweave.steps.stored import load_collection

DATA = Path(os.environ.get("TAGWEAVE_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def groups(labelled: int, noise: float, seed: int = 0) -> tuple[Any, LabelMatrix, np.ndarray]:
    """Return a graph of four groups of 100 images, their labels known of ``labelled`` images, and the truth (N, 5).

    Label c is the group; a share ``noise`` of the images changes group for the eye alone. The fifth label is never.
    """
    generator = np.random.default_rng(seed)
    group = generator.permutation(np.repeat(np.arange(4), 100))
    seen = np.where(generator.random(400) < noise, generator.integers(0, 4, 400), group)
    features = 4 * generator.normal(size=(4, 16))[seen] + generator.normal(size=(400, 16))
    truth = np.eye(5, dtype=bool)[group]
    known = np.zeros((400, 5), bool)
    known[generator.permutation(400)[:labelled]] = True
    graph = build_graph(features, GraphSettings(k=10, pca=8))
    return graph, LabelMatrix(truth, known, ("a", "b", "c", "d", "never")), truth


def decide(graph: Any, labels: LabelMatrix, precision: float = 0.8) -> Outcome:
    job: Any = SimpleNamespace(config=build_config(graph={"precision": precision}))
    return spread_and_decide(graph, labels, job)


@pytest.fixture(scope="module")
def case() -> tuple[Outcome, np.ndarray]:
    graph, labels, truth = groups(160, noise=0.08)
    return decide(graph, labels), truth


class TestSupported:
    def test_hidden_truth_confirms_what_is_claimed(self, case: tuple[Outcome, np.ndarray]) -> None:
        outcome, truth = case
        facts, positive = propagation_facts(outcome), outcome.decisions.positive
        assert positive.sum() > 150  # of 240
        assert truth[positive].mean() >= 0.8
        assert facts["precision_lower"] >= 0.8
        assert facts["precision_lower"] <= truth[positive].mean() <= facts["precision_upper"]
        assert facts["calibration_error"] < 0.05

    def test_facts_add_up(self, case: tuple[Outcome, np.ndarray]) -> None:
        outcome, _ = case
        facts = propagation_facts(outcome)
        assert facts["pseudo_positive"] + facts["pseudo_negative"] + facts["unknown_cells"] == 240 * 5
        assert (facts["images"], facts["unlabelled"], facts["reached_images"]) == (400, 240, 240)
        assert (facts["wanted_precision"], facts["precision_supported"]) == (0.8, True)
        assert facts["labels_with_positives"] == 4
        assert facts["labels_without"] == {NO_POSITIVE: ["never"]}
        assert sum(facts["reliability"]["cells"]) == 160 * 5

    def test_sentences_name_precision_and_labels_left_out(self, case: tuple[Outcome, np.ndarray]) -> None:
        outcome, _ = case
        found = outcome.acceptance.positives
        shown, absent, left_out = sentences(outcome)
        assert shown == (
            f"of {found.judged} hidden known cells that are accepted as present {found.share:.1%} are right, at least "
            f"{found.lower:.1%} with 95 % confidence, over all labels together (wanted: 80.0%); it holds for images "
            "drawn like the labelled ones"
        )
        assert "hidden known cells that are taken as absent" in absent
        assert left_out == "1 of 5 labels get no propagated positive: 1 without a known positive; see graph/labels.csv"

    def test_evidence_never_saw_its_own_labels(self) -> None:
        # Labels drawn at random: whoever sees them claims to know, whoever does not finds nothing.
        graph, labels, truth = groups(160, noise=0.0)
        drawn = np.random.default_rng(5).permutation(truth)
        outcome = decide(graph, LabelMatrix(drawn, labels.known, labels.names))
        assert not outcome.decisions.positive.any()
        assert outcome.honest.max() < 0.6


class TestNotSupported:
    def test_few_labels_cannot_show_much_and_the_command_says_so(self) -> None:
        graph, labels, _ = groups(24, noise=0.0)
        outcome = decide(graph, labels, 0.9)
        assert not outcome.decisions.positive.any()
        facts = propagation_facts(outcome)
        assert (facts["precision_supported"], facts["accepted_from"]) == (False, None)
        assert facts["labels_without"] == {UNPROVEN: ["a", "b", "c", "d"], NO_POSITIVE: ["never"]}
        assert sentences(outcome)[0].startswith(
            "nothing is accepted as present: the known labels do not show a precision of 90.0% (only "
        )
        assert "29 is the least); label more images (about " in sentences(outcome)[0]

    def test_a_lower_precision_that_they_show_is_offered_and_works(self) -> None:
        graph, labels, truth = groups(160, noise=0.2, seed=3)
        outcome = decide(graph, labels, 0.99)
        lower = supported_precision(outcome)
        assert lower is not None
        assert f"or ask for --precision {lower:g}, which they show" in sentences(outcome)[0]
        again = decide(graph, labels, lower)
        assert again.decisions.positive.any()
        assert truth[again.decisions.positive].mean() >= lower

    def test_labels_that_say_nothing_get_no_promise(self) -> None:
        graph, labels, truth = groups(160, noise=0.0)
        drawn = np.random.default_rng(5).permutation(truth)
        outcome = decide(graph, LabelMatrix(drawn, labels.known, labels.names))
        assert supported_precision(outcome) is None
        assert "label more images" in sentences(outcome)[0]
        assert "--precision" not in sentences(outcome)[0]

    def test_one_certain_answer_is_asked_for_in_vain(self) -> None:
        with pytest.raises(InputError, match=r"graph\.precision: input should be less than 1, but got 1"):
            build_config(graph={"precision": 1})


def test_every_label_without_positives_has_its_reason() -> None:
    graph, labels, _ = groups(160, noise=0.05)
    outcome = decide(graph, labels)
    positive, acceptance = outcome.decisions.positive.copy(), outcome.acceptance
    positive[:, [1, 2]] = False
    contradicted = np.array([False, True, False, False, False])
    changed: Any = SimpleNamespace(
        spread=outcome.spread,
        decisions=SimpleNamespace(positive=positive),
        acceptance=SimpleNamespace(threshold=acceptance.threshold, contradicted=contradicted),
    )
    assert reasons(changed) == ["", CONTRADICTED, TOO_LOW, "", NO_POSITIVE]


def test_images_that_nothing_reaches_are_counted_and_named_in_words() -> None:
    graph, labels, _ = groups(160, noise=0.05)
    outcome = decide(graph, labels)
    reached = outcome.spread.reached.copy()
    reached[np.flatnonzero(~labels.labelled)[:3]] = False
    changed: Any = SimpleNamespace(**vars(outcome))
    changed.spread = SimpleNamespace(labels=labels, reached=reached)
    facts = propagation_facts(changed)
    assert (facts["unreached_images"], facts["reached_images"]) == (3, 237)
    assert facts["sentences"][-1] == (
        "3 images were reached by no label; they stay unknown in labels.parquet and are listed in graph/unreached.csv"
    )


class TestFiles:
    def test_every_label_has_a_row_that_agrees_with_the_propagated_cells(self, finished: Run) -> None:
        rows = rows_of(finished.folder / "graph" / "labels.csv")
        _, labels = load_collection(finished.folder)
        assert [row["label"] for row in rows] == list(labels.names)
        cells = pq.read_table(finished.folder / "labels.parquet").to_pylist()
        for row in rows:
            propagated = [c for c in cells if c["label"] == row["label"] and c["source"] == "propagated" and c["value"]]
            assert int(row["accepted"]) == len(propagated)
            assert bool(row["why_none"]) == (not propagated)
            assert int(row["hidden_right"]) <= int(row["hidden_judged"])
        assert rows_of(finished.folder / "graph" / "unreached.csv") == []

    def test_measures_repeat_the_facts_of_the_step(self, finished: Run) -> None:
        record = read_json(finished.folder / "steps" / "propagate.json")
        assert finished.evaluate()["propagation"] == record["propagation"]
        assert record["notes"] == record["propagation"]["sentences"]

    def test_tried_shares_and_penalties_stand_with_what_chose_them(self, finished: Run) -> None:
        facts = finished.evaluate()["propagation"]
        losses = {row["share"]: row["log_loss"] for row in facts["blends"]}
        assert tuple(losses) == SHARES
        assert facts["graph_share"] == min(losses, key=lambda share: losses[share])
        errors = {row["penalty"]: row["squared_error"] for row in facts["penalties"]}
        assert tuple(errors) == PENALTIES
        assert facts["ridge_penalty"] == min(errors, key=lambda penalty: errors[penalty])
        assert all(0 <= row["mAP"] <= 1 for row in facts["blends"])

    def test_probabilities_of_test_images_are_on_the_scale_of_the_pool(self, finished: Run) -> None:
        with np.load(finished.folder / "graph" / "scores.npz", allow_pickle=False) as stored:
            scores, pool = stored["graph"], stored["pool"]
        outside = np.setdiff1d(np.arange(len(scores)), pool)
        assert len(outside)
        assert ((scores >= 0) & (scores <= 1)).all()
        cells = pq.read_table(finished.folder / "labels.parquet").to_pylist()
        manifest, labels = load_collection(finished.folder)
        unknown = [(i, c) for i in outside for c in range(len(labels.names)) if not labels.known[i, c]]
        found = {(cell["image"], cell["label"]): cell["probability"] for cell in cells}
        for i, c in unknown:
            assert found[manifest.paths[i], labels.names[c]] == pytest.approx(scores[i, c], abs=1e-6)


COLLECTIONS = {
    "corel5k": (DATA / "corel5k" / "images", DATA / "corel5k" / "labels.csv", 0.1),
    "VOC2007": (DATA / "VOCdevkit" / "VOC2007", DATA / "VOCdevkit" / "VOC2007", 0.2),
}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", COLLECTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_accepted_labels_of_photographs_hold_the_wanted_precision(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, budget = COLLECTIONS[name]
    if not images.is_dir():
        pytest.skip(f"no {name} in {DATA}; set TAGWEAVE_DATA")
    fit(images, labels, out=tmp_path / "whole", until="check", quiet=True)
    _, truth = load_collection(tmp_path / "whole" / "check")
    for precision in (0.8, 0.9):
        fit(
            images, labels, out=tmp_path / "run", until="propagate", quiet=True, seed=seed,
            data={"label_budget": budget}, graph={"precision": precision},
        )  # fmt: skip
        cells = pq.read_table(tmp_path / "run" / "labels.parquet")
        facts = read_json(tmp_path / "run" / "steps" / "propagate.json")["propagation"]
        propagated = np.array(cells["source"].to_pylist()) == "propagated"
        present = cells["value"].fill_null(False).to_numpy()[propagated]
        right = present == truth.values.ravel()[propagated]
        assert truth.known.ravel()[propagated].all()
        assert present.any() == facts["precision_supported"]
        if present.any():
            assert right[present].mean() >= precision
            assert facts["precision_lower"] >= precision
        assert right[~present].mean() == pytest.approx(facts["negative_precision_estimate"], abs=0.005)
