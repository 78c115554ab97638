"""Labels from one format into another, with an account of what the other cannot say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tagweave.data.formats import format_named, read_annotations
from tagweave.data.formats.reach import keep_sayable
from tagweave.data.formats.sniff import guess_target, sniff
from tagweave.errors import InputError


@dataclass(frozen=True)
class Conversion:
    """Hold what was converted.

    Attributes:
        source_format: as given or guessed.
        target_format: as given or guessed.
        images: images written.
        labels: label names written.
        notes: what was read in spite of a doubt, and what the target cannot say.
    """

    source_format: str
    target_format: str
    images: int
    labels: int
    notes: tuple[str, ...]


def convert(
    source: Path,
    target: Path,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    images: Path | None = None,
) -> Conversion:
    """Read labels in one format and write them in another; what the other cannot say is unknown in it, and told.

    Args:
        source: a label file or folder.
        target: a file or folder that is not there yet.
        source_format: a key of ``FORMATS``; guessed when None.
        target_format: a key of ``FORMATS``; guessed from the target's name when None.
        images: the image folder, for formats that hold the images themselves.

    Raises:
        InputError: what is wrong with the source, a target that is there, or names that its format cannot hold.
    """
    if target.exists():
        raise InputError(
            f"Expected a new file or folder at {target}, but something is there; remove it or write elsewhere"
        )
    if not source.exists():
        raise InputError(f"Expected a label file or folder at {source}, but nothing is there.")
    source_format = source_format or sniff(source)
    annotations = read_annotations(source, source_format)
    target_format = target_format or guess_target(target, annotations)
    format = format_named(target_format)
    kept, lost = keep_sayable(replace(annotations, image_folder=images or annotations.image_folder), format.reach)
    with _whole(target) as partial:
        notes = format.write(partial, kept)
    return Conversion(
        source_format, target_format, len(kept), len(kept.labels.names), (*annotations.notes, *lost, *notes)
    )


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Yield a path beside the target and move what is there, a file or a folder, when the block ends well."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial{target.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.rename(target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
