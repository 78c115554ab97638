"""What the decisions of a review changed: mAP on the same held-out images before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic, read_json, write_json
from tagweave.steps.stored import load_collection

HELD_OUT = ("test", "val")


@dataclass(frozen=True)
class HeldOut:
    """Hold what a run says of the labelled images of one collection, by what never saw their labels.

    Attributes:
        images: n paths. splits: (n,) of them. names: C labels. probabilities: (n, C).
    """

    images: tuple[str, ...]
    splits: NDArray[np.str_]
    names: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def of(self, split: str) -> dict[str, NDArray[np.float32]]:
        """Return image -> (C,) of the images of one split."""
        return {self.images[n]: self.probabilities[n] for n in np.flatnonzero(self.splits == split).tolist()}


@dataclass(frozen=True)
class Effect:
    """Hold mAP before and after, on ``images`` held out in both runs and over ``labels`` that both know.

    ``run`` is the reviewed one, ``said`` what was applied; ``why_not`` says why nothing is compared, else it is ''.
    """

    run: str
    said: str
    before: float | None = None
    after: float | None = None
    images: int = 0
    labels: int = 0
    why_not: str = ""


def read_held_out(run: Path) -> HeldOut | None:
    """Read what a run kept; None where it kept nothing."""
    path = run / "unseen.npz"
    if not path.is_file() or not (run / "given.npz").is_file():
        return None
    manifest, _ = load_collection(run)
    with np.load(path, allow_pickle=False) as stored:
        names, rows = tuple(str(name) for name in stored["names"]), stored["rows"]
        images = tuple(manifest.paths[row] for row in rows.tolist())
        return HeldOut(images, manifest.splits[rows], names, stored["probabilities"].astype(np.float32))


def read_before(run: Path, event: int) -> HeldOut | None:
    """Return what a reviewed run kept before its decisions up to ``event`` were first fitted.

    That is put into ``review/before.npz``, as the fit may take the run's place; it stays until decisions are added, so
    that a fit which is repeated or goes on is compared with the same.
    """
    path = run / "review" / "before.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            if int(stored["event"]) == event:
                images, names = (tuple(str(text) for text in stored[name]) for name in ("images", "names"))
                return HeldOut(images, stored["splits"], names, stored["probabilities"])
    found = read_held_out(run)
    if found is not None:
        with atomic(path) as partial:
            np.savez_compressed(
                partial, event=event, images=np.array(found.images, dtype=str), splits=found.splits.astype(str),
                names=np.array(found.names, dtype=str), probabilities=found.probabilities,
            )  # fmt: skip
    return found


def note_effect(run: Path, reviewed: Path, said: str, before: HeldOut | None) -> Effect:
    """Measure ``run`` against the reviewed run it was fitted from, and keep that in its measures and its report.

    Args:
        said: what was applied. before: of the reviewed run, see ``read_before``.
    """
    manifest, truth = load_collection(run)
    effect = _compare(reviewed.resolve().name, said, before, read_held_out(run), manifest, truth)
    path = run / "metrics.json"
    write_json(path, {**read_json(path), "review": asdict(effect)})
    if (run / "report.html").is_file():
        from tagweave.report import write_report

        write_report(run)
    return effect


def _compare(
    name: str, said: str, before: HeldOut | None, after: HeldOut | None, manifest: Manifest, truth: LabelMatrix
) -> Effect:  # fmt: skip
    if before is None or after is None:
        return Effect(name, said, why_not="the reviewed run kept no held-out scores; run 'tagweave evaluate' on it")
    row = {path: n for n, path in enumerate(manifest.paths)}
    for split in HELD_OUT:
        old, new = before.of(split), after.of(split)
        images = [image for image in new if image in old]
        names = [label for label in after.names if label in before.names]
        columns = [after.names.index(label) for label in names]
        if images and names:
            labels = truth.take(np.array([row[image] for image in images]))
            here = LabelMatrix(labels.values[:, columns], labels.known[:, columns], tuple(names))
            if here.positives.any():
                was = _mean(np.stack([old[image] for image in images])[:, [before.names.index(n) for n in names]], here)
                now = _mean(np.stack([new[image] for image in images])[:, columns], here)
                return Effect(name, said, was, now, len(images), int((here.positives > 0).sum()))
    return Effect(name, said, why_not="no labelled image was held out in both runs")


def _mean(scores: NDArray[np.float32], labels: LabelMatrix) -> float:
    from tagweave.metrics import average_precisions

    return float(np.nanmean(average_precisions(scores, labels)))
