"""Which steps run again, and what they are given."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import Drawn, quick_fit, write_list
from tagweave import pipeline
from tagweave.api import Run
from tagweave.config import build_config
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.pipeline import STEPS, is_measured, rewrite_report, run
from tagweave.runs import read_json, write_json
from tagweave.steps.job import Job
from tagweave.steps.outcome import graph_settings
from tagweave.steps.stored import load_collection, save_collection
from tagweave.steps.targets import training_set


@pytest.fixture
def job(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job over a copy of the pictures whose steps do nothing, done once."""
    monkeypatch.setattr(pipeline, "_WORK", dict.fromkeys(STEPS, lambda job, key: {"notes": [f"{key} done"]}))
    images = Path(shutil.copytree(drawn.images, tmp_path / "pictures"))
    labels = Path(shutil.copy(drawn.labels, tmp_path / "labels.csv"))
    job = Job(tmp_path / "run", images, labels, None, build_config("tiny"), Console(quiet=True))
    assert run(job) == list(STEPS)
    return job


def changed(job: Job, **sections: Any) -> Job:
    return dataclasses.replace(job, config=build_config("tiny", **sections))


def test_nothing_changed_nothing_runs(job: Job) -> None:
    assert run(job) == []
    assert run(Job.load(job.folder, job.console)) == []


@pytest.mark.parametrize(
    ("sections", "first"),
    [
        ({"seed": 1}, "check"),
        ({"data": {"val_fraction": 0.3}}, "check"),
        ({"encoder": {"size": 128}}, "embed"),
        ({"graph": {"k": 3}}, "propagate"),
        ({"model": {"width": 16}}, "train"),
        ({"train": {"epochs": 9}}, "train"),
        ({"train": {"regime": "finetune"}}, "embed"),
    ],
)
def test_a_changed_setting_runs_its_step_and_all_that_follow(job: Job, sections: dict[str, Any], first: str) -> None:
    assert run(changed(job, **sections)) == list(STEPS[STEPS.index(first) :])
    assert run(changed(job, **sections)) == []
    assert run(job) == list(STEPS[STEPS.index(first) :])  # and back again


def test_other_settings_of_a_backbone_that_learns_embed_nothing_anew(job: Job) -> None:
    run(changed(job, train={"regime": "finetune"}))
    assert run(changed(job, train={"regime": "finetune", "epochs": 9})) == ["train", "evaluate", "report"]


def test_a_backbone_that_learns_has_its_features_stored_alone(run_copy: Run, drawn: Drawn) -> None:
    record, graph = run_copy.folder / "steps" / "embed.json", run_copy.folder / "graph" / "final.npz"
    whole, before = Path(read_json(record)["cache"]), np.load(graph)["probabilities"]
    for regime, expected in (("finetune", f"{whole.name}-features"), ("frozen", whole.name)):
        quick_fit(drawn.images, drawn.labels, run_copy.folder, train={"regime": regime}, until="propagate")
        cache = Path(read_json(record)["cache"])
        assert cache.name == expected
        assert ((cache / "maps.f16").stat().st_size == 0) == (regime == "finetune")
        np.testing.assert_allclose(np.load(graph)["probabilities"], before, atol=1e-3)  # float16 features, fused anew


def test_steps_that_were_not_asked_for_wait(job: Job) -> None:
    other = changed(job, seed=3)
    assert run(other, "embed") == ["check", "embed"]
    assert run(other, "train") == ["propagate", "train"]
    assert run(other) == ["evaluate", "report"]


def test_a_changed_label_file_runs_all(job: Job) -> None:
    assert job.labels
    text = job.labels.read_text()
    job.labels.write_text(text.replace("001.png,", "001.png,moon;"))
    assert run(job) == list(STEPS)
    os.utime(job.labels, (1, 1))  # its time does not count, its text does
    assert run(job) == []


def test_added_changed_and_removed_pictures_run_all(job: Job) -> None:
    shutil.copy(job.images / "000.png", job.images / "new.png")
    assert run(job) == list(STEPS)
    shutil.copy(job.images / "001.png", job.images / "new.png")
    assert run(job) == list(STEPS)
    (job.images / "new.png").unlink()
    assert run(job) == list(STEPS)


def test_a_changed_voc_folder_runs_all(job: Job, tmp_path: Path) -> None:
    for part, name in (("ImageSets/Main", "train.txt"), ("Annotations", "000.xml")):
        (tmp_path / "voc" / part).mkdir(parents=True)
        (tmp_path / "voc" / part / name).write_text("000")
    voc = dataclasses.replace(job, labels=tmp_path / "voc")
    assert run(voc) == list(STEPS)
    assert run(voc) == []
    os.utime(tmp_path / "voc" / "Annotations" / "000.xml", (1, 1))
    assert run(voc) == list(STEPS)


def test_changed_labels_in_the_image_folder_run_all(job: Job) -> None:
    listed = job.images / "metadata.jsonl"
    listed.write_text('{"file_name": "001.png", "label": ["sea"]}\n')
    own = dataclasses.replace(job, labels=job.images, folder=job.images / "runs" / "own")
    assert run(own) == list(STEPS)
    assert run(own) == []
    listed.write_text('{"file_name": "001.png", "label": ["moon"]}\n')
    assert run(own) == list(STEPS)


def test_a_changed_file_of_a_setting_runs_its_step_and_all_that_follow(job: Job, tmp_path: Path) -> None:
    weights, vectors = tmp_path / "weights.pth", tmp_path / "vectors.txt"
    weights.write_text("1")
    vectors.write_text("1")
    other = changed(job, encoder={"weights": str(weights)}, model={"word_vectors": str(vectors)})
    run(other)
    vectors.write_text("2")
    assert run(other) == list(STEPS[STEPS.index("train") :])
    weights.write_text("2")
    assert run(other) == list(STEPS[STEPS.index("embed") :])
    assert run(other) == []


def test_a_run_keeps_its_labels_where_none_are_given(job: Job) -> None:
    before = read_json(job.folder / "job.json")
    for step in ("check", "embed"):
        with pytest.raises(InputError, match=rf"made with .*labels\.csv, but got none.* go on with 'tagweave {step} "):
            run(dataclasses.replace(job, labels=None), step)
    assert read_json(job.folder / "job.json") == before
    assert run(Job.load(job.folder, job.console), "embed") == []


def test_a_finished_run_is_read_without_its_images_and_labels(job: Job) -> None:
    shutil.rmtree(job.images)
    assert job.labels
    job.labels.unlink()
    assert is_measured(job.folder)
    before = read_json(job.folder / "steps" / "report.json")["started"]
    rewrite_report(job)
    assert read_json(job.folder / "steps" / "report.json")["started"] > before
    assert is_measured(job.folder)


def test_what_was_measured_before_a_change_does_not_stand(job: Job) -> None:
    run(changed(job, train={"epochs": 9}), "train")
    assert not is_measured(job.folder)
    rewrite_report(Job.load(job.folder, job.console))
    assert is_measured(job.folder)


def test_the_job_is_kept_and_the_notes_of_all_steps_are_told(job: Job) -> None:
    assert read_json(job.folder / "job.json") == {
        "images": str(job.images.resolve()), "labels": str(job.labels), "format": None,
    }  # fmt: skip
    assert len(read_json(job.folder / "provenance.json")["notes"]) == len(STEPS)
    assert Job.load(job.folder, job.console).config == job.config


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a run folder \(with job\.json\) at .*, but there is none"):
        Job.load(tmp_path, Console(quiet=True))


def test_a_missing_gpu_is_told_before_any_work(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = build_config("tiny", changes=["train.device=cuda"])
    wanted = Job(tmp_path / "run", drawn.images, drawn.labels, None, config, Console(quiet=True))
    with pytest.raises(InputError, match=r"Expected a CUDA device for train\.device=cuda, but PyTorch finds none"):
        run(wanted)
    assert not wanted.folder.exists()
    run(wanted, "check")  # which needs none
    assert (wanted.folder / "check").is_dir()


def test_learning_needs_labels(job: Job) -> None:
    unlabelled = dataclasses.replace(job, labels=None, folder=job.folder / "other")
    with pytest.raises(InputError, match=r"^Expected labels to learn from, but got none; give some with --labels FILE"):
        run(unlabelled, "propagate")
    assert not unlabelled.folder.exists()
    assert run(unlabelled, "embed") == ["check", "embed"]


def test_bad_labels_change_nothing_in_a_finished_run(drawn: Drawn, run_copy: Run, tmp_path: Path) -> None:
    def contents() -> Mapping[str, bytes]:
        return {str(path): path.read_bytes() for path in run_copy.folder.rglob("*") if path.is_file()}

    before = contents()
    (tmp_path / "bad.csv").write_text("image,labels\nnone.png,sea\n")
    with pytest.raises(InputError, match=r"bad\.csv line 2: image 'none\.png' is not in pictures"):
        quick_fit(drawn.images, tmp_path / "bad.csv", run_copy.folder)
    assert contents() == before


def test_a_run_whose_images_are_gone_is_read_and_not_harmed(run_copy: Run, tmp_path: Path) -> None:
    record = run_copy.folder / "job.json"
    write_json(record, {**read_json(record), "images": str(tmp_path / "gone"), "labels": str(tmp_path / "gone.csv")})
    before = {path.name: path.read_bytes() for path in (run_copy.folder / "steps").iterdir()}
    assert run_copy.evaluate() == read_json(run_copy.folder / "metrics.json")
    with pytest.raises(InputError):
        run(Job.load(run_copy.folder, Console(quiet=True)))
    assert {path.name: path.read_bytes() for path in (run_copy.folder / "steps").iterdir()} == before
    (run_copy.folder / "report.html").unlink()
    rewrite_report(Job.load(run_copy.folder, Console(quiet=True)))
    assert (run_copy.folder / "report.html").is_file()


def test_files_that_were_deleted_are_made_again(run_copy: Run, drawn: Drawn) -> None:
    weights = run_copy.folder / "model" / "model.safetensors"
    before, metrics = weights.read_bytes(), run_copy.evaluate()
    shutil.rmtree(weights.parent)
    for name in ("metrics.json", "labels.parquet", "manifest.parquet", "report.html"):
        (run_copy.folder / name).unlink()
    quick_fit(drawn.images, drawn.labels, run_copy.folder)
    assert weights.read_bytes() == before
    assert read_json(run_copy.folder / "metrics.json") == metrics
    assert all((run_copy.folder / name).is_file() for name in ("labels.parquet", "report.html"))


@pytest.mark.parametrize("emptied", [True, False])
def test_lost_records_are_computed_anew(emptied: bool, run_copy: Run, drawn: Drawn, tmp_path: Path) -> None:
    record = run_copy.folder / "steps" / "embed.json"
    place = read_json(record)["cache"]
    lost = tmp_path / "cache"
    if emptied:  # the folder is there, the records are not
        shutil.copytree(place, lost)
        (lost / "index.txt").write_text("")
    record.write_text(record.read_text().replace(place, str(lost)))
    quick_fit(drawn.images, drawn.labels, run_copy.folder, graph={"k": 5}, until="propagate")
    assert read_json(record)["cache"] == place


def test_the_collection_is_read_as_it_was_written(tmp_path: Path) -> None:
    labels = LabelMatrix(np.array([[1, 0]], bool), np.array([[1, 0]], bool), ("a", "ß"))
    manifest = Manifest(tmp_path, ("1.png",), ("ff",), np.array([[3, 4]], np.int32), np.array(["val"]))
    save_collection(tmp_path / "new", manifest, labels)
    read_manifest, read_labels = load_collection(tmp_path / "new")
    assert read_manifest.paths == manifest.paths
    assert read_labels.names == labels.names
    np.testing.assert_array_equal(read_labels.values, labels.values)
    np.testing.assert_array_equal(read_labels.known, labels.known)


def test_every_setting_of_the_graph_reaches_the_numerical_core() -> None:
    config = build_config(graph={"features": "average", "k": 3, "t": 1.5, "eta": 0.25, "teacher": False, "folds": 4})
    widths = (9, 9, 4, 4)
    settings = graph_settings(config.graph, widths)
    assert settings.parts == (9,)
    assert graph_settings(build_config(graph={"features": "average+max"}).graph, widths).parts == (9, 9)
    assert graph_settings(build_config().graph, widths).parts == widths
    for name in set(vars(settings)) - {"parts"}:
        assert getattr(settings, name) == getattr(config.graph, name), name


def targets_of(drawn: Drawn, folder: Path, kind: str) -> tuple[Any, Manifest, LabelMatrix]:
    """Return the training set of a finished run, as ``train.targets`` = ``kind`` makes it."""
    job = Job.load(folder, Console(quiet=True))
    job = dataclasses.replace(job, config=build_config(train={"targets": kind}))
    manifest, labels = load_collection(folder)
    hidden, propagated = np.flatnonzero(manifest.splits == "val"), folder / "graph" / "choice.npz"
    return training_set(propagated, job.config.train, manifest, labels, lambda rows: rows, hidden), manifest, labels


@pytest.mark.parametrize("kind", ["soft", "decided", "labelled"])
def test_given_cells_are_trained_as_given_and_held_out_images_never(drawn: Drawn, finished: Run, kind: str) -> None:
    data, manifest, labels = targets_of(drawn, finished.folder, kind)
    rows = np.array([manifest.paths.index(name) for name in data.names])
    assert set(manifest.splits[rows]) == {"train"}
    known = labels.known[rows]
    np.testing.assert_array_equal(data.targets[known], labels.values[rows][known])
    assert (data.weights[known] == 1).all()
    np.testing.assert_array_equal(data.labelled, labels.labelled[rows])
    unlabelled = ~known.any(axis=1)
    assert unlabelled.sum() == (0 if kind == "labelled" else 14)
    if kind == "decided":
        assert set(np.unique(data.targets)) <= {0.0, 1.0}
        trusted = data.weights[unlabelled]
        assert ((trusted == 0) | ((trusted >= 0.5) & (trusted <= 1))).all()
    if kind == "soft":
        assert (data.weights[unlabelled] == 1).all()
        assert ((data.targets > 0) & (data.targets < 1))[unlabelled].any()


def test_a_label_known_to_be_positive_only_outside_train_is_not_trained(drawn: Drawn, tmp_path: Path) -> None:
    splits = ["train"] * 26 + ["val"] * 10 + ["test"] * 10
    values = drawn.values[:46].copy()
    values[:26, 1] = False
    names = [f"{number:03d}.png" for number in range(46)]
    labels = write_list(tmp_path / "labels.csv", names, values, splits)
    quick_fit(drawn.images, labels, tmp_path / "run", until="propagate")
    data, *_ = targets_of(drawn, tmp_path / "run", "soft")
    assert (data.weights[:, 1] == 0).all()
    assert (data.weights[:, [0, 2, 3]] > 0).any()
