"""The commands on a few drawn pictures: options, files, errors, going on where a run stopped."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from drawn import Drawn, draw, write_list
from tagweave.benchmark.commands import app
from tagweave.errors import InputError
from tagweave.peers.registry import HEADS

SMALL = [word for change in ("encoder.size=64", "encoder.map_side=4", "graph.k=5") for word in ("--set", change)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAGWEAVE_THREADS", "1")
    monkeypatch.chdir(tmp_path)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def listed(drawn: Drawn, tmp_path: Path) -> list[str | Path]:
    """The drawn collection with a third of it as test, as options."""
    files = [f"{number:03d}.png" for number in range(60)]
    labels = write_list(tmp_path / "labels.csv", files, drawn.values, ["train"] * 40 + ["test"] * 20)
    return ["--data", drawn.images, "--labels", labels]


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """Sixteen small pictures of two classes as CIFAR-10's Parquet file has them, sorted by class."""
    rows: dict[str, list[object]] = {"split": [], "label": [], "jpeg": []}
    for number, name in enumerate(6 * ["moon"] + 6 * ["sea"] + 2 * ["moon"] + 2 * ["sea"]):
        held = io.BytesIO()
        draw([name], number).resize((32, 32)).save(held, "JPEG")
        rows["split"].append("train" if number < 12 else "test")
        rows["label"].append(name)
        rows["jpeg"].append(held.getvalue())
    pq.write_table(pa.table(rows), tmp_path / "cifar10.parquet")
    return tmp_path / "cifar10.parquet"


def test_propagation_writes_tables_and_goes_on_where_it_stopped(listed: list[str | Path], tmp_path: Path) -> None:
    words = ["propagation", *listed, "--budgets", "0.5", "--seeds", "1", "--methods", "knn,ridge", *SMALL]
    done = run(*words, "--out", "out", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [row["method"] for row in document["rows"]] == ["knn", "ridge"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "cells", "inductive.csv", "inductive.json", "inductive.md",
    }  # fmt: skip
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}
    again = run(*words, "--out", "out", "--json")
    assert json.loads(again.stdout) == document
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}


def test_propagation_names_its_folder_and_the_protocol(listed: list[str | Path], tmp_path: Path) -> None:
    words = ["--budgets", "20", "--seeds", "1", "--methods", "graph", "--transductive", *SMALL]
    done = run("propagation", *listed, *words)
    assert done.exit_code == 0, done.output
    assert "transductive" in done.stdout
    assert (tmp_path / "runs" / "benchmark-pictures" / "transductive.md").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["propagation", "--methods", "knn,nope"], "Expected methods among all, label-spreading"),
        (["propagation", "--budgets", "some"], "Expected label budgets as shares or numbers"),
        (["propagation"], "Expected --data FOLDER with --labels FILE, or --voc FOLDER"),
        (["propagation", "--data", "photos", "--set", "graph.q=1"], "graph.q: there is no such key"),
        (["t7", "--data", "nowhere"], "Expected CIFAR-10 as a Parquet file at nowhere, but nothing is there"),
        (["t8"], "Expected --data FOLDER with --labels FILE, or --voc FOLDER"),
        (["t8", "--voc", "nowhere"], "Expected a label file"),
        (["t1", "--search", "big"], "Expected --search small or none, but got 'big'"),
        (["few-labels", "--heads", "mscnn"], "Expected heads among all, default, mscnn_lce"),
        (["t4"], "Expected --data FOLDER with --labels FILE, or --voc FOLDER"),
    ],
)
def test_bad_input_says_what_was_expected(words: list[str], said: str) -> None:
    done = run(*words)
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(said)


def test_t7_on_a_small_file(cifar: Path, tmp_path: Path) -> None:
    done = run("t7", "--data", cifar.parent, "--sizes", "4", "--seeds", "2", "--out", "out", *SMALL)
    assert done.exit_code == 0, done.output
    assert "Table VII: CIFAR-10" in done.stdout
    assert "pool of 12 images, 4 test images" in " ".join(done.stdout.split())
    parts = list((tmp_path / "out" / "features").iterdir())
    assert len(parts) == 1
    stamp = parts[0].stat().st_mtime_ns
    fewer = run("t7", "--data", cifar, "--images", "6", "--sizes", "6", "--seeds", "1", "--out", "out", *SMALL)
    assert "pool of 6 images" in " ".join(fewer.stdout.split())
    assert parts[0].stat().st_mtime_ns == stamp


def test_t7_says_what_its_file_lacks(cifar: Path, tmp_path: Path) -> None:
    table = pq.read_table(cifar)
    pq.write_table(table.drop_columns(["jpeg"]), tmp_path / "narrow.parquet")
    assert "Expected the columns split, label, jpeg" in str(run("t7", "--data", "narrow.parquet").exception)
    pq.write_table(table.slice(0, 12), tmp_path / "half.parquet")
    assert "Expected splits train and test" in str(run("t7", "--data", "half.parquet").exception)
    broken = table.set_column(2, "jpeg", pa.array([b"no image"] * 16))
    pq.write_table(broken, tmp_path / "broken.parquet")
    said = str(run("t7", "--data", "broken.parquet", "--out", "out", *SMALL).exception)
    assert "Expected readable images in the jpeg column, but one is not" in said


def test_features_of_a_file_are_the_encoders(cifar: Path, tmp_path: Path) -> None:
    from tagweave.benchmark.cifar import load_cifar
    from tagweave.config import build_config
    from tagweave.console import Console
    from tagweave.encoders.backbones import build_encoder
    from tagweave.encoders.extract import load_pixels
    from tagweave.encoders.runners import torch_runner

    config = build_config(changes=SMALL[1::2]).encoder
    data = load_cifar(cifar, None, config, tmp_path / "out", Console(quiet=True))
    assert data.labels.names == ("moon", "sea")
    assert data.labels.values.argmax(axis=1).tolist() == 6 * [0] + 6 * [1] + 2 * [0] + 2 * [1]
    assert data.test.sum() == 4
    encoder = build_encoder(**config.model_dump())
    first = pq.read_table(cifar)["jpeg"][0].as_py()
    record = torch_runner(encoder, "cpu")(load_pixels(first, 64)[None].copy())[0]
    np.testing.assert_allclose(data.features[0], record[-data.features.shape[1] :], rtol=5e-3, atol=5e-3)  # float16


def test_t8_on_drawn_pictures(listed: list[str | Path], tmp_path: Path) -> None:
    done = run("t8", *listed, "--budgets", "0.5", "--seeds", "1", "--out", "out", *SMALL)
    assert done.exit_code == 0, done.output
    assert "Table VIII: pictures, 20 test images, 40 in the pool" in " ".join(done.stdout.split())
    assert (tmp_path / "out" / "t8.csv").is_file()


def test_help_and_the_page_on_the_tables_have_every_command() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    said = run("--help").stdout
    for name in ("propagation", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "convergence", "few-labels"):
        assert name in said
        assert f"tagweave benchmark {name} " in page


@pytest.mark.slow
def test_t1_to_t3_read_the_same_cells(listed: list[str | Path], tmp_path: Path) -> None:
    words = [*listed, "--preset", "tiny", *SMALL, "--seeds", "1", "--heads", "mscnn_lce,default", "--out", "out"]
    fast = ["--set", "train.epochs=2", "--set", "graph.features=average", "--json", "-q"]
    done = run("t1", *words, *fast)
    assert done.exit_code == 0, done.output
    rows = {row["system"]: row for row in json.loads(done.stdout)["rows"]}
    assert set(rows) > {"mscnn_lce", "default"}
    assert rows["mscnn_lce"]["chosen"][0].startswith("lr 0.00")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}
    assert len(stamps) == 2
    assert not any((tmp_path / "out" / "work").iterdir())
    for table in ("t2", "t3"):
        assert run(table, *words, *fast).exit_code == 0
        assert (tmp_path / "out" / f"{table}.svg").is_file()
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}


def test_a_terminal_of_80_columns_holds_the_tables(
    listed: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = [*listed, "--budgets", "0.5", "--seeds", "1", "--methods", "knn,label-propagation", *SMALL, "--out", "out"]
    said = run("propagation", *words, "-q").stdout
    assert all(len(line) <= 80 for line in said.splitlines() if line[:1] in "┏┃┡│└")
    assert "label-propagation" in said
    assert "in the files also: protocol, P@5, R@5, N+, search s, MiB, chosen" in said


@pytest.mark.slow
def test_convergence_goes_epoch_by_epoch(listed: list[str | Path], tmp_path: Path) -> None:
    if "ml_gcn" not in HEADS:
        pytest.skip("ml_gcn is not registered")
    words = ["--preset", "tiny", *SMALL, "--seeds", "1", "--set", "train.epochs=2", "--set", "graph.features=average"]
    done = run("convergence", *listed, *words, "--out", "out", "--json", "-q")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [(row["system"], row["epoch"]) for row in rows] == [
        (name, epoch) for name in ("MSCNN-LCE-MIC", "ML-GCN") for epoch in (1, 2)
    ]
