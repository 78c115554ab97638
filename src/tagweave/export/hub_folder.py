"""A folder to publish, laid out as model hubs have it: weights, configuration, model card."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagweave.errors import InputError
from tagweave.export.about import describe
from tagweave.export.card import model_card
from tagweave.export.parity import draw_sample, require_parity
from tagweave.export.program import module_scorer
from tagweave.export.source import Source
from tagweave.predict import Classifier
from tagweave.runs import read_json, write_json

MODEL_TYPE = "tagweave"
ENCODER = "encoder.safetensors"


def write_folder(source: Source, folder: Path) -> dict[str, Any]:
    """Write a folder with everything that scoring needs, the encoder's weights too; return the description.

    ``model.safetensors`` and ``model.json`` are the classifier as tagweave keeps it, ``encoder.safetensors`` the
    backbone, ``config.json`` what hubs read, ``README.md`` the model card.

    Raises:
        RuntimeError: read back, it does not give the classifier's probabilities; nothing is written.
        InputError: something else is in the folder.
    """
    from tagweave.export.full_module import full_module

    _require_own(folder)
    sample = draw_sample(source)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_parts(source, partial)
        worst = require_parity(module_scorer(full_module(load_folder(partial))), sample, "folder")
        about = {**describe(source), "largest_difference": worst}
        write_json(partial / "config.json", _config(about))
        (partial / "README.md").write_text(model_card(source, about), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return about


def load_folder(folder: Path) -> Classifier:
    """Read what ``write_folder`` wrote; nothing is fetched.

    Raises:
        InputError: there is no such folder, or it is not whole.
    """
    weights = folder / ENCODER
    if not weights.is_file():
        raise InputError(f"Expected an exported folder with {ENCODER} at {folder}, but there is none.")
    classifier = Classifier.load(folder)
    return replace(classifier, encoder=classifier.encoder.model_copy(update={"weights": str(weights)}))


def push_folder(folder: Path, repository: str, private: bool = True) -> str:
    """Upload an exported folder to the Hugging Face hub, as the account that is logged in there; return its address.

    Args:
        folder: as ``write_folder`` made it.
        repository: ``owner/name``; made where it is not there.
        private: of a new repository.

    Raises:
        InputError: huggingface_hub is not installed, or the name is not of that form.
    """
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise InputError(f"Expected a repository as owner/name, but got '{repository}'.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            "Expected huggingface_hub to upload with, but it is not installed; pip install 'tagweave[hub]'."
        ) from error
    address = huggingface_hub.create_repo(repository, private=private, exist_ok=True, repo_type="model")
    huggingface_hub.upload_folder(repo_id=repository, folder_path=str(folder), repo_type="model")
    return str(address)


def _require_own(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    config = folder / "config.json"
    if not config.is_file() or read_json(config).get("model_type") != MODEL_TYPE:
        raise InputError(f"Expected {folder} to be absent, empty or an earlier export, but something else is there.")


def _write_parts(source: Source, folder: Path) -> None:
    from tagweave.training.checkpoint import save_state

    folder.mkdir(parents=True)
    source.classifier.save(folder)
    save_state(folder / ENCODER, source.classifier.built_encoder.module.trunk)  # type: ignore[arg-type]
    # What the folder names must be in it: the weights lie beside, wherever they came from.
    about = read_json(folder / "model.json")
    about["encoder"]["weights"] = ENCODER
    write_json(folder / "model.json", about)


def _config(about: dict[str, Any]) -> dict[str, Any]:
    names = about["names"]
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["MSCNNLCE"],
        "problem_type": "multi_label_classification",
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        **about,
    }
