"""Several runs side by side: measures with differences, labels, and what differs in how they were made."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.report.artefacts import measured_split
from tagweave.report.build import render_template, write_page
from tagweave.runs import read_json

FILE = "comparison.html"
MEASURES = ("mAP", "mAP_10", "CF1", "OF1", "one_error", "hamming_error", "ece")
LOWER_IS_BETTER = ("one_error", "hamming_error", "ece")
TITLES = {
    "mAP": "mAP", "mAP_10": "mAP, labels with ≥ 10", "CF1": "CF1 at 0.5", "OF1": "OF1 at 0.5",
    "one_error": "one-error", "hamming_error": "Hamming error", "ece": "calibration error",
}  # fmt: skip
ABSENT = "–"


@dataclass(frozen=True)
class Side:
    """Hold one run: its measures, None where it has none, and the average precision of each label."""

    name: str
    measures: dict[str, float | None]
    images: int
    labels_with_positives: int
    precisions: dict[str, float | None]
    settings: dict[str, Any]
    command: str


@dataclass(frozen=True)
class Comparison:
    """Hold runs side by side; the first is what the others are compared with.

    Attributes:
        split: that all were measured on.
        same_images: whether they were measured on the same images.
        labels: names, from the largest difference between two runs down.
        settings: (key, one value per run) of the settings that differ.
    """

    split: str
    same_images: bool
    sides: tuple[Side, ...]
    labels: list[str]
    settings: list[tuple[str, list[str]]]


def compare(runs: Sequence[Path]) -> Comparison:
    """Read runs and put them side by side.

    Raises:
        InputError: fewer than two, a folder without measures, or no split that all were measured on.
    """
    if len(runs) < 2:
        raise InputError(f"Expected two or more run folders to compare, but got {len(runs)}.")
    measured = [_measures_of(run) for run in runs]
    split = next((name for name in ("test", "val") if all(m["splits"].get(name) for m in measured)), None)
    if split is None:
        found = "; ".join(f"{run}: {', '.join(m['splits']) or 'none'}" for run, m in zip(runs, measured, strict=True))
        raise InputError(f"Expected runs that were measured on one split, but got {found}.")
    names = _distinct_names(runs)
    sides = tuple(_side(run, name, m, split) for run, name, m in zip(runs, names, measured, strict=True))
    held_out = {_held_out(run, split) for run in runs}
    labels = list(dict.fromkeys(label for side in sides for label in side.precisions))
    return Comparison(
        split=split,
        same_images=len(held_out) == 1,
        sides=sides,
        labels=sorted(labels, key=lambda label: (-_range(sides, label), label)),
        settings=_differences(sides),
    )


def write_comparison(runs: Sequence[Path], out: Path) -> Comparison:
    """Write the comparison as one page that needs no network; ``out`` is a file or a folder that is there.

    Raises:
        InputError: see ``compare``.
    """
    found = compare(runs)
    path = out / FILE if out.is_dir() else out
    path.parent.mkdir(parents=True, exist_ok=True)
    page = render_template(
        "comparison.html.j2", found=found, titles=TITLES, lower=LOWER_IS_BETTER, difference=difference
    )
    write_page(path, page)
    return found


def difference(value: float | None, first: float | None) -> str:
    """Write by how many percentage points a value differs from the first, with its sign."""
    if value is None or first is None:
        return ABSENT
    points = round(100 * (value - first), 1)
    return "±0.0" if points == 0 else f"{'+' if points > 0 else '−'}{abs(points):.1f}"


def _measures_of(run: Path) -> dict[str, Any]:
    path = run / "metrics.json"
    if not path.is_file():
        raise InputError(f"Expected a finished run at {run}, but there is no metrics.json: run 'tagweave fit' first.")
    found: dict[str, Any] = read_json(path)
    if measured_split(found) is None:
        raise InputError(f"Expected measures of held-out images in {path}, but got none: hold some labels out.")
    return found


def _side(run: Path, name: str, metrics: dict[str, Any], split: str) -> Side:
    main = metrics["splits"][split]["systems"][metrics["main"]]
    flat = {**main, **main["at_half"]}
    config = run / "config.toml"
    settings = _flat(tomllib.loads(config.read_text(encoding="utf-8"))) if config.is_file() else {}
    provenance = run / "provenance.json"
    return Side(
        name=name,
        measures={key: flat.get(key) for key in MEASURES},
        images=main["images"],
        labels_with_positives=main["labels_with_positives"],
        precisions={row["label"]: row["AP"] for row in main["per_label"]},
        settings=settings,
        command=read_json(provenance)["command"] if provenance.is_file() else "",
    )


def _flat(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _differences(sides: Sequence[Side]) -> list[tuple[str, list[str]]]:
    keys = dict.fromkeys(key for side in sides for key in side.settings)
    rows = [(key, [str(side.settings.get(key, ABSENT)) for side in sides]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _held_out(run: Path, split: str) -> frozenset[str]:
    """Return digests of the images of a split, so that two folders with the same photographs are the same."""
    path = run / "manifest.parquet"
    if not path.is_file():
        return frozenset()
    manifest = Manifest.load(path)
    return frozenset(manifest.digests[row] for row in manifest.rows(split).tolist())


def _range(sides: Sequence[Side], label: str) -> float:
    found = [value for side in sides if (value := side.precisions.get(label)) is not None]
    return max(found) - min(found) if len(found) > 1 else -1.0


def _distinct_names(runs: Sequence[Path]) -> list[str]:
    """Return the folders' names, or their paths as given where two are called the same."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
