"""FiftyOne's samples JSON with a ``Classifications`` field, and its layout ``labels.json`` beside ``data/``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.gathering import SPLIT_WORDS, Gathering
from tagweave.data.formats.json_stream import stream_members, write_document
from tagweave.data.images import find_images
from tagweave.errors import InputError

FIELD = "ground_truth"
LABELS, DATA = "labels.json", "data"
_KINDS = ("Classifications", "Classification")


def read_fiftyone(path: Path) -> Annotations:
    """Read ``samples.json`` of a ``FiftyOneDataset``, or the folder that holds it; or ``labels.json`` beside ``data/``.

    Labels are those of ``ground_truth``, or else of the one ``Classifications`` field. A sample with the field is fully
    labelled, an empty list is a true "none"; a sample without it, or with null, is unlabelled. The sample's tags
    ``train``, ``validation`` or ``val``, and ``test`` give the split.

    ``labels.json`` (``FiftyOneImageClassificationDataset``) gives each image, by its path in ``data/`` without ending,
    one label or a list; null is an unlabelled image, and FiftyOne writes it for a sample without any label too.

    Raises:
        InputError: not JSON, or no samples; problems of samples are in the result.
    """
    if path.name == LABELS or (path.is_dir() and not (path / "samples.json").is_file() and (path / LABELS).is_file()):
        return _read_layout(path if path.is_dir() else path.parent)
    file = path / "samples.json" if path.is_dir() else path
    gathering = Gathering(file.name, "sample")
    count = 0
    for member in stream_members(file):
        if member.container == "samples" and member.number:
            count = member.number
            _read_sample(member.value, count, gathering)
    if not count:
        raise InputError(f"{file.name}: expected FiftyOne's samples, but found none")
    return gathering.finish(image_folder=path if path.is_dir() else None)


def _read_sample(sample: Any, number: int, gathering: Gathering) -> None:
    if not isinstance(sample, dict) or not isinstance(sample.get("filepath"), str):
        gathering.wrong(number, f"expected a sample with filepath, but got {str(sample)[:60]}")
        return
    tags = [SPLIT_WORDS[tag] for tag in sample.get("tags") or [] if tag in SPLIT_WORDS]
    row = gathering.add(sample["filepath"], number, tags[0] if tags else "")
    value = _field(sample, number, gathering)
    if value is None:
        return
    items = value.get("classifications") if value.get("_cls") == "Classifications" else [value]
    names = [item.get("label") if isinstance(item, dict) else None for item in items or []]
    if not all(isinstance(name, str) for name in names):
        gathering.wrong(number, "expected a label in every classification, but one has none")
        return
    gathering.listed(row, [str(name) for name in names], number)


def _field(sample: dict[str, Any], number: int, gathering: Gathering) -> dict[str, Any] | None:
    if FIELD in sample:
        value = sample[FIELD]
        return value if isinstance(value, dict) and value.get("_cls") in _KINDS else None
    found = {key: v for key, v in sample.items() if isinstance(v, dict) and v.get("_cls") in _KINDS}
    if len(found) > 1:
        gathering.wrong(number, f"expected {FIELD} or one field of classifications, but got {', '.join(found)}")
    return next(iter(found.values())) if len(found) == 1 else None


def _read_layout(root: Path) -> Annotations:
    """Read ``labels.json`` and find its images in ``data/``."""
    gathering = Gathering(LABELS, "sample")
    classes: list[str] = []
    labels: Any = None
    for member in stream_members(root / LABELS):
        if member.container == "classes" and member.number:
            classes.append(str(member.value))
        elif member.container == "labels" and not member.number:
            labels = member.value
    if not isinstance(labels, dict) or not labels:
        raise InputError(f"{LABELS}: expected FiftyOne's labels by image, but found none")
    if not (root / DATA).is_dir():
        raise InputError(f"Expected the images of {LABELS} in {root / DATA}, but there is no such folder.")
    found = {name.rpartition(".")[0]: name for name in find_images(root / DATA)[0]}
    for number, (image, targets) in enumerate(labels.items(), start=1):
        if image not in found:
            gathering.wrong(number, f"expected an image '{image}' in {DATA}/, but there is none")
            continue
        _take_targets(gathering.add(f"{DATA}/{found[image]}", number), targets, classes, number, gathering)
    return gathering.finish(image_folder=root)


def _take_targets(row: int, targets: Any, classes: list[str], number: int, gathering: Gathering) -> None:
    """Take up one image's labels: names or places in ``classes``, each alone or in an object with a confidence."""
    if targets is None:
        return
    names = []
    for target in targets if isinstance(targets, list) else [targets]:
        word = target.get("label") if isinstance(target, dict) else target
        if isinstance(word, int) and 0 <= word < len(classes):
            word = classes[word]
        if not isinstance(word, str):
            gathering.wrong(number, f"expected a label or its place in classes, but got {str(target)[:60]}")
            return
        names.append(word)
    gathering.listed(row, names, number)


def write_fiftyone(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write samples whose ``ground_truth`` is ``Classifications``, null where unlabelled; splits are tags."""
    write_document(path, {"samples": _samples(annotations)})
    return ()


def _samples(annotations: Annotations) -> Iterator[dict[str, Any]]:
    names, labelled = annotations.labels.names, annotations.labels.labelled
    for row, (image, split) in enumerate(zip(annotations.images, annotations.splits, strict=True)):
        present = ((names[c], None) for c in np.flatnonzero(annotations.labels.values[row]))
        yield {
            "filepath": image,
            "tags": [split] if split else [],
            FIELD: classifications(present) if labelled[row] else None,
        }


def classifications(labels: Iterator[tuple[str, float | None]]) -> dict[str, Any]:
    """Return FiftyOne's ``Classifications`` of labels, each with its confidence or None."""
    items = [
        {"_cls": "Classification", "label": name} | ({} if confidence is None else {"confidence": confidence})
        for name, confidence in labels
    ]
    return {"_cls": "Classifications", "classifications": items}
