"""Checkpoints: what is written is read, to the bit, and nothing is executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from tagweave.training.checkpoint import load_checkpoint, load_state, save_checkpoint, save_state


def test_tensors_and_plain_values_survive(tmp_path: Path) -> None:
    content = {"key": "k", "w": torch.randn(3), "progress": {"best": 0.1 + 0.2, "history": ({"a": None},), "n": 3}}
    save_checkpoint(tmp_path / "last.pt", content)
    found = load_checkpoint(tmp_path / "last.pt", "k")
    assert found is not None
    assert torch.equal(found["w"], content["w"])  # type: ignore[arg-type]
    assert found["progress"] == content["progress"]


def test_no_checkpoint_and_one_with_another_key_are_ignored(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "last.pt", "k") is None
    save_checkpoint(tmp_path / "last.pt", {"key": "other"})
    assert load_checkpoint(tmp_path / "last.pt", "k") is None


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("executed"),)  # type: ignore[return-value]


def test_a_hostile_checkpoint_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"key": "k", "x": Hostile()}, tmp_path / "last.pt")
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(tmp_path / "last.pt", "k")
    assert not Path("executed").exists()


def test_states_survive_and_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    save_state(tmp_path / "a.safetensors", layer)
    save_state(tmp_path / "b.safetensors", layer)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    other = nn.Linear(3, 2)
    other.load_state_dict(load_state(tmp_path / "a.safetensors"))
    assert torch.equal(other.weight, layer.weight)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_a_view_is_written_whole(tmp_path: Path) -> None:
    layer = nn.Linear(2, 3)
    layer.weight = nn.Parameter(torch.arange(6.0).view(2, 3).T)  # not contiguous
    save_state(tmp_path / "a.safetensors", layer)
    assert torch.equal(load_state(tmp_path / "a.safetensors")["weight"], layer.weight)
