"""Compute the record of every image once, into the cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tagweave.data.manifest import Manifest
from tagweave.data.quarantine import read_quarantine, write_quarantine
from tagweave.runs import read_json
from tagweave.steps.job import Job
from tagweave.steps.stored import COLLECTION, load_collection, save_collection


def embed(job: Job, key: str) -> Mapping[str, Any]:
    """Compute the records that the cache lacks; images that fail after all go to quarantine.

    Where the backbone is to learn, its own maps are of no use, and only the pooled features are stored: propagation
    compares images by them.
    """
    from tagweave.encoders.backbones import build_encoder
    from tagweave.encoders.cache import RecordCache
    from tagweave.encoders.extract import extract
    from tagweave.encoders.pooled_features import features_only
    from tagweave.encoders.runners import build_runner

    manifest, labels = load_collection(job.folder / "check")
    encoder = build_encoder(**job.config.encoder.model_dump())
    if job.config.train.regime == "finetune":
        encoder = features_only(encoder)
    cache = RecordCache.of(encoder)
    with job.console.progress("embed", "images") as progress:
        bad = extract(manifest, encoder, build_runner(encoder, cache.folder), cache, progress)
    lost = {item.path for item in bad}
    kept = np.array([path not in lost for path in manifest.paths], dtype=bool)
    save_collection(job.folder, manifest.take(kept), labels.take(kept))
    write_quarantine(job.folder / "quarantine.csv", [*read_quarantine(job.folder / "check" / "quarantine.csv"), *bad])
    notes = [f"{len(bad)} images could not be read while embedding; see quarantine.csv"] if bad else []
    return {
        "cache": str(cache.folder), "encoder_key": encoder.key, "images": int(kept.sum()), "notes": notes,
        "outputs": list(COLLECTION),
    }  # fmt: skip


def forget_lost_records(folder: Path) -> None:
    """Let ``embed`` run again where the cache it filled was emptied since."""
    record = folder / "steps" / "embed.json"
    if not record.is_file() or not (folder / "manifest.parquet").is_file():
        return
    index = Path(read_json(record)["cache"]) / "index.txt"
    stored = set(index.read_text(encoding="utf-8", errors="replace").split()) if index.is_file() else set()
    if not stored.issuperset(Manifest.load(folder / "manifest.parquet").digests):
        record.unlink()
