"""A folder per label, the images in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from filecmp import cmp
from pathlib import Path

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.gathering import SPLIT_WORDS, Gathering
from tagweave.data.formats.linking import link_or_copy
from tagweave.data.formats.reach import refuse
from tagweave.data.images import find_images
from tagweave.errors import InputError


def read_folders(root: Path) -> Annotations:
    """Read ``LABEL/image.jpg``, or ``train/LABEL/image.jpg`` with ``val`` or ``validation`` and ``test``.

    An image has its folder's label and no other. The same file under several labels, by name below the label and by
    content, has all of them. An image in no label's folder is unlabelled.

    Raises:
        InputError: there is no folder with images.
    """
    paths, _ = find_images(root)
    gathering = Gathering(root.name, "file")
    top = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    with_splits = bool(top) and top <= set(SPLIT_WORDS)
    same_name: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for number, path in enumerate(paths, start=1):
        word, _, below = path.partition("/") if with_splits else ("", "", path)
        label, slash, name = below.partition("/")
        row = gathering.add(path, number, SPLIT_WORDS.get(word, ""))
        if slash:
            same_name[word, name].append((row, path, label))
    if not same_name:
        raise InputError(f"Expected a folder per label with images in {root}, but found none.")
    for group in same_name.values():
        _say(root, group, gathering)
    for folder in _label_folders(root, top, with_splits):
        gathering.label(folder.name, 1)
    return gathering.finish()


def _label_folders(root: Path, top: set[str], with_splits: bool) -> Iterator[Path]:
    for parent in [root / name for name in sorted(top)] if with_splits else [root]:
        yield from (path for path in sorted(parent.iterdir()) if path.is_dir() and not path.name.startswith("."))


def _say(root: Path, group: Sequence[tuple[int, str, str]], gathering: Gathering) -> None:
    """State the labels of files that have one name below their labels' folders."""
    for row, path, _ in group:
        labels = [label for _, other, label in group if other == path or cmp(root / path, root / other, shallow=False)]
        gathering.listed(row, labels, gathering.numbers[row])


def write_folders(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Link, or else copy, every image into the folder of each label it has.

    Raises:
        InputError: the image folder is not known, a file is missing, or a label cannot name a folder.
    """
    names, images = annotations.labels.names, annotations.image_folder
    if images is None:
        raise InputError("Expected the folder of the images, as they are linked into label folders; give --images.")
    refuse("label", names, _is_no_folder, "cannot name a folder; rename it")
    refuse("image", annotations.images, lambda image: not (images / image).is_file(), f"is not in {images}")
    path.mkdir(parents=True)
    for name in names:
        (path / name).mkdir()
    copies = 0
    for row, image in enumerate(annotations.images):
        folders = [names[c] for c in np.flatnonzero(annotations.labels.values[row])]
        copies += len(folders) - 1
        for folder in folders:
            link_or_copy(images / image, path / folder / image)
    note = f"images with several labels are in several folders: {copies:,} files more than images"
    return ("image names get their label's folder before them", *([note] if copies else []))


def _is_no_folder(name: str) -> bool:
    return "/" in name or "\\" in name or "\0" in name or name.startswith(".") or name in SPLIT_WORDS
