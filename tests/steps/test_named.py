"""Labels that are called like something the backbone knows: read, counted as far as it helps, and kept in the model."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drawn import Drawn, quick_fit
from tagweave.api import Run
from tagweave.config import Config, build_config
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.class_head import ClassHead
from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings, build_graph
from tagweave.graph.propagation import Propagation, propagate
from tagweave.metrics import average_precision
from tagweave.model.name_score import NameScore, fit_name_score
from tagweave.model.pooled import PooledFeature
from tagweave.runs import Steps, read_json
from tagweave.steps.inductive import load_inductive, save_inductive
from tagweave.steps.job import Job
from tagweave.steps.named import account_of_names, prior_of, read_names

NAMES = ("cat", "car", "daisy")
PARTS = (8, 4)


def told_by_name(seed: int = 1) -> tuple[Propagation, NameScore, np.ndarray, np.ndarray]:
    """Propagate over features whose first columns a class head reads; no labelled image shows "daisy".

    Returns:
        the propagation, the names' score, features (N, D) of new images, and their labels (N, 3).
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(160, sum(PARTS))).astype(np.float32)
    values = features[:, :3] > 1.0
    weight = np.zeros((3, 3), dtype=np.float32)
    np.fill_diagonal(weight, 2.0)
    head = ClassHead((("cat",), ("car",), ("daisy",)), weight, np.zeros(3, dtype=np.float32), np.arange(3))
    score = fit_name_score(head, NAMES, {}, features[:100])
    assert score is not None
    known = np.zeros((100, 3), dtype=bool)
    labelled = np.flatnonzero(~values[:100, 2])[:60]
    known[labelled] = True
    labels = LabelMatrix(values[:100], known, NAMES)
    graph = build_graph(features[:100], GraphSettings(parts=PARTS, k=5))
    return propagate(graph, labels, prior=prior_of(score, features[:100])), score, features[100:], values[100:]


def test_a_label_without_an_example_is_told_by_its_name() -> None:
    found, _, new, values = told_by_name()
    assert found.teacher is not None
    assert found.teacher.strength > 0
    scores = found.score_new(new)
    known = np.ones(len(new), dtype=bool)
    assert average_precision(scores[:, 2], values[:, 2], known) > 0.75
    assert values[:, 2].mean() < 0.3
    claimed = found.out_of_fold[:, 2]
    assert found.calibration.apply(found.out_of_fold)[:, 2].max() <= 1 / (len(claimed) + 2) + 1e-9


def test_what_is_known_by_name_alone_is_told() -> None:
    found, _, _, _ = told_by_name()
    np.testing.assert_array_equal(found.by_name_alone, [False, False, True])
    assert found.prior is not None
    unlike = replace(found, prior=replace(found.prior, tells=np.array([True, True, False])))
    without = replace(found, prior=None)
    graph_alone = replace(found, share=1.0)
    for other in (unlike, without, graph_alone):
        assert not other.by_name_alone.any()
    assert (found.name_strength > 0, graph_alone.name_strength) == (True, 0.0)


def test_the_exported_module_scores_as_propagation_does(tmp_path: Path) -> None:
    found, score, new, _ = told_by_name()
    save_inductive(tmp_path / "inductive.npz", found, 0, score)
    module, feature = load_inductive(tmp_path / "inductive.npz"), torch.from_numpy(new)
    pooled = PooledFeature(torch.from_numpy(found.graph.mean), PARTS)
    with torch.inference_mode():
        probabilities = module(pooled(feature), feature).numpy()
    np.testing.assert_allclose(probabilities, found.score_new(new), rtol=0, atol=5e-3)  # points in half precision
    assert module.names is not None


def test_names_that_do_not_help_are_not_kept(tmp_path: Path) -> None:
    found, score, _, _ = told_by_name()
    wrong = LabelMatrix(~found.labels.values, found.labels.known, NAMES)
    assert found.prior is not None
    against = propagate(found.graph, wrong, prior=found.prior)
    assert against.teacher is not None
    assert against.teacher.strength == 0
    save_inductive(tmp_path / "inductive.npz", against, 0, score)
    assert load_inductive(tmp_path / "inductive.npz").names is None


@pytest.mark.parametrize(
    "changes",
    [
        {"graph": {"names": False}},
        {"graph": {"teacher": False}},
        {"encoder": {"weights": "random"}},
        {"model": {"label_words": {"cat": "xqzzkv", "car": "qqxyz"}}},
    ],
    ids=["off", "no teacher", "random weights", "no words"],
)
def test_there_may_be_nothing_to_read(changes: dict[str, Any]) -> None:
    pool = np.random.default_rng(0).normal(size=(20, 3424)).astype(np.float32)
    assert read_names(job_of(configured(changes)), ("cat", "car"), pool) is None


def test_a_backbone_out_of_reach_is_told_and_costs_the_names_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(config: Any) -> None:
        raise InputError("Expected to fetch the published weights, but got no answer.")

    monkeypatch.setattr("tagweave.encoders.class_head.class_head", gone)
    pool = np.zeros((20, 3424), dtype=np.float32)
    assert read_names(job_of(build_config("fast"), quiet=False), ("cat",), pool) is None
    assert "names are not read, as the backbone is not at hand: Expected to fetch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "width", "told"),
    [
        ({"encoder": {"weights": "random"}}, 3424, "efficientnet_lite0 has no classes here that one layer tells"),
        ({}, 1000, "graph.features=stages leaves out what its classes are told from"),
        (
            {"model": {"label_words": {"cat": "xqzzkv"}}},
            3424,
            "none is like one of the backbone's classes; model",
        ),
    ],
    ids=["no classes", "part of the feature", "no words"],
)
def test_why_names_are_not_read_is_told(
    changes: dict[str, Any], width: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = np.random.default_rng(0).normal(size=(20, width)).astype(np.float32)
    assert read_names(job_of(configured(changes), quiet=False), ("cat",), pool) is None
    assert f"the labels' names are not read, as {told}" in " ".join(capsys.readouterr().err.split())


def test_the_file_of_an_earlier_run_with_names_goes(tmp_path: Path) -> None:
    job = Job(tmp_path, Path("images"), None, None, build_config("fast"), Console(quiet=True))
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "names.csv").write_text("label,relevance,classes\n")
    assert account_of_names(job, ("cat",), None, 0.0) == {}
    assert not (tmp_path / "graph" / "names.csv").exists()


def job_of(config: Config, quiet: bool = True) -> Job:
    return Job(Path("run"), Path("images"), None, None, config, Console(quiet))


def configured(changes: dict[str, Any]) -> Config:
    content = build_config("fast").model_dump()
    return Config.model_validate({**content, **{name: {**content[name], **own} for name, own in changes.items()}})


def test_scores_do_not_depend_on_the_number_of_threads() -> None:
    pool = np.random.default_rng(0).normal(size=(300, 1280)).astype(np.float32)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            read = read_names(job_of(build_config("fast")), ("cat", "car"), pool)
            assert read is not None
            found.append(prior_of(read[0], pool).pool)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_a_run_says_what_it_read(finished: Run) -> None:
    with (finished.folder / "graph" / "names.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == ["house", "moon", "sea", "tree"]
    assert float(rows["house"]["relevance"]) > 0
    assert rows["house"]["classes"].endswith("%")
    facts = read_json(finished.folder / "metrics.json")["propagation"]
    assert 1 <= facts["names"] <= 4
    assert facts["name_strength"] >= 0


def test_other_words_for_a_label_propagate_anew(drawn: Drawn, tmp_path: Path) -> None:
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run")
    before = Steps(run.folder).key("propagate")
    quick_fit(drawn.images, drawn.labels, tmp_path / "run", model={"label_words": {"moon": "ball"}})
    assert Steps(run.folder).key("propagate") != before
