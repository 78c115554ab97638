"""Tell a format from what lies at a path, or from a name that is to be written."""

from __future__ import annotations

from pathlib import Path

from tagweave.data.annotations import Annotations
from tagweave.data.formats.coco import instance_files
from tagweave.data.formats.csv_table import read_header
from tagweave.data.formats.imagefolder import NAMES, holds_metadata
from tagweave.data.formats.json_stream import stream_members
from tagweave.data.formats.parquet import open_parquet
from tagweave.errors import InputError

_KEYS = {
    "": "label-studio", "samples": "fiftyone", "images": "coco", "annotations": "coco", "categories": "coco",
    "classes": "fiftyone", "labels": "fiftyone",
}  # fmt: skip
"""A JSON file's array, or the first top-level key that is listed here -> format."""

_LABEL_FILES = ("*.json", "*.xml", "*.csv", "annotations/*.json", "annotations/*.csv")


def sniff(path: Path) -> str:
    """Return the format that a file or folder looks like.

    Raises:
        InputError: it looks like none, or cannot be read.
    """
    if path.is_dir():
        return _sniff_folder(path)
    if path.name in NAMES or path.suffix == ".jsonl":
        return "imagefolder"
    if path.suffix == ".parquet":
        return "imagefolder" if "file_name" in open_parquet(path).schema_arrow.names else "parquet"
    if path.suffix == ".json":
        return _sniff_json(path)
    return "cvat" if path.suffix == ".xml" else _sniff_csv(path)


def _sniff_folder(path: Path) -> str:
    if (path / "ImageSets").is_dir() or (path / "Annotations").is_dir():
        return "voc"
    if instance_files(path):
        return "coco"
    if (path / "samples.json").is_file():
        return "fiftyone"
    if (path / "labels.json").is_file():
        return _sniff_json(path / "labels.json")
    if holds_metadata(path):
        return "imagefolder"
    inside = next((folder for folder in sorted(path.glob("VOC*")) if (folder / "ImageSets").is_dir()), None)
    if not inside:
        _refuse_tools_folder(path)
    return "voc" if inside else "folders"


def _refuse_tools_folder(path: Path) -> None:
    """Refuse a folder in which a label file lies beside ``images/``: that is no label called images."""
    files = sorted(file for pattern in _LABEL_FILES for file in path.glob(pattern))
    if files and (path / "images").is_dir():
        raise InputError(
            f"Expected label folders in {path}, but got {files[0].relative_to(path)} beside images/; give that file, "
            "or say --format folders where images is a label"
        )


def _sniff_json(path: Path) -> str:
    for member in stream_members(path):
        if member.container in _KEYS:
            return _KEYS[member.container]
    raise InputError(f"{path.name}: expected JSON of COCO, Label Studio or FiftyOne, but it has none of their keys")


def _sniff_csv(path: Path) -> str:
    header = set(read_header(path))
    if {"imageid", "labelname"} <= header:
        return "openimages"
    if "file_name" in header and "image" not in header:
        return "imagefolder"
    # A header that is missing or misspelt is told by the list form, whose message shows both.
    return "csv-onehot" if "image" in header and not header & {"label", "labels"} else "csv-list"


def guess_target(path: Path, annotations: Annotations) -> str:
    """Return the format in which a name is usually written; CSV is one-hot where single cells are unknown.

    Raises:
        InputError: the name fits several formats, or none.
    """
    endings = {".parquet": "parquet", ".jsonl": "imagefolder", ".xml": "cvat", ".coco.json": "coco"}
    found = next((format for ending, format in endings.items() if path.name.endswith(ending)), None)
    if found is None and path.suffix == ".csv":
        partial = annotations.labels.labelled & ~annotations.labels.known.all(axis=1)
        found = "csv-onehot" if partial.any() else "csv-list"
    if found is None:
        raise InputError(
            f"Expected a name ending in .csv, {', '.join(endings)}, but got '{path.name}'; name the format with --to"
        )
    return found
