"""What a run is made from, in short: steps are run again where one of these stamps changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagweave.config import Config
from tagweave.data.formats.openimages import DESCRIPTIONS
from tagweave.data.formats.sniff import sniff
from tagweave.data.images import SUFFIXES, find_images
from tagweave.runs import digest_of, key_of
from tagweave.steps.job import Job

SETTLED = ("random", "one-hot", "glove50")  # values of settings that may name a file, but do not


def input_key(job: Job) -> str:
    """Digest what lies in the image folder (names, sizes, times) and what the labels say."""
    found = find_images(job.images)[0] if job.images.is_dir() else []
    images = [_stamp(job.images, job.images / path) for path in found]
    labels = [] if job.labels is None else label_stamps(job.labels, job.format, job.folder)
    return key_of(str(job.images.resolve()), images, labels, job.format, job.config.seed)


def label_stamps(labels: Path, format: str | None, own: Path) -> list[Any]:
    """Return a label file's digest, or path, size and time of everything in a label folder that may say a label.

    Those are all files but images; in a folder per label the images and folders are what says it. Hidden entries and
    run folders, such as the run's ``own``, are passed over.
    """
    if labels.is_file():
        return [digest_of(path) for path in (labels, *sorted(labels.parent.glob(DESCRIPTIONS)))]
    if not labels.is_dir():
        return []
    is_tree = (format or sniff(labels)) == "folders"
    told = (path for path in _entries(labels, own) if is_tree or not _is_image_or_folder(path))
    return [str(labels.resolve()), *(_stamp(labels, path) for path in told)]


def setting_stamps(config: Config, section: str) -> list[str]:
    """Return the digest of the file that a section's setting names, where it names one."""
    named = {"encoder": config.encoder.weights, "model": config.model.word_vectors}.get(section)
    return [digest_of(Path(named))] if named and _is_file(named) else []


def with_whole_paths(config: Config) -> Config:
    """Return the configuration with files named from the root: a run folder is used from other working folders too."""
    weights, vectors = config.encoder.weights, config.model.word_vectors
    encoder = config.encoder.model_copy(update={"weights": weights and _whole(weights)})
    model = config.model.model_copy(update={"word_vectors": _whole(vectors)})
    return config.model_copy(update={"encoder": encoder, "model": model})


def _whole(value: str) -> str:
    return str(Path(value).resolve()) if _is_file(value) else value


def _is_file(value: str) -> bool:
    return value not in SETTLED and Path(value).is_file()


def _entries(root: Path, own: Path) -> Iterator[Path]:
    """Yield the files and folders below a folder in order, linked ones too, none twice."""
    seen = {os.path.realpath(own)}
    for place, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen or "job.json" in files:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place)
        yield from (path for name in sorted(files) if not name.startswith(".") and (path := Path(place, name)).exists())


def _is_image_or_folder(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or path.is_dir()


def _stamp(root: Path, path: Path) -> list[Any]:
    name = path.relative_to(root).as_posix()
    if path.is_dir():
        return [name]
    stat = path.stat()
    return [name, stat.st_size, stat.st_mtime_ns]
