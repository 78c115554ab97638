"""Where images lie: short vectors whose products say how alike two images look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.console import Console
from tagweave.data.manifest import Manifest
from tagweave.encoders.cache import RecordCache
from tagweave.graph.neighbours import fit_projection, pool_mean, unit_features
from tagweave.runs import atomic, key_of, read_json, write_json
from tagweave.steps.job import Job
from tagweave.steps.stored import open_records

COMPONENTS = 64  # 13 MB for 100,000 images
SAMPLE = 8192
ROWS_AT_ONCE = 4096


def open_points(run: Path, manifest: Manifest, console: Console) -> NDArray[np.float16] | None:
    """Return points (N, d) of unit length, made once per manifest; None where the run's records are gone."""
    record = run / "steps" / "embed.json"
    if not record.is_file():
        return None
    about = read_json(record)
    path = run / "review" / "points.npy"
    key = key_of(about.get("encoder_key"), manifest.digests)
    made = path.with_suffix(".json")
    if not (path.is_file() and made.is_file() and read_json(made)["key"] == key):
        if not Path(about["cache"]).is_dir():
            return None
        try:
            cache, positions = open_records(Job.load(run, console), manifest)
        except KeyError:  # the cache was emptied since
            return None
        with atomic(path) as partial:
            np.save(partial, _project(cache, positions, console))
        write_json(made, {"key": key})
    stored: NDArray[np.float16] = np.load(path, allow_pickle=False)
    return stored


def _project(cache: RecordCache, positions: NDArray[np.int64], console: Console) -> NDArray[np.float16]:
    width = cache.layout.parts[0]  # the final map's average
    sample = cache.features(positions[:: -(-len(positions) // SAMPLE)])[:, :width]
    mean = pool_mean(sample)
    projection = fit_projection(unit_features(sample, mean), COMPONENTS)
    parts = []
    with console.progress("prepare", "vectors") as progress:
        for start in range(0, len(positions), ROWS_AT_ONCE):
            block = cache.features(positions[start : start + ROWS_AT_ONCE])[:, :width]
            parts.append(projection.apply(unit_features(block, mean)).astype(np.float16))
            progress(start + len(block), len(positions))
    return np.concatenate(parts)


def nearest(points: NDArray[Any], row: int, among: NDArray[np.int64], count: int) -> list[tuple[int, float]]:
    """Return the ``count`` rows of ``among`` most like ``row``, itself left out, with their cosine, nearest first."""
    others = among[among != row]
    likeness = points[others].astype(np.float32) @ points[row].astype(np.float32)
    order: Sequence[int] = np.argsort(-likeness, kind="stable")[:count].tolist()
    return [(int(others[place]), float(likeness[place])) for place in order]
