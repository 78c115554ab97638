"""Find, inspect and account for every file and row; choose the splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagweave.config import DataConfig
from tagweave.data.annotations import Annotations
from tagweave.data.collection import collect
from tagweave.data.formats import read_annotations
from tagweave.data.formats.sniff import sniff
from tagweave.data.formats.voc import read_voc
from tagweave.data.quarantine import write_quarantine
from tagweave.steps.job import Job
from tagweave.steps.stored import COLLECTION, save_collection


def check(job: Job, key: str) -> Mapping[str, Any]:
    """Find, inspect and account for every file and row; choose the splits."""
    from tagweave.model.word_vectors import label_vectors
    from tagweave.peers.registry import needs_vectors

    config = job.config.data
    annotations = None if job.labels is None else read_labels(job.labels, job.format, config)
    if annotations is not None and annotations.labels.names and needs_vectors(job.config.model):
        label_vectors(annotations.labels.names, job.config.model.word_vectors, job.config.model.label_words)
    with job.console.progress("check", "files") as progress:
        found = collect(
            job.images, annotations, val_fraction=config.val_fraction, test_fraction=config.test_fraction,
            label_budget=config.label_budget, seed=job.config.seed, strict=config.strict, progress=progress,
        )  # fmt: skip
    save_collection(job.folder / "check", found.manifest, found.labels)
    write_quarantine(job.folder / "check" / "quarantine.csv", found.quarantine)
    write_quarantine(job.folder / "quarantine.csv", found.quarantine)
    for note in found.notes:
        job.console.say(f"check: {note}")
    return {
        "images": len(found.manifest), "quarantined": len(found.quarantine), "notes": list(found.notes),
        "outputs": [f"check/{name}" for name in COLLECTION],
    }  # fmt: skip


def read_labels(source: Path, format: str | None, config: DataConfig) -> Annotations:
    """Read a label file or folder as a configuration asks for; where its format was guessed, a note says which."""
    if config.difficult != "positive" and (format or sniff(source)) == "voc":
        found = read_voc(source, config.difficult)
    else:
        found = read_annotations(source, format, defer=True)
    if format is None:
        found = replace(found, notes=(f"{source.name} is read as {sniff(source)}", *found.notes))
    return found
