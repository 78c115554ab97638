"""The whole job: same seed same bits, killed anywhere and continued, nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from drawn import NAMES, SETTINGS, Drawn, quick_fit, write_list
from killing import run_killed
from tagweave.api import Run
from tagweave.console import Console
from tagweave.data.manifest import Manifest
from tagweave.pipeline import run as run_job
from tagweave.runs import read_json
from tagweave.steps.job import Job
from tagweave.summary import print_measures


def assert_same_results(one: Path, other: Path) -> None:
    for name in ("labels.parquet", "predictions.parquet", "manifest.parquet"):
        assert pq.read_table(one / name).equals(pq.read_table(other / name)), name
    assert read_json(one / "metrics.json") == read_json(other / "metrics.json")
    for name in ("model/model.safetensors", "model/model.json", "metrics.json", "attention.npz"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_same_seed_same_bits(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    again = quick_fit(drawn.images, drawn.labels, tmp_path / "run")
    assert_same_results(again.folder, finished.folder)


def test_another_seed_gives_another_model(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    other = quick_fit(drawn.images, drawn.labels, tmp_path / "run", seed=1).folder
    weights = "model/model.safetensors"
    assert (other / weights).read_bytes() != (finished.folder / weights).read_bytes()


def test_the_drawn_things_are_learnt(drawn: Drawn, tmp_path: Path) -> None:
    settings = {"train": {"epochs": 25, "patience": 25}, "graph": {"features": "average+max"}}
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", **settings)
    measured = run.evaluate()["splits"]["test"]["systems"]
    # Shapes of one colour in one place are easy; a third or so of the pictures shows each.
    assert measured["network"]["mAP"] > 0.85
    assert measured["linear"]["mAP"] > 0.85


STEPS = ["embed", "propagate", "train", "evaluate", "report"]
# Where the process dies (function, call, after its work), and the first step that is left to the second start.
KILLS: dict[str, tuple[str, int, bool, str]] = {
    "embed, the second unit half written": ("os.fsync", 4, False, "embed"),
    "propagate, between its two passes": ("tagweave.graph.propagation.propagate", 1, True, "propagate"),
    "propagate, all files written": ("tagweave.steps.propagate.write_labels", 1, True, "propagate"),
    "train, between epochs": ("tagweave.training.loop.save_progress", 1, True, "train"),
    "train, best saved but not the state": ("tagweave.training.loop.save_state", 2, True, "train"),
    "train, within the second epoch": ("tagweave.training.loop.update_average", 4, True, "train"),
    "evaluate, measures written": ("tagweave.steps.evaluate.write_predictions", 1, False, "evaluate"),
}  # fmt: skip


@pytest.mark.parametrize("moment", KILLS)
def test_killed_and_started_again(
    moment: str, drawn: Drawn, finished: Run, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, call, after, first = KILLS[moment]
    left = set(STEPS[STEPS.index(first) :])
    out, own_cache = tmp_path / "run", cache
    if moment.startswith("embed"):  # a cache without records, but with the exported encoder
        own_cache = shutil.copytree(cache, tmp_path / "cache", ignore=shutil.ignore_patterns("*.f16", "index.txt"))
        monkeypatch.setenv("TAGWEAVE_CACHE", str(own_cache))
    assert run_killed(target, call, after, str(own_cache), quick_fit, drawn.images, drawn.labels, out) == -9
    before = {path.stem: path.stat().st_mtime_ns for path in (out / "steps").glob("*.json")}
    assert not left & set(before), "the killed step must not count as done"

    quick_fit(drawn.images, drawn.labels, out)

    assert_same_results(out, finished.folder)
    after_it = {path.stem: path.stat().st_mtime_ns for path in (out / "steps").glob("*.json")}
    assert {name for name in after_it if before.get(name) != after_it[name]} == left
    assert (out / "report.html").is_file()


def predict_to(folder: Path, images: Path, out: Path) -> None:
    from tagweave.tables import write_predicted_file

    scored = Run(folder).predict(images)
    write_predicted_file(out, scored.images, scored.names, scored.probabilities, scored.thresholds)


@pytest.mark.parametrize(
    ("target", "after"), [("tagweave.api.Classifier.predict_files", True), ("pathlib.Path.replace", False)]
)
def test_a_killed_prediction_leaves_the_old_file(
    target: str, after: bool, drawn: Drawn, finished: Run, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("old")
    arguments = (finished.folder, drawn.images, out)
    assert run_killed(target, 1, after, str(cache), predict_to, *arguments) == -9
    assert out.read_text() == "old"
    predict_to(*arguments)
    assert len(out.read_text().splitlines()) == 61


def test_a_changed_label_file_gives_what_a_new_run_gives(drawn: Drawn, run_copy: Run, tmp_path: Path) -> None:
    rows = drawn.labels.read_text().splitlines()
    changed = tmp_path / "labels.csv"
    changed.write_text("\n".join([*rows[:11], *rows[21:]]) + "\n")  # ten images become unlabelled
    quick_fit(drawn.images, changed, run_copy.folder)
    new = quick_fit(drawn.images, changed, tmp_path / "new")
    assert_same_results(run_copy.folder, new.folder)


def test_a_changed_picture_is_encoded_anew(drawn: Drawn, tmp_path: Path) -> None:
    images = Path(shutil.copytree(drawn.images, tmp_path / "pictures"))
    run = quick_fit(images, drawn.labels, tmp_path / "run")
    before = pq.read_table(run.folder / "predictions.parquet")
    shutil.copy(images / "002.png", images / "001.png")
    quick_fit(images, drawn.labels, tmp_path / "run")
    manifest = Manifest.load(run.folder / "manifest.parquet")
    assert manifest.digests[1] == manifest.digests[2]
    assert not pq.read_table(run.folder / "predictions.parquet").equals(before)


def split_labels(drawn: Drawn, path: Path, flipped: str | None = None) -> Path:
    """Write all labels with a split column; those of the split ``flipped`` turned round."""
    splits = ["train"] * 26 + ["val"] * 10 + ["test"] * 10
    values = drawn.values[:46].copy()
    if flipped:
        rows = [row for row, split in enumerate(splits) if split == flipped]
        values[rows] = ~values[rows]
    return write_list(path, [f"{number:03d}.png" for number in range(46)], values, splits)


@pytest.fixture(scope="module")
def split_run(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    return quick_fit(drawn.images, split_labels(drawn, folder / "labels.csv"), folder / "run").folder


def test_test_labels_are_for_scoring_only(drawn: Drawn, split_run: Path, tmp_path: Path) -> None:
    labels = split_labels(drawn, tmp_path / "labels.csv", flipped="test")
    other = quick_fit(drawn.images, labels, tmp_path / "run").folder
    for name in ("model/model.safetensors", "model/model.json"):
        assert (other / name).read_bytes() == (split_run / name).read_bytes(), name
    assert pq.read_table(other / "predictions.parquet").equals(pq.read_table(split_run / "predictions.parquet"))
    manifest = Manifest.load(other / "manifest.parquet")
    pool = {path for path, split in zip(manifest.paths, manifest.splits, strict=True) if split != "test"}
    spread, other_spread = (pq.read_table(run / "labels.parquet").to_pylist() for run in (split_run, other))
    assert [row for row in other_spread if row["image"] in pool] == [row for row in spread if row["image"] in pool]
    ours, theirs = (read_json(folder / "metrics.json")["splits"] for folder in (other, split_run))
    assert ours["val"] == theirs["val"]
    assert ours["test"] != theirs["test"]


def test_validation_labels_choose_without_training_and_train_what_was_chosen(
    drawn: Drawn, split_run: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    labels = split_labels(drawn, tmp_path / "labels.csv", flipped="val")
    other = quick_fit(drawn.images, labels, tmp_path / "run").folder
    lasts = [folder / "checkpoints" / "choice" / "last.pt" for folder in (other, split_run)]
    states = [torch.load(last, weights_only=True) for last in lasts]
    assert states[0]["progress"]["epoch"] == states[1]["progress"]["epoch"] == 3
    for part in ("head", "average"):
        assert states[0][part].keys() == states[1][part].keys()
        for name, tensor in states[0][part].items():
            assert torch.equal(tensor, states[1][part][name]), name
    assert [record["val_mAP"] for record in states[0]["progress"]["history"]] != [
        record["val_mAP"] for record in states[1]["progress"]["history"]
    ]
    final = [load_file(folder / "checkpoints" / "final" / "best.safetensors") for folder in (other, split_run)]
    assert any(not torch.equal(tensor, final[1][name]) for name, tensor in final[0].items())


def write_partly_known(drawn: Drawn, path: Path) -> Path:
    """Write the one-hot form with a third of the cells blank."""
    rows = [",".join(["image", *NAMES])]
    for number in range(46):
        cells = ["" if (number + c) % 3 == 0 else str(int(drawn.values[number, c])) for c in range(len(NAMES))]
        rows.append(",".join([f"{number:03d}.png", *cells]))
    path.write_text("\n".join(rows) + "\n")
    return path


def test_partly_known_labels(drawn: Drawn, tmp_path: Path) -> None:
    labels = write_partly_known(drawn, tmp_path / "labels.csv")
    run = quick_fit(drawn.images, labels, tmp_path / "run")
    rows = pq.read_table(run.folder / "labels.parquet").to_pylist()
    given = [row for row in rows if row["source"] == "given"]
    assert given
    for row in rows:
        number, c = int(row["image"][:3]), NAMES.index(row["label"])
        known = number < 46 and (number + c) % 3 != 0
        assert row["known"] == known
        assert (row["source"] == "given") == known
        if known:
            assert row["value"] == row["probability"] == drawn.values[number, c]
        assert (row["value"] is None) == (row["source"] == "unknown")


def keep(drawn: Drawn, folder: Path, count: int) -> Path:
    """Copy the first pictures into a folder of their own."""
    folder.mkdir()
    for path in sorted(drawn.images.iterdir())[:count]:
        shutil.copy(path, folder)
    return folder


def test_one_label_only(drawn: Drawn, tmp_path: Path) -> None:
    rows = [f"{number:03d}.png,{'sea' if drawn.values[number, 2] else ''}" for number in range(46)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    metrics = quick_fit(drawn.images, tmp_path / "labels.csv", tmp_path / "run").evaluate()
    assert [row["label"] for row in metrics["splits"]["test"]["systems"]["network"]["per_label"]] == ["sea"]


def test_three_images_only(drawn: Drawn, tmp_path: Path) -> None:
    images = keep(drawn, tmp_path / "few", 3)
    labels = write_list(tmp_path / "labels.csv", ["000.png", "001.png"], drawn.values[:2])
    run = quick_fit(images, labels, tmp_path / "run")
    assert run.evaluate()["splits"] == {}
    assert len(run.predict(images).images) == 3
    assert "no report.html: there is no held-out labelled image to measure on" in read_json(
        run.folder / "provenance.json"
    )["notes"]  # fmt: skip
    assert not (run.folder / "report.html").exists()


def test_every_image_is_labelled(drawn: Drawn, tmp_path: Path) -> None:
    images = keep(drawn, tmp_path / "all", 46)
    run = quick_fit(images, drawn.labels, tmp_path / "run")
    assert "every image is labelled: there is nothing to propagate to" in read_json(
        run.folder / "steps" / "check.json"
    )["notes"]  # fmt: skip
    assert read_json(run.folder / "steps" / "propagate.json")["propagation"]["coverage"] == 1.0


def test_a_label_without_a_positive_is_never_propagated(drawn: Drawn, tmp_path: Path) -> None:
    rows = [",".join(["image", *NAMES, "boat"])]
    rows += [f"{number:03d}.png,{','.join(str(int(v)) for v in drawn.values[number])},0" for number in range(46)]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    run = quick_fit(drawn.images, tmp_path / "labels.csv", tmp_path / "run")
    cells = [row for row in pq.read_table(run.folder / "labels.parquet").to_pylist() if row["label"] == "boat"]
    assert cells
    assert not any(row["value"] for row in cells)


def test_unlabelled_images_can_be_checked_and_embedded(drawn: Drawn, tmp_path: Path) -> None:
    quick_fit(drawn.images, None, tmp_path / "run", until="embed")
    manifest = Manifest.load(tmp_path / "run" / "manifest.parquet")
    assert len(manifest) == 60
    assert set(manifest.splits) == {"train"}


def spoil(drawn: Drawn, folder: Path) -> Path:
    """Copy the pictures, the fifth truncated and one that is no picture added."""
    images = Path(shutil.copytree(drawn.images, folder / "spoilt"))
    content = (images / "004.png").read_bytes()
    (images / "004.png").write_bytes(content[: len(content) // 2])
    (images / "notes.jpg").write_text("not a picture")
    return images


def test_bad_images_go_to_quarantine_and_the_job_goes_on(drawn: Drawn, tmp_path: Path) -> None:
    run = quick_fit(spoil(drawn, tmp_path), drawn.labels, tmp_path / "run")
    lines = (run.folder / "quarantine.csv").read_text().splitlines()
    assert lines[0] == "path,reason"
    assert lines[1].startswith("004.png,")
    assert "truncated" in lines[1]
    assert "labels.csv line 6" in lines[1]
    assert lines[2].startswith('notes.jpg,"is not an image')
    assert len(lines) == 3
    manifest = Manifest.load(run.folder / "manifest.parquet")
    assert "004.png" not in manifest.paths
    assert len(manifest) + len(lines) - 1 == 61  # used + quarantined = given
    assert read_json(run.folder / "steps" / "check.json")["notes"][0] == "61 given = 59 used + 2 quarantined"


@pytest.mark.parametrize("preset", ["paper-frozen", pytest.param("paper", marks=pytest.mark.slow)])
def test_the_papers_presets_run(preset: str, drawn: Drawn, tmp_path: Path) -> None:
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", preset=preset, train={"epochs": 2})
    assert 0 <= run.evaluate()["splits"]["test"]["systems"]["network"]["mAP"] <= 1
    assert (run.folder / "report.html").is_file()


@pytest.mark.parametrize("fusion", ["dot", "none"])
def test_other_heads_run_and_load(fusion: str, drawn: Drawn, tmp_path: Path) -> None:
    model = {"fusion": fusion, "word_vectors": "one-hot", "prior": False}
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", model=model, train={"targets": "labelled"})
    assert run.predict(drawn.images / "000.png").probabilities.shape == (1, 4)


def test_a_run_folder_is_used_from_another_working_folder(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drawn.images.parent)
    quick_fit(Path("pictures"), Path("labels.csv"), tmp_path / "run", until="check")
    monkeypatch.chdir(tmp_path)
    Run(tmp_path / "run").evaluate()
    assert len(Manifest.load(tmp_path / "run" / "manifest.parquet")) == 60


SMALL = {"name": "mobilenetv3_small_050", "weights": "random"}


@pytest.mark.slow
def test_a_backbone_that_is_trained_along_travels_with_the_run(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAGWEAVE_CACHE", str(tmp_path / "cache"))
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", encoder=SMALL, train={"regime": "finetune"})
    written = {path.relative_to(tmp_path): path.stat().st_size for path in tmp_path.rglob("*.f16")}
    assert sorted((path.name, path.parent.name.endswith("-features")) for path in written) == [
        ("features.f16", True), ("maps.f16", True),
    ]  # fmt: skip
    assert [size for path, size in written.items() if path.name == "maps.f16"] == [0]
    metrics = run.evaluate()
    assert metrics["joined"] is False
    for split in metrics["splits"].values():
        assert split["systems"]["network"]["mAP"] == split["systems"]["classifier"]["mAP"]
    print_measures(metrics)
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "mixed of" not in shown
    assert "alone" in shown
    assert "Classifier: the network alone" in (run.folder / "report.html").read_text(encoding="utf-8")
    notes = read_json(run.folder / "provenance.json")["notes"]
    assert any(note.startswith("the classifier is the network alone") for note in notes)
    moved = Run((tmp_path / "run").rename(tmp_path / "elsewhere"))
    assert moved.classifier.is_finetuned
    assert Path(str(moved.classifier.encoder.weights)).parent == (tmp_path / "elsewhere" / "model").resolve()
    scored = moved.predict(drawn.images)
    rows = pq.read_table(moved.folder / "predictions.parquet").to_pylist()
    stored = {(row["image"], row["label"]): row["probability"] for row in rows}
    for image, row in zip(scored.images, scored.probabilities, strict=True):
        for label, probability in zip(scored.names, row, strict=True):
            assert stored[image, label] == np.float32(probability)
    assert read_json(moved.folder / "model" / "model.json")["encoder"]["weights"] == "encoder.safetensors"


@pytest.mark.slow
def test_a_run_learns_from_views_of_unlabelled_images(drawn: Drawn, tmp_path: Path) -> None:
    train = {"regime": "finetune", "targets": "fixmatch", "epochs": 2, "batch": 16}
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", encoder=SMALL, train=train)
    facts = read_json(run.folder / "steps" / "train.json")
    manifest = Manifest.load(run.folder / "manifest.parquet")
    assert facts["images"] == (manifest.splits != "test").sum()  # the unlabelled ones too
    assert read_json(run.folder / "metrics.json")["splits"]["test"]["systems"]["classifier"]["mAP"] > 0


def test_weights_from_a_file_travel_with_the_run(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save(timm.create_model(SMALL["name"]).state_dict(), "weights.pth")
    Path("vectors.txt").write_text("".join(f"{name} {number} 1\n" for number, name in enumerate(NAMES)))
    encoder = {**SMALL, "weights": "weights.pth"}
    quick_fit(drawn.images, drawn.labels, tmp_path / "run", encoder=encoder, model={"word_vectors": "vectors.txt"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir("here")
    assert run_job(Job.load(tmp_path / "run", Console(quiet=True))) == []
    (tmp_path / "weights.pth").unlink()
    moved = Run((tmp_path / "run").rename(tmp_path / "elsewhere"))
    assert not moved.classifier.is_finetuned
    rows = pq.read_table(moved.folder / "predictions.parquet").to_pylist()
    stored = {row["label"]: row["probability"] for row in rows if row["image"] == "003.png"}
    scored = moved.predict(drawn.images / "003.png")
    for label, probability in zip(scored.names, scored.probabilities[0], strict=True):
        assert stored[label] == pytest.approx(probability, abs=1e-5)


def spread_anew(run: Run, stage: str) -> Path:
    return run.folder / "checkpoints" / f"{stage}-2" / "propagated.npz"


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["frozen", "finetune"])
def test_rounds_spread_labels_over_what_the_network_sees(regime: str, drawn: Drawn, tmp_path: Path) -> None:
    train = {"regime": regime, "rounds": 2, "epochs": 2}
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", encoder=SMALL, train=train)
    first, second = run.evaluate()["rounds"]
    assert (first["round"], second["round"]) == (1, 2)
    assert {"share", "pseudo_positive", "propagation_val_mAP", "val_mAP"} <= second.keys()
    lines = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    assert [(line["round"], line["epoch"]) for line in lines] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    for stage in ("choice", "final"):
        before, after = np.load(run.folder / "graph" / f"{stage}.npz"), np.load(spread_anew(run, stage))
        assert before.files == after.files
        np.testing.assert_array_equal(before["pool"], after["pool"])
        assert not np.array_equal(before["probabilities"], after["probabilities"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign", ["check/manifest.parquet", "steps/embed.json", "checkpoints/choice/last.pt", "metrics.json"]
)
def test_a_real_command_is_killed_when_a_file_appears(sign: str, drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    changes = (f"{section}.{key}={value}" for section, keys in SETTINGS.items() for key, value in keys.items())
    words = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-c", "from tagweave.cli import main; main()", "fit", drawn.images, "-l", drawn.labels]
    command += ["-o", tmp_path / "run", "--preset", "tiny", "-q", *words]
    # The bits of a model belong to a number of threads.
    single = {**os.environ, "TAGWEAVE_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=single, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "run" / sign).exists():
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -9
    subprocess.run(command, env=single, check=True, stdout=subprocess.DEVNULL)
    assert_same_results(tmp_path / "run", finished.folder)
