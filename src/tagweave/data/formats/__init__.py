"""Label formats: one file per format, one dict that names them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tagweave.data.annotations import Annotations, did_you_mean, read_table
from tagweave.data.formats.csv_list import read_csv_list
from tagweave.data.formats.csv_onehot import read_csv_onehot
from tagweave.data.formats.voc import read_voc
from tagweave.errors import InputError

READERS: dict[str, Callable[[Path], Annotations]] = {
    "csv-list": read_csv_list,
    "csv-onehot": read_csv_onehot,
    "voc": read_voc,
}

logger = logging.getLogger("tagweave")


def read_annotations(path: Path, format: str | None = None) -> Annotations:
    """Read a label file or folder, in the format named or, without a name, in the one it looks like.

    Raises:
        InputError: nothing is there, the format has no reader, or what is wrong with the file.
    """
    if not path.exists():
        raise InputError(f"Expected a label file or a VOC folder at {path}, but nothing is there.")
    if format is None:
        format = _sniff(path)
        logger.info("%s is read as %s", path, format)
    if format not in READERS:
        choices = ", ".join(READERS)
        raise InputError(f"Expected a label format of {choices}, but got '{format}'{did_you_mean(format, READERS)}")
    return READERS[format](path)


def _sniff(path: Path) -> str:
    if path.is_dir():
        return "voc"
    header = {name.lower() for name in read_table(path).header.fields}
    # A header that is missing or misspelt is told by the list form, whose message shows both.
    return "csv-onehot" if "image" in header and not header & {"label", "labels"} else "csv-list"
