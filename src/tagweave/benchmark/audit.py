"""Catch a leak: what is learned must be the same to the bit whatever the test images hold."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from tagweave.benchmark.dataset import Held
from tagweave.benchmark.fitted import drawn, place
from tagweave.config import Config
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.pipeline import advance
from tagweave.runs import key_of

LEARNED = ("model/model.safetensors", "model/model.json")


def audit(held: Held, config: Config, budget: float, folder: Path) -> None:
    """Fit twice, the second time with the test's labels turned round and its images replaced by one of the pool.

    Raises:
        InputError: the two models differ in a byte, so something of the test reaches what is learned.
    """
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier version learned proves nothing of this one
    manifest, labels = drawn(held, budget, config)
    found = []
    for name, (images, known) in {"as-is": (manifest, labels), "turned": turned(manifest, labels)}.items():
        job = place(held, images, known, config, folder / name)
        advance(job, key_of(held.digest, name, budget, config.seed), ("propagate", "train"))
        found.append([(job.folder / part).read_bytes() for part in LEARNED])
    differ = [part for part, one, other in zip(LEARNED, *found, strict=True) if one != other]
    if differ:
        raise InputError(
            f"Expected the same model whatever the test images hold, but {' and '.join(differ)} differ: test labels or "
            f"features reach the fit. Compare {folder / 'as-is'} with {folder / 'turned'}."
        )


def turned(manifest: Manifest, labels: LabelMatrix) -> tuple[Manifest, LabelMatrix]:
    """Return the collection with every known test cell turned round and every test image the pool's first."""
    test = manifest.splits == "test"
    first = manifest.digests[int(np.flatnonzero(~test)[0])]
    digests = tuple(first if tested else own for tested, own in zip(test, manifest.digests, strict=True))
    values = np.where(test[:, None] & labels.known, ~labels.values, labels.values)
    return replace(manifest, digests=digests), LabelMatrix(values, labels.known, labels.names)
