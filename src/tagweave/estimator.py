"""The whole of tagweave as a scikit-learn classifier: of image files, or of features."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from tagweave.api import Run, default_run_folder, fit
from tagweave.data.annotations import Annotations
from tagweave.data.formats.parquet import write_parquet
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.arrays import label_matrix
from tagweave.graph.label_propagator import LabelPropagator
from tagweave.metrics import average_precisions
from tagweave.runs import atomic
from tagweave.steps.stored import load_collection
from tagweave.tables import chosen

if TYPE_CHECKING:
    from sklearn.utils import Tags

Floats = NDArray[np.float64]


class TagWeaveClassifier(ClassifierMixin, BaseEstimator):
    """Classify images with any number of labels each, from labels of a few.

    Takes two kinds of X:

    - **paths of image files**, a sequence of N: the whole job of ``tagweave.fit`` in a run folder. The images are
      linked there, none beside them is looked at.
    - **features** (N, D), an embedding of each image: propagation over the graph of similar images and the closed-form
      teacher, blended and calibrated by cross-fitting, as ``tagweave.graph.LabelPropagator``.

    Y (N, C) is 1, 0, or NaN for unknown, which is never "absent"; or a LabelMatrix, or a pandas frame with a column per
    label. Unlabelled images are rows of nothing but unknown: they are the pool that labels spread to, so give them too.

    Args:
        label_names: C names; those of a LabelMatrix or frame, or the columns' numbers, when None.
        out: for paths: the run folder; ``runs/NAME`` after the images' folder when None.
        preset: for paths: of the configuration.
        settings: for paths: sections of the configuration, such as ``{"train": {"epochs": 20}}``. Where the labels
            have no names, ``model.word_vectors`` is ``one-hot`` unless said otherwise.
        quiet: for paths: say nothing of the progress.
        propagator: for features: a LabelPropagator to copy; the default one when None.
        random_state: the seed; that of a given propagator stands.

    Attributes:
        classes_: the label names (C,), in the order of Y's columns. thresholds_: (C,) from which a label is predicted.
        label_distributions_: (N, C) probabilities of the images given to ``fit``, known cells 0 or 1; rows of NaN where
            an image could not be read.
        run_: for paths: the finished ``tagweave.Run``. propagator_: for features: the fitted propagator.
    """

    def __init__(
        self,
        *,
        label_names: Sequence[str] | None = None,
        out: Path | str | None = None,
        preset: str = "fast",
        settings: Mapping[str, Any] | None = None,
        quiet: bool = True,
        propagator: LabelPropagator | None = None,
        random_state: int = 0,
    ) -> None:
        self.label_names = label_names
        self.out = out
        self.preset = preset
        self.settings = settings
        self.quiet = quiet
        self.propagator = propagator
        self.random_state = random_state

    def fit(self, X: ArrayLike | Sequence[Path | str], Y: ArrayLike | LabelMatrix) -> Self:
        """Learn from the known cells of Y (N, C).

        Raises:
            InputError: the lengths differ, a label is none of 1, 0 and NaN, an image is given twice, nothing is known;
                for paths also what ``tagweave.fit`` finds wrong.
        """
        labels = self._labels(Y)
        files = image_files(X)
        if len(np.asarray(X) if files is None else files) != len(labels):
            raise InputError(
                f"Expected one row of Y per row of X, but got {len(labels)} and "
                f"{len(np.asarray(X) if files is None else files)}."
            )
        self.classes_ = np.array(labels.names, dtype=object)
        if files is None:
            self._fit_features(np.asarray(X), labels)
        else:
            self._fit_files(files, labels)
        return self

    def _labels(self, Y: ArrayLike | LabelMatrix) -> LabelMatrix:
        columns = getattr(Y, "columns", None)
        labels = LabelMatrix.from_pandas(Y) if columns is not None else label_matrix(Y)
        if self.label_names is None:
            return labels
        if len(self.label_names) != len(labels.names):
            raise InputError(f"Expected {len(labels.names)} label names, but got {len(self.label_names)}.")
        return LabelMatrix(labels.values, labels.known, tuple(map(str, self.label_names)))

    def _fit_features(self, features: NDArray[Any], labels: LabelMatrix) -> None:
        made = LabelPropagator(random_state=self.random_state) if self.propagator is None else clone(self.propagator)
        cells = np.where(labels.known, labels.values.astype(np.float64), np.nan)
        self.propagator_: LabelPropagator = made.fit(features, cells)
        self.n_features_in_ = self.propagator_.n_features_in_
        self.thresholds_: Floats = np.asarray(self.propagator_.thresholds_)
        self.label_distributions_: Floats = self.propagator_.label_distributions_
        self.run_: Run | None = None

    def _fit_files(self, files: list[Path], labels: LabelMatrix) -> None:
        whole = common_folder(files)
        out = (Path(self.out) if self.out is not None else default_run_folder(whole)).resolve()
        names = link_images(files, whole, out / "images")
        rows = Annotations(labels, tuple(names), ("",) * len(names), tuple(range(len(names))), "Y")
        with atomic(out / "given.parquet") as partial:
            write_parquet(partial, rows)
        self.run_ = fit(
            out / "images", out / "given.parquet", out=out, preset=self.preset, quiet=self.quiet,
            command="TagWeaveClassifier.fit", **{"seed": self.random_state, **self._sections(labels)},
        )  # fmt: skip
        classifier = self.run_.classifier
        self._order = [classifier.names.index(name) for name in labels.names]
        self.thresholds_ = classifier.thresholds[self._order]
        self.label_distributions_ = _propagated(self.run_.folder, names)[:, self._order]
        _warn_of([names[row] for row in np.flatnonzero(np.isnan(self.label_distributions_).any(axis=1))])

    def _sections(self, labels: LabelMatrix) -> dict[str, Any]:
        sections = {key: dict(value) if isinstance(value, Mapping) else value for key, value in _pairs(self.settings)}
        if labels.names == tuple(map(str, range(len(labels.names)))):
            sections["model"] = {"word_vectors": "one-hot", **sections.get("model", {})}
        return sections

    def predict_proba(self, X: ArrayLike | Sequence[Path | str]) -> Floats:
        """Return calibrated probabilities (Q, C) of images that need not have been given to ``fit``.

        Raises:
            InputError: X is of the other kind than in ``fit``, or an image cannot be read; all such are told.
            sklearn.exceptions.NotFittedError: ``fit`` comes first.
        """
        check_is_fitted(self, "classes_")
        files = image_files(X)
        if (files is None) != (self.run_ is None):
            kinds = ("features", "paths of images")
            raise InputError(f"Expected {kinds[self.run_ is not None]} as in fit, but got {kinds[files is not None]}.")
        if files is None or self.run_ is None:
            return self.propagator_.predict_proba(np.asarray(X))
        probabilities, reasons = self.run_.classifier.predict_files(files)
        if reasons:
            raise InputError([f"{files[row]}: {reason}; leave it out" for row, reason in reasons.items()])
        return probabilities[:, self._order]

    def predict(self, X: ArrayLike | Sequence[Path | str]) -> NDArray[np.int64]:
        """Return 1 and 0 (Q, C): whether a label's probability reaches its threshold."""
        return (self.predict_proba(X) >= self.thresholds_).astype(np.int64)

    def decision_names(self, X: ArrayLike | Sequence[Path | str]) -> list[list[str]]:
        """Return the names of each image's predicted labels, most probable first."""
        return [chosen(row, list(self.classes_), self.thresholds_) for row in self.predict_proba(X)]

    def score(
        self, X: ArrayLike | Sequence[Path | str], Y: ArrayLike | LabelMatrix, sample_weight: None = None
    ) -> float:
        """Return mAP over the labels with a known positive in Y (METHOD §7); cells that are unknown do not count."""
        return float(np.nanmean(average_precisions(self.predict_proba(X), self._labels(Y))))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


def image_files(X: Any) -> list[Path] | None:
    """Return the paths that X holds, or None where it holds features.

    Raises:
        InputError: X is neither.
    """
    if isinstance(X, str | Path):
        raise InputError(f"Expected a list of image files or features (N, D), but got '{X}'; see tagweave.fit.")
    if getattr(X, "ndim", 1) != 1 or not len(X) or not all(isinstance(item, str | os.PathLike) for item in X):
        return None
    return [Path(item) for item in X]


def common_folder(files: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all files."""
    return Path(os.path.commonpath([file.absolute().parent for file in files]))


def link_images(files: Sequence[Path], whole: Path, place: Path) -> list[str]:
    """Link files into a folder, under the names they have below ``whole``; return these names.

    Links of an earlier call that are not among them are taken away.

    Raises:
        InputError: a file is given twice.
    """
    names = [file.absolute().relative_to(whole).as_posix() for file in files]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError([f"Expected each image once, but got {whole / name} more than once." for name in twice])
    wanted = set(names)
    for link in [link for link in place.rglob("*") if link.is_symlink()]:
        if link.relative_to(place).as_posix() not in wanted:
            link.unlink()
    for name, file in zip(names, files, strict=True):
        link = place / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not (link.is_symlink() and link.readlink() == file.absolute()):
            link.unlink(missing_ok=True)
            link.symlink_to(file.absolute())
    return names


def _propagated(run: Path, images: Sequence[str]) -> Floats:
    """Return the propagated probabilities (N, C) of a run's images, NaN for those that it could not use."""
    import pyarrow.parquet as pq

    manifest, labels = load_collection(run)
    cells = pq.read_table(run / "labels.parquet", columns=["probability"])["probability"].to_numpy()
    row_of = {path: row for row, path in enumerate(images)}
    found = np.full((len(images), len(labels.names)), np.nan)
    found[[row_of[path] for path in manifest.paths]] = cells.reshape(len(manifest), -1)
    return found


def _pairs(settings: Mapping[str, Any] | None) -> Sequence[tuple[str, Any]]:
    return tuple((settings or {}).items())


def _warn_of(unread: Sequence[str]) -> None:
    if unread:
        shown = ", ".join(unread[:5]) + (", ..." if len(unread) > 5 else "")
        warnings.warn(f"{len(unread)} images could not be used ({shown}); see quarantine.csv", stacklevel=4)
