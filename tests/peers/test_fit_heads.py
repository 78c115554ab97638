"""Every head of the registry goes through the training loop, and through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drawn import Drawn, quick_fit
from tagweave.config import ModelConfig, parse_config, read_toml
from tagweave.model.cooccurrence import conditional_probability
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.peers.registry import HEADS, build_head, restore_head
from tagweave.training.checkpoint import load_state, save_state
from tagweave.training.loop import score_images, train
from training import toys


@pytest.mark.parametrize("name", HEADS)
def test_trains_on_cached_records_and_is_restored(name: str, tmp_path: Path) -> None:
    source, labels = toys.toy(tmp_path / "cache")
    maps, features = source.read(np.arange(len(source)))
    facts = LabelFacts(conditional_probability(labels), labels.rates(), np.eye(3, dtype=np.float32))
    config = ModelConfig(head=name, width=16, m=16, g=2, gcn_widths=(8, 8))
    torch.manual_seed(0)
    head = build_head(config, HeadInputs.measure(toys.LAYOUT, facts, [maps], features.mean(dim=0)))
    data, validation = toys.parts(source, labels)
    history = train(head, data, validation, toys.config(), seed=0, folder=tmp_path / "run", key="k")
    assert all(np.isfinite(record["loss"]) for record in history)
    assert [record["val_mAP"] is not None for record in history] == [True] * 4
    logits = score_images(head, source)
    assert logits.shape == labels.values.shape
    assert np.isfinite(logits).all()
    head.fold()
    save_state(tmp_path / "head.safetensors", head)
    restored = restore_head(config, toys.LAYOUT, 3, load_state(tmp_path / "head.safetensors"))
    # folded once: float32 sums in another order
    np.testing.assert_allclose(score_images(restored, source), logits, atol=1e-4, rtol=1e-4)


def test_the_command_line_names_the_head(tagweave: Callable[..., Any], drawn: Drawn, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = tagweave("check", drawn.images, "--labels", drawn.labels, "--out", run, "--head", "ml_gcn")
    assert said.code == 0
    assert parse_config(read_toml(run / "config.toml")).model.head == "ml_gcn"


def test_an_unknown_head_ends_with_the_choices(tagweave: Callable[..., Any], drawn: Drawn, tmp_path: Path) -> None:
    said = tagweave("fit", drawn.images, "--labels", drawn.labels, "--out", tmp_path / "run", "--head", "resnet")
    assert said.code == 2
    assert "model.head" in said.err
    assert "'ml_gcn'" in said.err
    assert "but got 'resnet'" in said.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_the_whole_job_with_any_head(name: str, drawn: Drawn, tmp_path: Path) -> None:
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", model={"head": name})
    scored = run.predict(drawn.images)
    assert scored.probabilities.shape == drawn.values.shape
    assert np.isfinite(scored.probabilities).all()
    assert (run.folder / "report.html").is_file()
