"""The folder to publish: whole, read back without any other file, uploaded only on request."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tagweave.errors import InputError
from tagweave.export import hub_folder as module
from tagweave.export.hub_folder import load_folder, push_folder, write_folder
from tagweave.export.source import Source


@pytest.fixture(scope="module")
def folder(small: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hub") / "folder"
    write_folder(small, place)
    return place


def test_read_back_it_scores_the_same(small: Source, folder: Path) -> None:
    files = [small.manifest.file(row) for row in range(6)]
    loaded = load_folder(folder)
    assert loaded.encoder.weights == str(folder / "encoder.safetensors")
    np.testing.assert_array_equal(loaded.predict_files(files)[0], small.classifier.predict_files(files)[0])


def test_what_lies_in_it(small: Source, folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "encoder.safetensors", "model.json", "model.safetensors",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {str(c): name for c, name in enumerate(small.classifier.names)}
    assert config["label2id"] == {name: c for c, name in enumerate(small.classifier.names)}
    assert config["problem_type"] == "multi_label_classification"
    assert str(folder.parent) not in (folder / "model.json").read_text()


def test_an_earlier_export_is_replaced_and_nothing_else(small: Source, tmp_path: Path) -> None:
    write_folder(small, tmp_path / "mine")
    (tmp_path / "mine" / "old.txt").touch()
    write_folder(small, tmp_path / "mine")
    assert not (tmp_path / "mine" / "old.txt").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"^Expected .*other to be absent, empty or an earlier export, but something"):
        write_folder(small, tmp_path / "other")


def test_a_folder_that_differs_is_not_written(small: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "module_scorer", lambda _: lambda pixels: np.zeros((len(pixels), 4)))
    with pytest.raises(RuntimeError, match=r"^Expected the exported folder to give the classifier's probabilities"):
        write_folder(small, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected an exported folder with encoder\.safetensors at .*, but there is"):
        load_folder(tmp_path)


def test_uploaded_as_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
    stub = SimpleNamespace(
        create_repo=lambda *a, **k: calls.append(("create", a, k)) or "https://hub/me/it",
        upload_folder=lambda *a, **k: calls.append(("upload", a, k)),
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", stub)
    assert push_folder(folder, "me/it") == "https://hub/me/it"
    assert calls == [
        ("create", ("me/it",), {"private": True, "exist_ok": True, "repo_type": "model"}),
        ("upload", (), {"repo_id": "me/it", "folder_path": str(folder), "repo_type": "model"}),
    ]


def test_no_upload_without_the_library_or_a_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"^Expected huggingface_hub to upload with, but it is not installed; pip "):
        push_folder(folder, "me/it")
    with pytest.raises(InputError, match=r"^Expected a repository as owner/name, but got 'it'\.$"):
        push_folder(folder, "it")
