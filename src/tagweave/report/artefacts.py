"""The artefacts of a run folder, read into one value; what the run did not write is None."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest, Quarantined
from tagweave.errors import InputError

T = TypeVar("T")
SHOWN_DOUBTS = 12
SHOWN_SUSPECTS = 24


@dataclass(frozen=True)
class Attention:
    """Hold the weights a^s of n images in L stages.

    Attributes:
        images: n names, as in the manifest.
        stages: L names, such as ``stage 1, stride 8``.
        maps: L arrays (n, h, w), non-negative, of sum 1 per image, over the whole image squashed to a square.
        errors: n numbers of known cells that were decided wrongly; None where the run did not count them.
    """

    images: tuple[str, ...]
    stages: tuple[str, ...]
    maps: tuple[NDArray[np.float32], ...]
    errors: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Unseen:
    """Hold what was said of labelled images by what never saw their labels.

    Attributes:
        rows: (n,) of the manifest. probabilities: (n, C), in the order of the measures' labels.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Artefacts:
    """Hold what a run wrote.

    Attributes:
        names: C label names, in the order of the measures.
        given: what people said of the N images of the manifest.
        propagated: what propagation decided.
        trained: ``steps/train.json``: how many epochs the final network learned.
        probabilities: image -> (C,) of the final model, for the images that the page shows; NaN where it gave none.
        doubtful: rows of ``doubtful.csv``: the images that the model is least sure of.
        suspects: rows of ``suspects.csv``: given labels that are most likely wrong.
        suspected: how many of them there are.
        examples: ``graph/examples.json``: propagated labels and who gave them.
        config: the text of ``config.toml``.
        repeat: the command that makes the same run anew.
    """

    manifest: Manifest
    metrics: dict[str, Any]
    names: tuple[str, ...]
    given: LabelMatrix | None
    propagated: LabelMatrix | None
    history: list[dict[str, Any]] | None
    trained: dict[str, Any] | None
    attention: Attention | None
    probabilities: dict[str, NDArray[np.float32]] | None
    unseen: Unseen | None
    doubtful: list[dict[str, str]] | None
    suspects: list[dict[str, str]] | None
    suspected: int
    examples: dict[str, Any] | None
    quarantine: list[Quarantined] | None
    provenance: dict[str, Any] | None
    config: str | None
    repeat: str | None


def read_artefacts(run: Path) -> Artefacts:
    """Read what is there of a run folder.

    Raises:
        InputError: the manifest or the measures are missing, there is no measured split, or a JSON file is damaged.
    """
    for name, step in (("manifest.parquet", "check"), ("metrics.json", "evaluate")):
        if not (run / name).is_file():
            raise InputError(f"Expected {run / name}, but there is no such file: run `tagweave {step}` first.")
    manifest = Manifest.load(run / "manifest.parquet")
    metrics = _read_json(run / "metrics.json")
    names = _label_names(metrics, run / "metrics.json")
    labels = _if_there(run / "labels.parquet", lambda path: _read_labels(path, manifest.paths, names))
    attention = _if_there(run / "attention.npz", _read_attention)
    doubtful = _if_there(run / "doubtful.csv", lambda path: _read_rows(path)[:SHOWN_DOUBTS])
    suspects = _if_there(run / "suspects.csv", _read_rows)
    shown = (*(attention.images if attention else ()), *(row["image"] for row in doubtful or ()))
    return Artefacts(
        manifest=manifest,
        metrics=metrics,
        names=names,
        given=labels["given"] if labels else None,
        propagated=labels["propagated"] if labels else None,
        history=_if_there(run / "history.jsonl", _read_history),
        trained=_if_there(run / "steps" / "train.json", _read_json),
        attention=attention,
        probabilities=_if_there(run / "predictions.parquet", lambda path: _read_probabilities(path, shown, names)),
        unseen=_if_there(run / "unseen.npz", lambda path: _read_unseen(path, names)),
        doubtful=doubtful,
        suspects=None if suspects is None else suspects[:SHOWN_SUSPECTS],
        suspected=len(suspects or ()),
        examples=_if_there(run / "graph" / "examples.json", _read_json),
        quarantine=_if_there(run / "quarantine.csv", _read_quarantine),
        provenance=_if_there(run / "provenance.json", _read_json),
        config=_if_there(run / "config.toml", lambda path: path.read_text(encoding="utf-8")),
        repeat=_if_there(run / "job.json", lambda path: _repetition(run, _read_json(path))),
    )


def measured_split(metrics: dict[str, Any]) -> str | None:
    """Return ``test`` where it was measured, else ``val``, else None."""
    return next((split for split in ("test", "val") if metrics["splits"].get(split)), None)


def _label_names(metrics: dict[str, Any], path: Path) -> tuple[str, ...]:
    split = measured_split(metrics)
    if split is None:
        raise InputError(
            f"Expected measures of a test or val split in {path}, but got {sorted(metrics['splits']) or 'none'}: "
            "give some labelled images to one of them and run `tagweave evaluate` again."
        )
    measures = metrics["splits"][split]["systems"][metrics["main"]]
    return tuple(row["label"] for row in measures["per_label"])


def _repetition(run: Path, job: dict[str, Any]) -> str:
    """Return the command for the same images, labels and settings, whatever commands the run was made with."""
    words = ["tagweave", "fit", job["images"]]
    words += ["--labels", job["labels"]] if job["labels"] else []
    words += ["--format", job["format"]] if job["format"] else []
    return shlex.join([*words, "--config", str(run / "config.toml"), "--out", f"{run}-again"])


def _if_there(path: Path, read: Callable[[Path], T]) -> T | None:
    return read(path) if path.is_file() else None


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"Expected JSON in {place}, but got {text[:40]!r} ({error}): remove the file and run its step again."
        ) from error


def _read_json(path: Path) -> Any:
    return _parse(path.read_text(encoding="utf-8"), str(path))


def _read_history(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _read_quarantine(path: Path) -> list[Quarantined]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Quarantined(row["path"], row["reason"]) for row in csv.DictReader(file)]


def _read_attention(path: Path) -> Attention:
    with np.load(path, allow_pickle=False) as arrays:
        stages = tuple(str(stage) for stage in arrays["stages"])
        maps = tuple(arrays[f"map_{number}"] for number in range(len(stages)))
        errors = tuple(int(number) for number in arrays["errors"]) if "errors" in arrays else None
        return Attention(tuple(str(image) for image in arrays["images"]), stages, maps, errors)


def _read_unseen(path: Path, names: tuple[str, ...]) -> Unseen:
    with np.load(path, allow_pickle=False) as arrays:
        place = {str(name): c for c, name in enumerate(arrays["names"])}
        given, rows = arrays["probabilities"].astype(np.float32), arrays["rows"]
    found = np.full((len(rows), len(names)), np.nan, dtype=np.float32)
    for c, name in enumerate(names):
        if name in place:
            found[:, c] = given[:, place[name]]
    return Unseen(rows, found)


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _positions(column: pa.ChunkedArray, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each entry's number in ``names``, -1 where it is not one of them."""
    found = pc.index_in(column.cast(pa.string()), value_set=pa.array(names, pa.string()))
    return found.fill_null(-1).to_numpy().astype(np.int64)


def _read_labels(path: Path, images: tuple[str, ...], names: tuple[str, ...]) -> dict[str, LabelMatrix]:
    """Return one matrix (N, C) per source, ``given`` and ``propagated``."""
    table = pq.read_table(path, columns=["image", "label", "value", "source"])
    rows, columns = _positions(table["image"], images), _positions(table["label"], names)
    decided = (rows >= 0) & (columns >= 0) & table["value"].is_valid().to_numpy()
    values = table["value"].fill_null(False).to_numpy()
    matrices = {}
    for source in ("given", "propagated"):
        cells = decided & (_positions(table["source"], (source,)) == 0)
        marks = np.zeros((2, len(images), len(names)), dtype=bool)
        marks[0, rows[cells], columns[cells]] = values[cells]
        marks[1, rows[cells], columns[cells]] = True
        matrices[source] = LabelMatrix(marks[0], marks[1], names)
    return matrices


def _read_probabilities(path: Path, shown: tuple[str, ...], names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    images = tuple(dict.fromkeys(shown))
    wanted = pc.field("image").cast(pa.string()).isin(pa.array(images, pa.string()))
    table = pq.read_table(path, columns=["image", "label", "probability"], filters=wanted)
    rows, columns = _positions(table["image"], images), _positions(table["label"], names)
    probabilities = np.full((len(images), len(names)), np.nan, dtype=np.float32)
    inside = (rows >= 0) & (columns >= 0)
    probabilities[rows[inside], columns[inside]] = table["probability"].to_numpy()[inside]
    return dict(zip(images, probabilities, strict=True))
