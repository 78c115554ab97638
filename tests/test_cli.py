"""The command line: exit codes, texts, and what goes to which stream."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drawn import NAMES, SETTINGS, Drawn, write_list
from tagweave import __version__, cli
from tagweave.api import Run
from tagweave.runs import read_json

Command = Callable[..., Any]
COMMANDS = (
    "fit", "check", "embed", "propagate", "train", "evaluate", "report", "demo", "predict", "suggest", "audit",
    "review", "export", "serve", "attention", "plots", "describe", "convert", "data",
)  # fmt: skip
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "onnxruntime",
    "faiss",
    "matplotlib",
    "sklearn",
    "numba",
    "scipy",
    "pyarrow",
    "numpy",
}
# The settings of ``quick_fit``, as a person writes them.
CHANGES = (f"{section}.{key}={value}" for section, keys in SETTINGS.items() for key, value in keys.items())
QUICK = ("--preset", "tiny", *(word for change in CHANGES for word in ("--set", change)))


def test_help_loads_nothing_heavy() -> None:
    code = "import sys\nfrom tagweave.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit: pass\n" + (
        "print('loaded:', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Few labels in" in done.stdout
    assert not HEAVY & set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tagweave: Command) -> None:
    said = tagweave(command, "--help")
    assert said.code == 0
    assert f"tagweave {command}" in said.out.partition("Example:")[2]


def test_the_list_of_commands_is_whole(tagweave: Command) -> None:
    assert {info.name or info.callback.__name__ for info in cli.app.registered_commands if info.callback} == set(
        COMMANDS
    )
    said = tagweave("--help")
    assert all(f" {command} " in said.out for command in COMMANDS)


def test_version(tagweave: Command) -> None:
    said = tagweave("--version")
    assert (said.code, said.out) == (0, f"{__version__}\n")


def test_wrong_words_end_with_2(tagweave: Command) -> None:
    assert tagweave("fitt").code == 2
    assert tagweave("fit", "--no-such-option").code == 2


@pytest.fixture(scope="module")
def done(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that commands of this file may come back to."""
    return Path(shutil.copytree(finished.folder, tmp_path_factory.mktemp("cli") / "run"))


def test_fit_tells_the_measures_and_where_things_lie(drawn: Drawn, done: Path, tagweave: Command) -> None:
    said = tagweave("fit", drawn.images, "-l", drawn.labels, "-o", done, *QUICK)
    assert said.code == 0
    assert "held-out images (test), mAP over 4 labels with positives" in said.out
    assert all(name in said.out for name in NAMES)
    assert f"Report: {done / 'report.html'}\nModel:  {done / 'model'}\nLabels: {done / 'labels.parquet'}\n" in said.out
    assert "check: done before, nothing changed" in said.err
    assert read_json(done / "provenance.json")["command"].startswith("tagweave fit ")


def test_a_network_alone_is_trained_told_and_measured(drawn: Drawn, tagweave: Command, tmp_path: Path) -> None:
    words = ("-o", tmp_path / "r", *QUICK, "--set", "train.shares=[1,0,0]")
    said = tagweave("fit", drawn.images, "-l", drawn.labels, *words)
    assert said.code == 0, said.err
    table = said.out.split("Report:")[0]
    assert "classifier: the" in table
    assert "places" not in table
    assert "mixed of" not in table


def test_quiet_prints_results_only(drawn: Drawn, done: Path, tagweave: Command) -> None:
    said = tagweave("fit", drawn.images, "-l", drawn.labels, "-o", done, *QUICK, "--quiet")
    assert (said.code, said.err) == (0, "")
    assert "mAP" in said.out
    assert "Report:" not in said.out


def test_json_is_all_there_is_on_standard_output(drawn: Drawn, done: Path, tagweave: Command) -> None:
    said = tagweave("fit", drawn.images, "-l", drawn.labels, "-o", done, *QUICK, "--json")
    found = json.loads(said.out)
    assert found.keys() == {"run", "main", "splits", "propagation"}
    assert found["run"] == str(done)
    assert 0 <= found["splits"]["test"]["systems"]["network"]["mAP"] <= 1
    for step in ("check", "embed", "propagate", "train"):
        assert json.loads(tagweave(step, done, "--json", "-q").out)["run"] == str(done)
    assert json.loads(tagweave("evaluate", done, "--json").out)["main"] == "classifier"


def test_steps_tell_what_they_did(done: Path, tagweave: Command) -> None:
    said = tagweave("check", done)
    assert said.out.splitlines()[0] == f"check: done in {done}"
    assert "  images: 60" in said.out
    assert "  pseudo positive: " in tagweave("propagate", done).out
    assert "  best val mAP: " in tagweave("train", done).out


def test_a_run_folder_is_continued_without_other_words(done: Path, drawn: Drawn, tagweave: Command) -> None:
    said = tagweave("evaluate", done)
    assert said.code == 0
    assert said.err.count("nothing changed") == 5
    for words in (("-l", drawn.labels), ("--preset", "fast"), ("--seed", "1"), ("-o", "x"), ("--label-words", "a=b")):
        refused = tagweave("evaluate", done, *words)
        assert refused.code == 2
        assert f"error: {done} is a run folder and keeps its labels and settings" in refused.err


def test_the_report_is_written_again(run_copy: Run, tagweave: Command) -> None:
    page = run_copy.folder / "report.html"
    page.write_text("old")
    assert tagweave("report", run_copy.folder).code == 0
    assert len(page.read_text()) > 1000
    page.unlink()
    said = tagweave("report", run_copy.folder)
    assert said.code == 0
    assert f"Report: {page}" in said.out
    assert page.is_file()


def test_runs_are_compared_in_one_page(done: Path, tagweave: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(done, other)
    (other / "config.toml").write_text((done / "config.toml").read_text().replace("epochs = 3", "epochs = 9"))
    said = tagweave("report", done, other, "-o", tmp_path)
    assert said.code == 0, said.err
    assert "train.epochs: 3 | 9" in said.out
    assert "±0.0" in said.out
    assert f"Report: {tmp_path / 'comparison.html'}" in said.out
    assert (tmp_path / "comparison.html").is_file()
    told = json.loads(tagweave("report", done, other, "--json", "-o", tmp_path).out)
    assert (list(told["runs"]), told["same_images"]) == (["run", "other"], True)
    assert "Expected --out with two or more" in tagweave("report", done, "-o", "x").err
    assert "Expected a run folder (with job.json)" in tagweave("report", tmp_path).err


def test_names_with_brackets_and_colons_are_printed_as_they_are(tagweave: Command, drawn: Drawn) -> None:
    said = tagweave("check", drawn.images, "-l", drawn.labels, "-o", "[bold]:cat:", "-q")
    assert said.out.splitlines()[0] == "check: done in [bold]:cat:"


# --- predict ----------------------------------------------------------------------------------------------------------


def test_predict_prints_labels(finished: Run, drawn: Drawn, tagweave: Command) -> None:
    said = tagweave("predict", finished.folder, drawn.images / "003.png")
    assert said.code == 0
    image, labels = said.out.rstrip("\n").split("\t")
    assert image == "003.png"
    assert set(filter(None, labels.split(";"))) <= set(NAMES)


def test_predict_json(finished: Run, drawn: Drawn, tagweave: Command) -> None:
    found = json.loads(tagweave("predict", finished.folder, drawn.images, "--json").out)
    assert len(found) == 60
    assert found[0].keys() == {"image", "labels", "probabilities"}
    assert list(found[0]["probabilities"]) == list(NAMES)


def test_predict_to_a_file(finished: Run, drawn: Drawn, tagweave: Command) -> None:
    said = tagweave("predict", finished.folder, drawn.images, "--out", "p.csv")
    assert (said.code, said.out) == (0, "")
    assert "60 images scored, written to p.csv" in said.err
    assert len(Path("p.csv").read_text().splitlines()) == 61
    Path("p.csv").write_text("image,labels\n")
    again = tagweave("predict", finished.folder, drawn.images, "--out", "p.csv")
    assert again.code == 2
    assert again.err.startswith(
        "error: Expected a new file to write to, but p.csv is there, perhaps somebody's own; give"
    )
    assert Path("p.csv").read_text() == "image,labels\n"
    assert tagweave("predict", finished.folder, drawn.images / "003.png", "--out", "p.csv", "--overwrite").code == 0
    assert len(Path("p.csv").read_text().splitlines()) == 2


def test_predict_names_what_it_could_not_read(finished: Run, drawn: Drawn, tagweave: Command) -> None:
    Path("new").mkdir()
    Path("new/a.png").touch()
    said = tagweave("predict", finished.folder, "new", "-q")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: a.png: is empty (0 bytes); nothing is left to score\n"
    shutil.copy(drawn.images / "000.png", "new/b.png")
    said = tagweave("predict", finished.folder, "new", "-q")
    assert said.code == 0
    assert said.out.startswith("b.png\t")
    assert said.err == "not scored: a.png: is empty (0 bytes)\n"


# --- bad input --------------------------------------------------------------------------------------------------------


def refused(tagweave: Command, *words: Any) -> list[str]:
    """Return the errors of a command that must end with 2 and write nothing."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    said = tagweave(*words)
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert not Path("run").exists()
    assert not Path("runs").exists()
    return [line.removeprefix("error: ") for line in said.err.splitlines() if line.startswith("error: ")]


def test_ten_errors_are_told_at_once(drawn: Drawn, tagweave: Command) -> None:
    rows = [f"{number:03d}.png,sea" for number in range(20)]
    for place in range(0, 20, 2):
        rows[place] = f"none{place}.png,sea"
    Path("labels.csv").write_text("\n".join(["image,labels", *rows]))
    errors = refused(tagweave, "fit", drawn.images, "-l", "labels.csv", "-o", "run")
    assert len(errors) == 10
    for place, error in zip(range(0, 20, 2), errors, strict=True):
        assert error.startswith(f"labels.csv line {place + 2}: image 'none{place}.png' is not in pictures")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("image,labels\n../out.png,sea\n", "labels.csv line 2: expected a path inside the image folder, but got"),
        ("image,labels\n000.png,sea\n001.png,Sea\n", "label 'Sea' differs only by case or spaces from 'sea'"),
        ("image,labels\n", "Expected labelled images to train on, but labels.csv gives labels to 0 in train"),
        ("image,labels\n000.png,\n001.png,\n", "Expected labelled images to train on, but labels.csv gives labels to"),
        ("image,labels,split\n000.png,sea,test\n", "Expected labelled images to train on, but labels.csv gives labels"),
        ("", "labels.csv: expected a header and rows, but the file is empty."),
        ("image,sea\n000.png,2\n", "labels.csv line 2: column 'sea': expected 1, 0 or blank for unknown, but got '2'"),
        (
            "image,labels\n000.png,sea;xqzjwv\n",
            "Expected a word vector for every label, but glove50 has none for: xqzjwv.",
        ),
    ],
)
def test_bad_label_files(content: str, text: str, drawn: Drawn, tagweave: Command) -> None:
    Path("labels.csv").write_text(content)
    (error,) = refused(tagweave, "fit", drawn.images, "-l", "labels.csv", "-o", "run")
    assert text in error


def test_a_word_without_a_vector_and_the_ways_out(drawn: Drawn, tagweave: Command) -> None:
    Path("labels.csv").write_text("image,labels\n000.png,sea;xqzjwv\n001.png,xqzjwv\n002.png,sea\n")
    (error,) = refused(tagweave, "check", drawn.images, "-l", "labels.csv", "-o", "run")
    assert '--label-words "xqzjwv=some known words"' in error
    assert "--set model.word_vectors=one-hot" in error
    words = ("check", drawn.images, "-l", "labels.csv", "-q")
    assert tagweave(*words, "-o", "one", "--label-words", "xqzjwv=desert road").code == 0
    assert tagweave(*words, "-o", "two", "--set", "model.word_vectors=one-hot").code == 0


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (("--head", "average_pool"), False),
        (("--set", "model.fusion=linear"), False),
        (("--head", "ml_gcn", "--set", "model.fusion=none"), True),
    ],
)
def test_words_are_wanted_where_the_head_uses_them(
    settings: tuple[str, ...], wanted: bool, drawn: Drawn, tagweave: Command
) -> None:
    Path("labels.csv").write_text("image,labels\n000.png,xqzjwv\n001.png,xqzjwv\n")
    said = tagweave("check", drawn.images, "-l", "labels.csv", "-o", "run", *settings)
    assert ("none for: xqzjwv" in said.err) is wanted
    assert said.code == (2 if wanted else 0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--preset", "fats"), "Expected preset to be one of fast, best, tiny, paper, paper-frozen, but got 'fats'."),
        (("--set", "train.epoch=3"), "train.epoch: there is no such key; did you mean 'train.epochs'?"),
        (("--set", "epochs"), "Expected --set section.key=value, but got 'epochs'."),
        (("--set", "train.epochs=many"), "train.epochs: input should be a valid integer"),
        (("--config", "none.toml"), "Expected a configuration file at none.toml, but got: No such file or directory."),
        (("--label-words", "sea"), 'Expected --label-words "label=other words", but got "sea".'),
        (("--format", "coc"), "Expected a label format of csv-list, csv-onehot, parquet, folders,"),
        (("--label-budget", "500"), "Expected a label budget of at most 37, the labelled images, but got 500.0."),
        (("--seed", "-1"), "seed: input should be greater than or equal to 0, but got -1."),
    ],
)
def test_bad_settings(words: tuple[str, ...], text: str, drawn: Drawn, tagweave: Command) -> None:
    (error,) = refused(tagweave, "fit", drawn.images, "-l", drawn.labels, "-o", "run", *words)
    assert text in error


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("fit",), "Expected a folder of images (or --voc FOLDER), but got none; see tagweave fit --help."),
        (("fit", "nowhere", "-l", "x.csv"), "Expected a label file or folder at"),
        (("fit", "here", "--resume-labels", "none"), "Expected a reviewed run folder (with job.json) at none"),
        (("embed", "nowhere"), "nowhere, but nothing is there."),
        (("train", "runs/nowhere"), "Expected labels to learn from, but got none; give some with --labels FILE"),
        (("fit", "--voc", "nowhere"), "nowhere, but nothing is there."),
        (
            ("fit", "--voc", "v", "-l", "x.csv"),
            "Expected --voc, which brings its own labels, or --labels, but got both",
        ),
        (
            ("predict", "nowhere", "."),
            "Expected a trained model in nowhere/model, but there is none; run 'tagweave fit'",
        ),
    ],
)
def test_nothing_there(words: tuple[str, ...], text: str, tagweave: Command) -> None:
    (error,) = refused(tagweave, *words)
    assert text in error


def test_learning_without_labels_is_refused_before_any_work(drawn: Drawn, tagweave: Command) -> None:
    (error,) = refused(tagweave, "fit", drawn.images, "-o", "run")
    assert error == "Expected labels to learn from, but got none; give some with --labels FILE (or --voc)."
    said = tagweave("check", drawn.images, "-o", "run")
    assert said.code == 0
    assert "60 given = 60 used + 0 quarantined" in said.err
    said = tagweave("check", drawn.images, "-l", drawn.labels, "-o", "run")
    assert "check: labels.csv is read as csv-list" in said.err
    again = tagweave("check", drawn.images, "-l", drawn.labels, "-o", "run")
    assert "check: done before, nothing changed\ncheck: 60 given = 60 used + 0 quarantined" in again.err
    assert "check: labels.csv is read as csv-list" in again.err
    assert (
        "is read as" not in tagweave("check", drawn.images, "-l", drawn.labels, "-o", "b", "--format", "csv-list").err
    )


def test_too_few_images(drawn: Drawn, tagweave: Command) -> None:
    Path("few").mkdir()
    for name in ("000.png", "001.png"):
        shutil.copy(drawn.images / name, "few")
    labels = write_list(Path("labels.csv"), ["000.png", "001.png"], drawn.values[:2])
    (error,) = refused(tagweave, "fit", "few", "-l", labels, "-o", "run")
    assert "Expected at least 3 usable images in" in error


def test_an_unknown_output_form_is_told_before_the_work(finished: Run, drawn: Drawn, tagweave: Command) -> None:
    said = tagweave("predict", finished.folder, drawn.images, "--out", "p.xls")
    assert said.code == 2
    endings = ".csv, .jsonl, .parquet, .coco.json, .label-studio.json, .fiftyone.json"
    assert said.err == f"error: Expected an output file ending in {endings}, but got 'p.xls'.\n"


def test_strict_stops_at_bad_images(drawn: Drawn, tagweave: Command) -> None:
    images = Path(shutil.copytree(drawn.images, "pictures"))
    (images / "010.png").write_bytes(b"")
    words = ("check", images, "-l", drawn.labels, "-o", "run")
    assert refused(tagweave, *words, "--strict") == ["010.png: is empty (0 bytes) (listed in labels.csv line 12)"]
    assert tagweave(*words).code == 0
    assert Path("run/quarantine.csv").read_text().splitlines()[1].startswith("010.png,is empty")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (FloatingPointError("The loss is nan."), 1, "error: The loss is nan.\n"),
        (OSError("No space"), 1, "error: No space\n"),
        (MemoryError(), 1, "error: MemoryError\n"),
        (ValueError("Odd"), 1, "error: Odd\n"),
        (zipfile.BadZipFile("Bad"), 1, "error: Bad\n"),
        (KeyboardInterrupt(), 130, "continues where it stopped"),
    ],
)
def test_other_ends(
    error: BaseException, code: int, text: str, drawn: Drawn, tagweave: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("tagweave.api.fit", fail)
    said = tagweave("fit", drawn.images)
    assert said.code == code
    assert text in said.err


def test_damaged_and_missing_files_of_a_run_are_told(run_copy: Run, tagweave: Command) -> None:
    (run_copy.folder / "manifest.parquet").write_text("no table")
    said = tagweave("audit", run_copy.folder)
    assert said.code == 2
    assert said.err.startswith(f"error: Expected the images and labels of a run in {run_copy.folder}, but got: ")
    (run_copy.folder / "job.json").write_text("{")
    said = tagweave("report", run_copy.folder)
    assert said.code == 2
    assert said.err.startswith(f"error: Expected JSON in {run_copy.folder / 'job.json'}, but got: Expecting")
    (run_copy.folder / "job.json").write_text("[]")
    assert "Expected images, labels and format in" in tagweave("report", run_copy.folder).err
    said = tagweave("review", "typo", "--export", "x.csv")
    assert said.code == 2
    assert said.err.startswith(
        "error: Expected a run folder (with given.npz and manifest.parquet) at typo, but there is"
    )
    assert not Path("x.csv").exists()


@pytest.mark.slow
def test_the_demo_runs(tagweave: Command) -> None:
    said = tagweave("demo", "--images", "120", "--json", "-q")
    assert said.code == 0
    assert json.loads(said.out)["run"] == "runs/demo"
    assert Path("runs/demo/report.html").is_file()
