"""The main job from Python: ``tagweave.fit`` and what a run folder can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import build_config
from tagweave.console import Console, Progress
from tagweave.data.images import find_images
from tagweave.data.manifest import Quarantined
from tagweave.errors import InputError
from tagweave.pipeline import is_measured
from tagweave.pipeline import run as run_job
from tagweave.predict import Classifier, Views
from tagweave.runs import read_json
from tagweave.steps.inputs import with_whole_paths
from tagweave.steps.job import Job

if TYPE_CHECKING:
    from tagweave.audit.run import LabelAudit
    from tagweave.suggest.run import Suggestions


@dataclass(frozen=True)
class Predictions:
    """Hold scores of N images.

    Attributes:
        images: N paths as found or given. names: C labels.
        probabilities: (N, C) calibrated, in [0, 1]. thresholds: (C,).
        quarantine: images that could not be read; they have no row.
    """

    images: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    quarantine: tuple[Quarantined, ...]

    def labels(self) -> list[list[str]]:
        """Return each image's labels, those at or above their threshold, most probable first."""
        from tagweave.tables import chosen

        return [chosen(row, self.names, self.thresholds) for row in self.probabilities]


class Run:
    """Use a finished run folder.

    Args:
        folder: as made by ``fit`` or the command line.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @cached_property
    def classifier(self) -> Classifier:
        """The trained model, loaded once."""
        return Classifier.load(self.folder / "model")

    def evaluate(self) -> dict[str, Any]:
        """Return the measures of every system on the held-out splits, as in ``metrics.json``.

        Where they stand measured the images and labels are not looked at.
        """
        if not is_measured(self.folder):
            run_job(Job.load(self.folder, Console(quiet=True)), "evaluate")
        content: dict[str, Any] = read_json(self.folder / "metrics.json")
        return content

    def predict(
        self,
        images: Path | str | Sequence[Path | str],
        progress: Progress | None = None,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
    ) -> Predictions:
        """Score a folder of images, or a list of files.

        Args:
            images: what to score.
            progress: called with the number done and the number of all.
            flip: take the mean with the mirrored images' probabilities.
            scales: take the mean over inputs of these sides, over the trained one.

        Raises:
            InputError: no trained model, or nothing to score.
        """
        classifier = self.classifier
        names, files, unseen = list_images(images)
        probabilities, reasons = classifier.predict_files(files, progress, Views(flip, tuple(scales)))
        good = [row for row in range(len(files)) if row not in reasons]
        bad = [Quarantined(names[row], reason) for row, reason in reasons.items()]
        if not good:
            raise InputError([f"{item.path}: {item.reason}; nothing is left to score" for item in bad])
        return Predictions(
            images=tuple(names[row] for row in good),
            names=classifier.names,
            probabilities=probabilities[good],
            thresholds=classifier.thresholds,
            quarantine=(*unseen, *bad),
        )

    def suggest(self, count: int = 50, strategy: str = "mixed") -> Suggestions:
        """Choose images to label next, see ``suggest_for_run``."""
        from tagweave.suggest.run import suggest_for_run

        return suggest_for_run(self.folder, count, strategy)

    def audit(self, count: int = 50, error_share: float = 0.05, with_test: bool = False) -> LabelAudit:
        """Find the given labels that are most likely wrong, see ``audit_run``."""
        from tagweave.audit.run import audit_run

        return audit_run(self.folder, count, error_share, with_test)


def list_images(images: Path | str | Sequence[Path | str]) -> tuple[list[str], list[Path], list[Quarantined]]:
    """Return names, files and what could not be entered, of an image, a folder of images or a list of files.

    Raises:
        InputError: nothing is there, or no image.
    """
    if not isinstance(images, str | Path):
        files = [Path(image) for image in images]
        return [str(image) for image in images], files, []
    place = Path(images)
    if place.is_file():
        return [place.name], [place], []
    if not place.is_dir():
        raise InputError(f"Expected an image or a folder of images at {place}, but nothing is there.")
    names, unseen = find_images(place)
    if not names:
        raise InputError(f"Expected images in {place}, but found none.")
    return names, [place / name for name in names], unseen


def fit(
    images: Path | str,
    labels: Path | str | None = None,
    *,
    out: Path | str | None = None,
    format: str | None = None,
    preset: str = "fast",
    config: Path | str | None = None,
    changes: Sequence[str] = (),
    until: str = "report",
    quiet: bool = False,
    command: str | None = None,
    **sections: Any,
) -> Run:
    """Propagate labels, train, measure and report; steps whose inputs did not change are not run again.

    Args:
        images: the image folder.
        labels: a label file, or a VOC folder.
        out: the run folder; ``runs/NAME`` after the image folder when None.
        format: of the labels; guessed when None.
        preset, config, changes, sections: see ``build_config``, e.g. ``seed=1`` or ``data={"label_budget": 0.1}``.
        until: the last step to run.
        quiet: say nothing.
        command: the command to note in the provenance.

    Raises:
        InputError: what is wrong with the input, all of it.
    """
    settings = build_config(preset, Path(config) if config is not None else None, changes, **sections)
    place = Path(images).resolve()  # a run folder is used from other working folders too
    job = Job(
        folder=Path(out) if out else default_run_folder(place),
        images=place,
        labels=Path(labels).resolve() if labels is not None else None,
        format=format,
        config=with_whole_paths(settings),
        console=Console(quiet),
        command=command,
    )
    run_job(job, until)
    return Run(job.folder)


def default_run_folder(images: Path) -> Path:
    """Return ``runs/NAME``, named after the image folder or, where that is called images, after its parent."""
    whole = images.resolve()
    generic = whole.name.lower() in ("images", "jpegimages") and whole.parent.name
    return Path("runs") / (whole.parent.name if generic else whole.name)
