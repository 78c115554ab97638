"""The benchmarks measure what they say, on sizes that take a moment; every key they print is explained."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.peers.registry import HEADS

ROOT = Path(__file__).parent.parent
SCRIPTS = ("measure", "embedding", "propagation", "training", "heads", "run")


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """Import the scripts as they import each other: from their own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        for name in SCRIPTS:
            patch.delitem(sys.modules, name, raising=False)  # folders of tests have some of these names
        yield {name: importlib.import_module(name) for name in SCRIPTS}
    for name in SCRIPTS:
        del sys.modules[name]


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return build_encoder("test_resnet", size=64, weights="random", map_side=4)


@pytest.fixture(scope="module")
def document(
    scripts: dict[str, ModuleType], tiny: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Run everything at its smallest, in this process where the scripts start new ones."""
    embedding, propagation, training, heads, run = (scripts[name] for name in SCRIPTS[1:])
    session = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWEAVE_DATA", str(session))  # holds no photographs
        patch.setattr(embedding, "run_script", lambda *_: embedding.measure_extract(session, 2, tiny))
        patch.setattr(propagation, "run_part", lambda part, nodes, k, *_: propagation.PARTS[part](nodes, k))
        patch.setattr(heads, "run_head", heads.measure_head)
        parts = {
            "embedding": embedding.compare(embedding.Size(4, 2, (1, 2), 1), tiny),
            "propagation": propagation.compare(propagation.Size(((200, 20),), (200, 20))),
            "training": training.compare(training.Size(12, (3,), 1)),
            "heads": heads.compare(heads.Size((3,), (2,), 1)),
        }
        patch.setattr(run, "run_script", lambda name, *_: parts[name])
        yield run.run_all(quick=True)


def keys_of(content: Any) -> Iterator[str]:
    """Every key of a document, at any depth, but package names and batch sizes, which speak for themselves."""
    if isinstance(content, list):
        for item in content:
            yield from keys_of(item)
    if isinstance(content, dict):
        yield from content
        for key, value in content.items():
            yield from () if key in ("packages", "contiguous", "channels_last") else keys_of(value)


def numbers_of(content: Any) -> Iterator[float]:
    if isinstance(content, int | float):
        yield content
    elif isinstance(content, list | dict):
        for item in content.values() if isinstance(content, dict) else content:
            yield from numbers_of(item)


def test_the_document_says_where_and_how(document: dict[str, Any]) -> None:
    assert list(document)[:3] == ["command", "started", "machine"]
    assert document["command"] == "python benchmarks/run.py --quick"
    assert document["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert document["machine"]["packages"]["numpy"] == np.__version__
    scripts = ("embedding", "propagation", "training", "heads")
    assert list(document["load_average"]) == ["before", *(f"after_{script}" for script in scripts)]
    assert json.loads(json.dumps(document)) == document


def test_everything_promised_was_measured(document: dict[str, Any]) -> None:
    rates = document["embedding"]["images_per_second"]
    assert set(rates) == {"inference", "extract", "eager", "channels_last", "eager_by_batch"}
    assert {layout: set(by_batch) for layout, by_batch in rates["eager_by_batch"].items()} == {
        "contiguous": {"1", "2"},
        "channels_last": {"1", "2"},
    }
    (size,) = document["propagation"]["sizes"]
    assert {"neighbours", "strength_wcn", "totals", "propagate"} < set(size["seconds"]) == set(size["cpu_seconds"])
    assert (size["nodes"], size["k"], size["recall"]) == (200, 20, 1.0)
    assert {name.split("/")[0] for name in document["propagation"]["label_spreading"]["ratio"]} == {
        "all_labels",
        "all_labels_graph_kept",
    }
    (head,) = document["training"]["sizes"]
    assert (head["labels"], head["images"], head["batch"]) == (3, 12, 64)
    assert [case["head"] for case in document["heads"]["cases"]] == list(HEADS)
    for part in ("embedding", "propagation", "training", "heads"):
        assert all(np.isfinite(number) and number >= 0 for number in numbers_of(document[part]))


def test_derived_figures_follow_from_the_measured(document: dict[str, Any]) -> None:
    embedding, spreading = document["embedding"], document["propagation"]["label_spreading"]
    rates, seconds = embedding["images_per_second"], spreading["seconds"]
    assert rates["eager"] == max(rates["eager_by_batch"]["contiguous"].values())
    assert rates["channels_last"] == max(rates["eager_by_batch"]["channels_last"].values())
    assert embedding["ratio"]["extract/eager"] == pytest.approx(rates["extract"] / rates["eager"], abs=0.01)
    assert seconds["all_labels"] == pytest.approx(20 * seconds["one_label"], abs=1e-3)
    (size,) = document["propagation"]["sizes"]
    laps, ours = size["seconds"], size["seconds"]["features_to_totals"]
    parts = ("unit_features", "neighbours", "affinity", "strength_wcn", "normalise")
    assert ours == pytest.approx(sum(laps[part] for part in parts) + laps["totals"], abs=1e-3)
    assert laps["features_to_probabilities"] == pytest.approx(ours - laps["totals"] + laps["propagate"], abs=1e-3)
    assert size["microseconds_per_node"]["wall"] == pytest.approx(1e6 * ours / 200, abs=0.01)
    assert spreading["ratio"]["all_labels/seconds"] == pytest.approx(seconds["all_labels"] / ours, abs=0.01)
    (head,) = document["training"]["sizes"]
    assert head["images_per_second"] == pytest.approx(12 / head["seconds_per_epoch"], rel=0.05)


def test_every_key_is_explained(document: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page))
    assert sorted(set(keys_of(document)) - explained) == []


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_layouts_reach_the_first_convolution(scripts: dict[str, ModuleType], tiny: Encoder, layout: str) -> None:
    import torch

    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    module, given = scripts["embedding"].laid_out(tiny, pixels, layout)
    assert (given.numpy() == pixels).all()
    seen: list[torch.Tensor] = []
    first = next(part for part in module.modules() if isinstance(part, torch.nn.Conv2d))
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        module(given[1:])
    hook.remove()
    assert seen[0].is_contiguous() is (layout == "contiguous")
    assert seen[0].is_contiguous(memory_format=torch.channels_last) is (layout == "channels_last")


def test_the_collection_is_what_it_says(scripts: dict[str, ModuleType]) -> None:
    features, labels = scripts["propagation"].clustered_collection(3000)
    again, _ = scripts["propagation"].clustered_collection(3000)
    assert (features == again).all()
    assert features.shape == (3000, 128)
    assert labels.labelled.sum() == 300
    assert labels.known[labels.labelled].all()
    deviation = features.std(axis=0)
    assert deviation[0] / deviation[99] == pytest.approx(10.0, rel=0.5)  # the spectrum falls with the square root
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosine = np.sort(unit @ unit.T, axis=1)
    assert 0.4 < np.median(cosine[:, -50]) < 0.8  # within a cluster
    assert np.median(cosine) == pytest.approx(0.0, abs=0.2)


def test_the_share_of_found_neighbours_is_checked_by_itself(scripts: dict[str, ModuleType]) -> None:
    from tagweave.graph.neighbours import Neighbours, neighbours, unit_features

    features, _ = scripts["propagation"].clustered_collection(300)
    unit = unit_features(features, features.mean(axis=0))
    near, wide = neighbours(unit, 10), neighbours(unit, 20)
    assert scripts["propagation"].found_share(unit, near) == 1.0
    missed = Neighbours(
        np.hstack([near.index[:, :6], wide.index[:, 16:]]), np.hstack([near.similarity[:, :6], wide.similarity[:, 16:]])
    )
    assert scripts["propagation"].found_share(unit, missed) == 0.6


def test_seconds_are_medians_of_runs_in_turn(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []
    ticks = iter([0, 1, 0, 10, 0, 5, 0, 30, 0, 2, 0, 20])
    monkeypatch.setattr(scripts["measure"].time, "perf_counter", lambda: next(ticks))
    works = {name: (lambda name=name: order.append(name)) for name in "ab"}
    assert scripts["measure"].interleaved_seconds(works, 3) == {"a": 2, "b": 20}
    assert order == list("ababab")
    assert capsys.readouterr().out == ""


def test_laps_keep_both_clocks_and_add_up(scripts: dict[str, ModuleType]) -> None:
    laps = scripts["measure"].Laps()
    assert laps.time("sum", sum, range(1_000_000)) == 499_999_500_000
    laps.time("rest", time.sleep, 0.05)
    assert laps.cpu_seconds["rest"] < 0.04 < laps.seconds["rest"]
    laps.add_up("both", ["sum", "rest", "rest"])
    for each in (laps.seconds, laps.cpu_seconds):
        assert each["both"] == pytest.approx(each["sum"] + 2 * each["rest"], abs=1e-3)


def test_the_peak_is_the_process_s_own(scripts: dict[str, ModuleType]) -> None:
    measure = scripts["measure"]
    before = measure.peak_mib()
    held = np.ones(100 * 2**20, dtype=np.uint8)
    assert measure.peak_mib() >= min(before, len(held) / 2**20)
    code = "from measure import peak_mib; print(peak_mib())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True
    )
    assert 1 < float(done.stdout) < 60  # a bare interpreter, whatever its parent holds


@pytest.mark.bench
def test_the_quick_run_prints_one_document(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--quick", "--out", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads((tmp_path / "out.json").read_text())
    assert "finished in" in done.stderr
