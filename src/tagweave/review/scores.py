"""The run's probabilities and label states, one contiguous row per label, memory-mapped.

The long tables of a run are made for reading whole. A page needs one label of all images, or all labels of one image,
at once: so the tables are turned into arrays the first time they are reviewed, and again when they change.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tagweave.console import Console, Progress
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.runs import key_of, read_json, write_json

UNKNOWN, GIVEN_YES, GIVEN_NO, SPREAD_YES, SPREAD_NO = range(5)
SOURCES = ("unknown", "given", "given", "propagated", "propagated")
CELLS_AT_ONCE = 1 << 22  # bounds the memory of the conversion
FORMAT = 2

UNSEEN_NAME = "unseen.npz"
_ARRAYS = {"graph": np.float16, "network": np.float16, "unseen": np.float16, "states": np.uint8}


@dataclass(frozen=True)
class Scores:
    """Hold what the run says of C labels and N images.

    Attributes:
        graph: (C, N) float16, propagated probability; given cells hold 0 or 1.
        network: (C, N) float16, calibrated probability of the final model; None where none was trained.
        unseen: (C, N) float16, of images with given labels the probability by what never saw them, NaN elsewhere; None
            where the run did not keep it.
        states: (C, N) uint8, how each cell is known: ``UNKNOWN`` to ``SPREAD_NO``.
        thresholds: (C,) the probability from which the model says yes.
        doubts: (3, N) float32, of each image over all labels: expected wrong labels, largest disagreement of graph and
            network, largest doubt about a given label.
        labelled: (N,) bool, images with a given label.
    """

    names: tuple[str, ...]
    graph: NDArray[np.float16]
    network: NDArray[np.float16] | None
    unseen: NDArray[np.float16] | None
    states: NDArray[np.uint8]
    thresholds: NDArray[np.float64]
    doubts: NDArray[np.float32]
    labelled: NDArray[np.bool_]

    @property
    def judge(self) -> NDArray[np.float16] | None:
        """(C, N): what given labels are doubted by; the model's own scores, which saw them, only for want of better."""
        return self.network if self.unseen is None else self.unseen

    @property
    def best(self) -> NDArray[np.float16]:
        """(C, N): the model's probabilities, or the graph's where there is no model."""
        return self.graph if self.network is None else self.network


def open_scores(run: Path, manifest: Manifest, names: Sequence[str], console: Console) -> Scores:
    """Open the arrays of a run, made anew where its tables changed.

    Raises:
        InputError: the run has no propagated labels, or its tables are not about its manifest.
    """
    tables = {"graph": run / "labels.parquet", "network": run / "predictions.parquet"}
    if not tables["graph"].is_file():
        raise InputError(f"Expected {tables['graph']}, but there is no such file: run 'tagweave propagate' first.")
    tables = {name: path for name, path in tables.items() if path.is_file()}
    read = [*tables.values(), *([run / UNSEEN_NAME] if (run / UNSEEN_NAME).is_file() else [])]
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in read]
    key = key_of(FORMAT, stamps, manifest.paths, names)
    folder = run / "review" / "scores"
    if not _is_made(folder, key):
        fresh = folder.with_name(".scores.partial")
        shutil.rmtree(fresh, ignore_errors=True)
        with console.progress("prepare", "images") as progress:
            _convert(tables, run / UNSEEN_NAME, fresh, manifest, names, progress)
        write_json(fresh / "made.json", {"key": key})
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return _load(folder, names, _thresholds(run, len(names)))


def _is_made(folder: Path, key: str) -> bool:
    return (folder / "made.json").is_file() and read_json(folder / "made.json")["key"] == key


def _load(folder: Path, names: Sequence[str], thresholds: NDArray[np.float64]) -> Scores:
    arrays: dict[str, Any] = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        for name in _ARRAYS
        if (folder / f"{name}.npy").is_file()
    }
    return Scores(
        names=tuple(names), graph=arrays["graph"], network=arrays.get("network"), unseen=arrays.get("unseen"),
        states=arrays["states"],
        thresholds=thresholds, doubts=np.load(folder / "doubts.npy", allow_pickle=False),
        labelled=np.load(folder / "labelled.npy", allow_pickle=False),
    )  # fmt: skip


def _thresholds(run: Path, count: int) -> NDArray[np.float64]:
    path = run / "model" / "model.json"
    found = read_json(path)["thresholds"] if path.is_file() else []
    return np.array(found if len(found) == count else [0.5] * count, dtype=np.float64)


def _convert(
    tables: dict[str, Path], unseen: Path, folder: Path, manifest: Manifest, names: Sequence[str], progress: Progress
) -> None:
    folder.mkdir(parents=True)
    shape, total = (len(names), len(manifest)), len(tables) * len(manifest)
    wanted = [name for name in _ARRAYS if name == "states" or name in tables]
    arrays: dict[str, Any] = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", _ARRAYS[name], shape) for name in wanted
    }
    for number, (name, path) in enumerate(tables.items()):
        columns = ["probability", *(["value", "source"] if name == "graph" else [])]
        for start, block in _blocks(path, columns, manifest.paths, names):
            stop = start + len(block) // len(names)
            arrays[name][:, start:stop] = _by_label(block["probability"].to_numpy(), names)
            if name == "graph":
                arrays["states"][:, start:stop] = _by_label(_states(block), names)
            progress(number * len(manifest) + stop, total)
    if unseen.is_file():
        arrays["unseen"] = np.lib.format.open_memmap(folder / "unseen.npy", "w+", _ARRAYS["unseen"], shape)
        _fill_unseen(arrays["unseen"], unseen, names)
    judge = arrays.get("unseen", arrays.get("network"))
    doubts, labelled = _summaries(arrays["graph"], arrays.get("network"), judge, arrays["states"])
    np.save(folder / "doubts.npy", doubts)
    np.save(folder / "labelled.npy", labelled)
    for array in arrays.values():
        array.flush()


def _fill_unseen(array: NDArray[np.float16], path: Path, names: Sequence[str]) -> None:
    """Write what the run kept of labelled images over ``array`` (C, N), NaN elsewhere."""
    array[:] = np.nan
    with np.load(path, allow_pickle=False) as stored:
        if tuple(str(name) for name in stored["names"]) != tuple(names):
            raise InputError(f"Expected the run's labels in {path}, but got others: run 'tagweave evaluate' again.")
        rows, probabilities = stored["rows"], stored["probabilities"]
    for c in range(len(names)):
        array[c][rows] = probabilities[:, c]


def _by_label(cells: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
    return cells.reshape(-1, len(names)).T


def _states(block: pa.Table) -> NDArray[np.uint8]:
    known = block["value"].is_valid().to_numpy()
    yes = block["value"].fill_null(False).to_numpy()
    given = _numbers(block["source"], ("given",)) == 0
    states = np.where(yes, np.where(given, GIVEN_YES, SPREAD_YES), np.where(given, GIVEN_NO, SPREAD_NO))
    return np.where(known, states, UNKNOWN).astype(np.uint8)


def _blocks(
    path: Path, columns: list[str], paths: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number of the first image and the rows of whole images, checked to be in the run's order.

    Raises:
        InputError: the table is not about the run's images and labels.
    """
    file, done, rest = pq.ParquetFile(path), 0, None
    image_set, label_set = pa.array(paths, pa.string()), pa.array(names, pa.string())
    for batch in file.iter_batches(CELLS_AT_ONCE, columns=["image", "label", *columns]):
        table = pa.Table.from_batches([batch])
        table = table if rest is None else pa.concat_tables([rest, table])
        whole = len(table) // len(names) * len(names)
        block, rest = table.slice(0, whole), table.slice(whole)
        places = _numbers(block["image"], image_set) * len(names) + _numbers(block["label"], label_set)
        if not np.array_equal(places, np.arange(done, done + whole)):
            break
        if whole:
            yield done // len(names), block
        done += whole
    if done != len(paths) * len(names) or (rest is not None and len(rest)):
        raise InputError(
            f"Expected in {path} the {len(paths)} images and {len(names)} labels of the run, in its order, but it "
            "holds others: run 'tagweave fit' on the run folder again."
        )


def _numbers(column: pa.ChunkedArray, known: Any) -> NDArray[np.int64]:
    """Return each entry's number in ``known``, -1 where it is not one of them."""
    parts = [np.zeros(0, dtype=np.int64)]
    for chunk in column.chunks:
        values = pc.index_in(chunk.dictionary, value_set=pa.array(known, pa.string()))
        found = np.append(values.fill_null(-1).to_numpy(zero_copy_only=False), -1).astype(np.int64)
        parts.append(found[chunk.indices.fill_null(len(found) - 1).to_numpy(zero_copy_only=False)])
    return np.concatenate(parts)


def _summaries(
    graph: NDArray[np.float16], network: NDArray[np.float16] | None, judge: NDArray[np.float16] | None,
    states: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:  # fmt: skip
    """Return ``doubts`` and ``labelled`` of all images, one label at a time."""
    doubts = np.zeros((3, graph.shape[1]), dtype=np.float32)
    labelled = np.zeros(graph.shape[1], dtype=bool)
    for c in range(len(graph)):
        p = (graph if network is None else network)[c].astype(np.float32)
        given_yes, given_no = states[c] == GIVEN_YES, states[c] == GIVEN_NO
        given = given_yes | given_no
        labelled |= given
        doubts[0] += np.where(given, 0, np.minimum(p, 1 - p))
        doubts[1] = np.maximum(doubts[1], np.where(given, 0, np.abs(p - graph[c].astype(np.float32))))
        if judge is not None:
            said = np.nan_to_num(judge[c].astype(np.float32))
            doubts[2] = np.maximum(doubts[2], np.where(given_yes, 1 - said, 0) + np.where(given_no, said, 0))
    return doubts, labelled
