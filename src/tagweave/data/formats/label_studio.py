"""Label Studio's JSON: tasks with annotations, read and written; tasks with predictions, written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.gathering import SPLIT_WORDS, Gathering
from tagweave.data.formats.json_stream import stream_members, write_array
from tagweave.data.images import SUFFIXES
from tagweave.errors import InputError

_LOCAL = "/data/local-files/"
_UPLOAD = "/data/upload/"
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")


def read_label_studio(path: Path) -> Annotations:
    """Read an export in the form ``JSON`` of a project whose control is ``<Choices>``.

    A choice not chosen in a finished annotation is absent; a task without annotation, or with a skipped one only, is
    unlabelled. Of several annotations those marked as ground truth count, else all, and where they disagree the label
    is unknown. Predictions are guesses and are not read. ``data.split`` may name the split.

    Raises:
        InputError: not JSON, or not a list; problems of tasks are in the result.
    """
    gathering = Gathering(path.name, "task")
    for member in stream_members(path):
        if member.container:
            raise InputError(f"{path.name}: expected Label Studio's list of tasks, but got an object; export as JSON")
        if member.number:
            _read_task(member.value, member.number, gathering)
    return gathering.finish()


def _read_task(task: Any, number: int, gathering: Gathering) -> None:
    data = task.get("data") if isinstance(task, dict) else None
    url = _image_url(data) if isinstance(data, dict) else None
    if url is None:
        gathering.wrong(number, f"expected data with an image, but got {str(task)[:60]}; export as JSON, not JSON-MIN")
        return
    word = str(data.get("split") or "") if data else ""
    row = gathering.add(image_of(url), number, gathering.split(SPLIT_WORDS.get(word, word), number))
    finished = [a for a in task.get("annotations") or [] if isinstance(a, dict) and not a.get("was_cancelled")]
    votes = [_choices(a, number, gathering) for a in _trusted(finished)]
    if not votes:
        return
    chosen, agreed = set.union(*votes), set.intersection(*votes)
    for column in sorted(chosen):
        gathering.say(row, column)
    for column in sorted(chosen - agreed):
        gathering.doubt(row, column)
    if chosen - agreed:
        gathering.notes.append(f"task {number}: annotators disagree on {len(chosen - agreed)} labels, read as unknown")
    gathering.complete(row)


def _trusted(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [a for a in annotations if a.get("ground_truth")] or annotations


def _choices(annotation: dict[str, Any], number: int, gathering: Gathering) -> set[int]:
    chosen: set[int] = set()
    for result in annotation.get("result") or []:
        value = result.get("value") if isinstance(result, dict) else None
        choices = value.get("choices") if isinstance(value, dict) and result.get("type") == "choices" else []
        if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
            gathering.wrong(number, f"expected choices as a list of names, but got {str(choices)[:60]}")
            continue
        chosen |= {gathering.label(choice, number) for choice in choices}
    return chosen


def _image_url(data: dict[str, Any]) -> str | None:
    if isinstance(data.get("image"), str):
        return str(data["image"])
    found = [value for value in data.values() if isinstance(value, str) and value.lower().endswith(SUFFIXES)]
    return found[0] if len(found) == 1 else None


def image_of(url: str) -> str:
    """Return the image that a URL names: the path under the document root, the uploaded file, or the URL's path."""
    if not url.startswith("/data/") and "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.path == _LOCAL:
        return parse_qs(parts.query).get("d", [""])[0]
    path = unquote(parts.path)
    if path.startswith(_UPLOAD):
        return _UPLOAD_PREFIX.sub("", path.rsplit("/", 1)[1], count=1)
    return path.removeprefix("/")


def url_of(image: str) -> str:
    """Return the local-files URL of an image, whose folder is Label Studio's document root."""
    return f"{_LOCAL}?d={quote(image)}"


def write_label_studio(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write tasks with one annotation each, unlabelled images without; see ``choices_result`` for the control."""
    write_array(path, _tasks(annotations))
    return ()


def _tasks(annotations: Annotations) -> Iterable[dict[str, Any]]:
    names, labelled = annotations.labels.names, annotations.labels.labelled
    for row, (image, split) in enumerate(zip(annotations.images, annotations.splits, strict=True)):
        chosen = [names[c] for c in np.flatnonzero(annotations.labels.values[row])]
        result = [choices_result(chosen)] if chosen else []
        yield {
            "data": {"image": url_of(image)} | ({"split": split} if split else {}),
            "annotations": [{"result": result, "was_cancelled": False, "ground_truth": False}] if labelled[row] else [],
        }


def choices_result(names: list[str], score: float | None = None) -> dict[str, Any]:
    """Return one result of the control ``<Choices name="labels" toName="image">``."""
    result: dict[str, Any] = {
        "from_name": "labels", "to_name": "image", "type": "choices", "value": {"choices": names},
    }  # fmt: skip
    return result if score is None else {**result, "score": score}
