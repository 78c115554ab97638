"""What is said of a network: the paper's own numbers, and totals that are those of the modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagweave.config import build_config
from tagweave.model.word_vectors import vector_width
from tagweave.seeing.network import Part, describe_config

SMALL = "encoder.size=64"  # fewer pixels, the same parameters


def parts_of(preset: str, *changes: str, labels: int = 20) -> dict[str, Part]:
    return {part.name: part for part in describe_config(build_config(preset, changes=[SMALL, *changes]), labels)}


def test_the_papers_network_has_the_papers_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "glove.npz", names=np.array(["a"]), vectors=np.zeros((1, 300), dtype=np.float32))
    parts = parts_of("paper", f"model.word_vectors={tmp_path / 'glove.npz'}")
    assert parts["encoder vgg16_bn"] == Part("encoder vgg16_bn", "64 x 64 px, 13 convolutions", 14_723_136)
    assert parts["map of stage 1"].shape == "256 x 16 x 16, stride 4"
    assert parts["map of stage 2"].shape == "512 x 8 x 8, stride 8"
    assert parts["map of stage 3"].shape == "512 x 4 x 4, stride 16"
    convolutions = parts["2 convolutions, each with pooling"]
    assert convolutions.shape == "512 x 512 x 3 x 3 and 512 x 512 x 3 x 3"
    assert convolutions.parameters == 2 * (512 * 512 * 9 + 2 * 512)
    assert parts["dense to g"].shape == "512 -> 512"
    assert parts["label GCN"].shape == "20 labels, 300 -> 1024 -> 2048"
    assert parts["label GCN"].parameters == 300 * 1024 + 1024 * 2048
    assert parts["MFB"].shape == "F 1536, m 358, g 2: 179 wide"
    assert parts["MFB"].parameters == 358 * 1536 + 358 * 2048 + 179 + 1
    assert parts["3 classifiers of stages"].parameters == 3 * (512 * 20 + 20)
    assert "offset per label" not in parts


def test_the_papers_training_has_the_papers_numbers() -> None:
    config = build_config("paper")
    assert (config.encoder.size, config.encoder.map_side) == (448, 112)
    train = config.train
    assert (train.optimiser, train.learning_rate, train.weight_decay) == ("sgd", 0.001, 1e-4)
    assert (train.batch, train.epochs, train.clip, train.loss) == (32, 25, 10.0, "weighted_bce")


@pytest.mark.parametrize("changes", [(), ("model.fusion=linear", "model.attention=false"), ("model.fusion=none",)])
def test_parts_add_up(changes: tuple[str, ...]) -> None:
    parts = parts_of("tiny", *changes, labels=7)
    whole, head = parts.pop("in all"), parts.pop("head in all")
    assert sum(part.parameters for part in parts.values()) == whole.parameters
    assert whole.parameters - head.parameters == parts["encoder efficientnet_lite0"].parameters


def test_widths_of_word_vectors(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("sea 1 2 3\nsky 4 5 6\n")
    found = [vector_width(source, 7) for source in ("glove50", "random", "one-hot", str(tmp_path / "words.txt"))]
    assert found == [50, 50, 7, 3]
