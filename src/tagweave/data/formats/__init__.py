"""Label formats: one file per format, one dict that names them."""

from __future__ import annotations

import logging
from pathlib import Path

from tagweave.data.annotations import Annotations, did_you_mean, raise_all
from tagweave.data.formats.coco import read_coco, write_coco
from tagweave.data.formats.csv_list import read_csv_list, write_csv_list
from tagweave.data.formats.csv_onehot import read_csv_onehot, write_csv_onehot
from tagweave.data.formats.cvat import read_cvat, write_cvat
from tagweave.data.formats.fiftyone import read_fiftyone, write_fiftyone
from tagweave.data.formats.folders import read_folders, write_folders
from tagweave.data.formats.imagefolder import read_imagefolder, write_imagefolder
from tagweave.data.formats.label_studio import read_label_studio, write_label_studio
from tagweave.data.formats.openimages import read_openimages, write_openimages
from tagweave.data.formats.parquet import read_parquet, write_parquet
from tagweave.data.formats.reach import Format, Reach
from tagweave.data.formats.sniff import sniff
from tagweave.data.formats.voc import read_voc, write_voc
from tagweave.errors import InputError

FORMATS: dict[str, Format] = {
    "csv-list": Format(
        read_csv_list, write_csv_list, Reach(partial=False, unlabelled=False, none=True, unused=False, splits=True),
        "absent: a listed image is fully labelled; an image that is not listed is unlabelled",
    ),
    "csv-onehot": Format(
        read_csv_onehot, write_csv_onehot, Reach(partial=True, unlabelled=True, none=True, unused=True, splits=True),
        "a blank cell is unknown, 0 is absent",
    ),
    "parquet": Format(
        read_parquet, write_parquet, Reach(partial=True, unlabelled=True, none=True, unused=True, splits=True),
        "a null cell, or no row for the cell, is unknown; in the list form absent",
    ),
    "folders": Format(
        read_folders, write_folders, Reach(partial=False, unlabelled=False, none=False, unused=True, splits=False),
        "absent: an image has its folder's label and no other",
    ),
    "imagefolder": Format(
        read_imagefolder, write_imagefolder,
        Reach(partial=False, unlabelled=True, none=True, unused=False, splits=True),
        "absent: a listed image is fully labelled; null labels are an unlabelled image",
    ),
    "voc": Format(
        read_voc, write_voc, Reach(partial=False, unlabelled=False, none=True, unused=False, splits=True),
        "absent, where the image has an XML file; only difficult objects: unknown in test, present in train and val",
    ),
    "coco": Format(
        read_coco, write_coco, Reach(partial=True, unlabelled=True, none=True, unused=True, splits=True),
        "absent; with neg_category_ids (LVIS) unknown unless listed there",
    ),
    "label-studio": Format(
        read_label_studio, write_label_studio,
        Reach(partial=False, unlabelled=True, none=True, unused=False, splits=True),
        "absent in a finished annotation; a task without one is unlabelled; annotators' disagreements are unknown",
    ),
    "cvat": Format(
        read_cvat, write_cvat, Reach(partial=False, unlabelled=True, none=False, unused=True, splits=True),
        "absent where the image has a tag or shape; an image without any is unlabelled",
    ),
    "fiftyone": Format(
        read_fiftyone, write_fiftyone, Reach(partial=False, unlabelled=True, none=True, unused=False, splits=True),
        "absent where the sample has the field; a sample without it is unlabelled",
    ),
    "openimages": Format(
        read_openimages, write_openimages,
        Reach(partial=True, unlabelled=False, none=True, unused=False, splits=False),
        "unknown: only cells with a row are known, confidence 0 is absent, between 0 and 1 unknown",
    ),
}  # fmt: skip

logger = logging.getLogger("tagweave")


def read_annotations(path: Path, format: str | None = None, *, defer: bool = False) -> Annotations:
    """Read a label file or folder, in the format named or, without a name, in the one it looks like.

    Args:
        path: the file or folder.
        format: a key of ``FORMATS``.
        defer: leave the problems of rows in the result, for ``collect`` to tell them beside missing files.

    Raises:
        InputError: nothing is there, the format is unknown, or what is wrong with the file.
    """
    if not path.exists():
        raise InputError(f"Expected a label file or folder at {path}, but nothing is there.")
    if format is None:
        format = sniff(path)
        logger.info("%s is read as %s", path, format)
    annotations = format_named(format).read(path)
    if not defer:
        raise_all(annotations.problems)
    return annotations


def format_named(name: str) -> Format:
    """Return a format.

    Raises:
        InputError: there is none of that name; the choices are listed.
    """
    if name not in FORMATS:
        choices = ", ".join(FORMATS)
        raise InputError(f"Expected a label format of {choices}, but got '{name}'{did_you_mean(name, FORMATS)}")
    return FORMATS[name]
