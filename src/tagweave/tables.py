"""Labels and predictions as long tables, and predictions in the forms people use."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tagweave.data.formats.coco import coco_labels
from tagweave.data.formats.fiftyone import classifications
from tagweave.data.formats.json_stream import write_array, write_document
from tagweave.data.formats.label_studio import choices_result, url_of
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.runs import atomic

if TYPE_CHECKING:
    from tagweave.graph.pseudo_labels import PseudoLabels

ROWS_AT_ONCE = 4096  # images per row group, which bounds memory for large collections


def write_labels(
    path: Path, manifest: Manifest, given: LabelMatrix, accepted: PseudoLabels, probabilities: NDArray[np.floating],
) -> None:  # fmt: skip
    """Write every cell: image, label, value, known, probability, source.

    ``source`` is ``given``, ``propagated`` (value decided by propagation) or ``unknown`` (value null).
    """
    decided = accepted.decided(given)
    sources = np.where(given.known, 0, np.where(decided.known, 1, 2)).astype(np.int8)
    schema = pa.schema(
        [
            ("image", pa.dictionary(pa.int32(), pa.string())), ("label", pa.dictionary(pa.int32(), pa.string())),
            ("value", pa.bool_()), ("known", pa.bool_()), ("probability", pa.float32()),
            ("source", pa.dictionary(pa.int8(), pa.string())),
        ]
    )  # fmt: skip
    with atomic(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for part in _parts(len(manifest)):
            known = decided.known[part].ravel()
            table = {
                "image": _repeat(manifest.paths[part], len(given.names)),
                "label": _cycle(given.names, len(manifest.paths[part])),
                "value": pa.array(decided.values[part].ravel(), mask=~known),
                "known": pa.array(given.known[part].ravel()),
                "probability": pa.array(probabilities[part].ravel().astype(np.float32)),
                "source": pa.DictionaryArray.from_arrays(
                    pa.array(sources[part].ravel()), pa.array(["given", "propagated", "unknown"])
                ),
            }
            writer.write_table(pa.table(table, schema=schema))


def write_predictions(
    path: Path, manifest: Manifest, names: Sequence[str], probabilities: NDArray[np.floating]
) -> None:
    """Write the final model's probability of every image and label: image, label, split, probability."""
    schema = pa.schema(
        [
            ("image", pa.dictionary(pa.int32(), pa.string())), ("label", pa.dictionary(pa.int32(), pa.string())),
            ("split", pa.string()), ("probability", pa.float32()),
        ]
    )  # fmt: skip
    with atomic(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for part in _parts(len(manifest)):
            table = {
                "image": _repeat(manifest.paths[part], len(names)),
                "label": _cycle(names, len(manifest.paths[part])),
                "split": pa.array(np.repeat(manifest.splits[part], len(names)).tolist(), pa.string()),
                "probability": pa.array(probabilities[part].ravel().astype(np.float32)),
            }
            writer.write_table(pa.table(table, schema=schema))


def read_predictions(path: Path, manifest: Manifest, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the probabilities (N, C) that ``write_predictions`` wrote.

    Raises:
        InputError: the table is not about the images and labels of the run, in its order.
    """
    table = pq.read_table(path, columns=["image", "label", "probability"])
    width = len(names)
    images = table["image"].take(pa.array(np.arange(0, len(table), width))).cast(pa.string()).to_pylist()
    labels = table["label"].slice(0, width).cast(pa.string()).to_pylist()
    if len(table) != len(manifest) * width or images != list(manifest.paths) or labels != list(names):
        raise InputError(
            f"Expected in {path} the {len(manifest)} images and {width} labels of the run, in its order, but it holds "
            "others: run 'tagweave fit' on the run folder again."
        )
    found: NDArray[np.float32] = table["probability"].to_numpy().reshape(len(manifest), width)
    return found


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + ROWS_AT_ONCE, count)) for start in range(0, count, ROWS_AT_ONCE))


def _repeat(values: Sequence[str], times: int) -> pa.DictionaryArray:
    indices = np.repeat(np.arange(len(values), dtype=np.int32), times)
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(values, pa.string()))


def _cycle(values: Sequence[str], times: int) -> pa.DictionaryArray:
    indices = np.tile(np.arange(len(values), dtype=np.int32), times)
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(values, pa.string()))


Writer = Callable[[Path, Sequence[str], Sequence[str], NDArray[np.floating], NDArray[np.floating]], None]


def predicted_writer(path: Path) -> Writer:
    """Return what writes predictions in the form that the file's ending names.

    Raises:
        InputError: another ending than ``.csv``, ``.jsonl``, ``.parquet``, ``.coco.json``, ``.label-studio.json`` or
            ``.fiftyone.json``.
    """
    ending = next((ending for ending in _WRITERS if path.name.endswith(ending)), None)
    if ending is None:
        raise InputError(f"Expected an output file ending in {', '.join(_WRITERS)}, but got '{path}'.")
    return _WRITERS[ending]


def write_predicted_file(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    """Write predictions as the file's ending says; see ``predicted_writer``.

    Raises:
        InputError: another ending.
    """
    write = predicted_writer(path)
    with atomic(path) as partial:
        write(partial, images, names, probabilities, thresholds)


def chosen(row: NDArray[np.floating], names: Sequence[str], thresholds: NDArray[np.floating]) -> list[str]:
    """Return the labels at or above their thresholds, most probable first."""
    return [names[c] for c in np.argsort(-row, kind="stable") if row[c] >= thresholds[c]]


def _write_csv(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "labels", *names])
        for image, row in zip(images, probabilities, strict=True):
            writer.writerow([image, ";".join(chosen(row, names, thresholds)), *(f"{p:.7f}" for p in row)])


def _write_jsonl(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    with path.open("w", encoding="utf-8") as file:
        for image, row in zip(images, probabilities, strict=True):
            scores = {name: round(float(p), 7) for name, p in zip(names, row, strict=True)}
            record = {"image": image, "labels": chosen(row, names, thresholds), "probabilities": scores}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_parquet(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    table = pa.table(
        {
            "image": _repeat(images, len(names)),
            "label": _cycle(names, len(images)),
            "probability": pa.array(probabilities.ravel().astype(np.float32)),
            "predicted": pa.array((probabilities >= thresholds).ravel()),
        }
    )
    pq.write_table(table, path)


def _write_coco(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    cells = (
        (row, c, round(float(probabilities[row, c]), 7)) for row, c in np.argwhere(probabilities >= thresholds).tolist()
    )
    listed = ({"id": number, "file_name": image} for number, image in enumerate(images, start=1))
    write_document(path, {"images": listed, **coco_labels(names, cells)})


def _write_label_studio(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    tasks = (
        {
            "data": {"image": url_of(image)},
            "predictions": [
                {"model_version": "tagweave", "score": _surety(row), "result": [
                    choices_result([name], score) for name, score in _scored(row, names, thresholds)
                ]}
            ],
        }
        for image, row in zip(images, probabilities, strict=True)
    )  # fmt: skip
    write_array(path, tasks)


def _surety(row: NDArray[np.floating]) -> float:
    """Return how sure the least sure label of an image is, for Label Studio to sort tasks by."""
    return round(float(np.maximum(row, 1 - row).min(initial=1.0)), 7)


def _write_fiftyone(
    path: Path, images: Sequence[str], names: Sequence[str],
    probabilities: NDArray[np.floating], thresholds: NDArray[np.floating],
) -> None:  # fmt: skip
    samples = (
        {"filepath": image, "tags": [], "predictions": classifications(_scored(row, names, thresholds))}
        for image, row in zip(images, probabilities, strict=True)
    )
    write_document(path, {"samples": samples})


def _scored(
    row: NDArray[np.floating], names: Sequence[str], thresholds: NDArray[np.floating]
) -> Iterator[tuple[str, float]]:
    scores = dict(zip(names, row.tolist(), strict=True))
    return ((name, round(scores[name], 7)) for name in chosen(row, names, thresholds))


_WRITERS: dict[str, Writer] = {
    ".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet, ".coco.json": _write_coco,
    ".label-studio.json": _write_label_studio, ".fiftyone.json": _write_fiftyone,
}  # fmt: skip
