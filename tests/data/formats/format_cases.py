"""Small label files and what is known of their images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagweave.data.annotations import Annotations
from tagweave.data.formats import read_annotations
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError


def cells(annotations: Annotations) -> dict[str, dict[str, int]]:
    """Known cells by image."""
    labels = annotations.labels
    return {
        image: {
            name: int(labels.values[row, c]) for c, name in enumerate(labels.names) if labels.known[row, c]
        }
        for row, image in enumerate(annotations.images)
    }  # fmt: skip


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def problems(path: Path, format: str | None = None) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_annotations(path, format)
    return caught.value.problems


def annotations_of(rows: dict[str, str], names: tuple[str, ...]) -> Annotations:
    """Rows such as ``{"a.jpg": "10? train"}``: a sign for each label, and the split."""
    signs = np.array([list(text.split()[0]) for text in rows.values()])
    splits = tuple((*text.split(), "")[1] for text in rows.values())
    return Annotations(
        LabelMatrix(signs == "1", signs != "?", names), tuple(rows), splits, tuple(range(len(rows))), "x"
    )
