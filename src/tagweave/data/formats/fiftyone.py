"""FiftyOne's samples JSON with a ``Classifications`` field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.gathering import SPLIT_WORDS, Gathering
from tagweave.data.formats.json_stream import stream_members, write_document
from tagweave.errors import InputError

FIELD = "ground_truth"
_KINDS = ("Classifications", "Classification")


def read_fiftyone(path: Path) -> Annotations:
    """Read ``samples.json`` of a ``FiftyOneDataset``, or the folder that holds it.

    Labels are those of ``ground_truth``, or else of the one ``Classifications`` field. A sample with the field is fully
    labelled, an empty list is a true "none"; a sample without it, or with null, is unlabelled. The sample's tags
    ``train``, ``validation`` or ``val``, and ``test`` give the split.

    Raises:
        InputError: not JSON, or no samples; problems of samples are in the result.
    """
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
