"""A collection: image folder and label file brought together, every file and every row accounted for."""

from __future__ import annotations

import posixpath
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.data.annotations import Annotations, Problem, did_you_mean, merged, raise_all
from tagweave.data.images import SUFFIXES, Inspection, find_images, inspect
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import SPLITS, Manifest, Quarantined
from tagweave.data.splits import SplitPlan, assign_splits, near_duplicates
from tagweave.errors import ImageError, InputError
from tagweave.threads import available_threads

LEAST_IMAGES = 3  # fewer have no neighbourhood
_CHUNK = 32  # files per unit of work of a thread
_NEARBY = 500  # names on either side, in sorted order, among which a misspelt one is looked for


@dataclass(frozen=True)
class Collection:
    """Hold what a run works on.

    Attributes:
        manifest: the N usable images.
        labels: (N, C), budget applied.
        quarantine: files and label rows that are not used, each with its reason.
        duplicates: (N,) group numbers; near-duplicates share one.
        notes: sentences that a person should read, the account of all files first.
    """

    manifest: Manifest
    labels: LabelMatrix
    quarantine: tuple[Quarantined, ...]
    duplicates: NDArray[np.int64]
    notes: tuple[str, ...]


def collect(
    folder: Path,
    annotations: Annotations | None,
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.2,
    label_budget: float | None = None,
    seed: int = 0,
    strict: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Collection:
    """Find and check the images of a folder, give them their labels and splits, and account for everything.

    Args:
        folder: the image folder. If the annotations' own image folder lies in it, that one is used.
        annotations: the label rows; None leaves all images unlabelled ``train``.
        val_fraction: see ``SplitPlan``, as the next three.
        test_fraction: share of the labelled images.
        label_budget: a share up to 1, or a number.
        seed: of all draws.
        strict: raise instead of quarantining.
        workers: threads that read images; None takes all processors.
        progress: called with files done and files in all.

    Raises:
        InputError: no folder or too few images, rows that fit no file or several, no label to train on, or, with
            ``strict``, anything to quarantine.
    """
    plan = SplitPlan(val_fraction, test_fraction, label_budget, seed)
    root = _image_root(folder, annotations)
    paths, unseen = find_images(root)
    names = [*paths, *(item.path for item in unseen)]
    if not names:
        raise InputError(f"Expected images in {root}, but found no file ending in {' '.join(SUFFIXES)}.")
    listed = _nothing_listed() if annotations is None else annotations
    file_of_row = match_rows(listed, names, root)
    outcomes = [*_inspect_all(root, paths, workers, progress), *(item.reason for item in unseen)]
    quarantine = _quarantine(listed, file_of_row, names, outcomes)
    if strict:
        raise_all([f"{item.path}: {item.reason}" for item in quarantine])
    usable = np.array([place for place, outcome in enumerate(outcomes) if isinstance(outcome, Inspection)], dtype=int)
    _check_count(root, len(usable), quarantine)

    images = [(names[place], outcomes[place]) for place in usable]
    digests, sizes, groups = _describe([outcome for _, outcome in images if isinstance(outcome, Inspection)])
    labels, given = _label_files(listed, file_of_row, usable)
    labels, splits, notes = assign_splits(labels, given, groups, plan)
    if annotations is not None:
        _check_labelled(labels, splits, annotations.source)
    account = _account(len(usable), quarantine, int((file_of_row < 0).sum()))
    return Collection(
        manifest=Manifest(root, tuple(name for name, _ in images), digests, sizes, splits),
        labels=labels,
        quarantine=quarantine,
        duplicates=groups,
        notes=(account, *listed.notes, *notes, *_label_notes(labels, splits), *_duplicate_notes(groups, splits)),
    )


def _nothing_listed() -> Annotations:
    return Annotations(LabelMatrix.unlabelled(0, ()), (), (), (), "")


def _image_root(folder: Path, annotations: Annotations | None) -> Path:
    if not folder.is_dir():
        kind = "it is a file" if folder.exists() else "nothing is there"
        raise InputError(f"Expected an image folder at {folder}, but {kind}.")
    inner = annotations.image_folder if annotations else None
    return inner if inner and inner.resolve().is_relative_to(folder.resolve()) else folder


def match_rows(annotations: Annotations, paths: Sequence[str], root: Path) -> NDArray[np.int64]:
    """Return for every annotation row (R,) the place of its file in ``paths``, -1 where it has none.

    A row names a file by its relative path, in any Unicode form, or else by a file name that is unique.

    Raises:
        InputError: the annotations' own problems, a file name that lies in several folders, two rows that name one
            file, or, where the annotations do not bring their own image folder, a file that is missing.
    """
    file_of_row = _match_exactly(annotations.images, paths)
    by_name: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(paths):
        by_name[_composed(posixpath.basename(path))].append(place)
    problems: list[Problem] = []
    missing: list[int] = []
    for row in np.flatnonzero(file_of_row < 0).tolist():
        candidates = by_name[_composed(posixpath.basename(annotations.images[row]))]
        if len(candidates) == 1:
            file_of_row[row] = candidates[0]
        elif candidates:
            problems.append((annotations.lines[row], _ambiguity(annotations.images[row], candidates, paths)))
        else:
            missing.append(row)
    problems += _shared_files(annotations, file_of_row, paths)
    if annotations.image_folder is None:
        problems += _absences(annotations, missing, paths, root)
    raise_all(merged(annotations.problems, annotations.source, problems, annotations.unit))
    return file_of_row


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _match_exactly(images: Sequence[str], paths: Sequence[str]) -> NDArray[np.int64]:
    exact = {path: place for place, path in enumerate(paths)}
    composed = {_composed(path): place for path, place in exact.items()}
    places = [exact.get(image, composed.get(_composed(image), -1)) for image in images]
    return np.array(places, dtype=np.int64)


def _ambiguity(image: str, candidates: Sequence[int], paths: Sequence[str]) -> str:
    names = " and ".join(f"'{paths[place]}'" for place in candidates[:2])
    more = f" and {len(candidates) - 2} more" if len(candidates) > 2 else ""
    return f"image '{image}' may be {names}{more}; write the path with its folder"


def _shared_files(annotations: Annotations, file_of_row: NDArray[np.int64], paths: Sequence[str]) -> list[Problem]:
    rows_of_file: dict[int, list[int]] = defaultdict(list)
    for row, place in enumerate(file_of_row.tolist()):
        rows_of_file[place].append(row)
    return [
        (
            annotations.lines[row],
            f"image '{annotations.images[row]}' is the file '{paths[place]}', "
            f"which {annotations.unit} {annotations.lines[rows[0]]} names too; keep one row",
        )
        for place, rows in rows_of_file.items()
        if place >= 0
        for row in rows[1:]
    ]


def _absences(annotations: Annotations, missing: Sequence[int], paths: Sequence[str], root: Path) -> list[Problem]:
    names = sorted(paths)
    suggested = set(missing[:100])  # a search takes milliseconds, and only the first problems are shown
    return [
        (
            annotations.lines[row],
            f"image '{annotations.images[row]}' is not in {root.name or root}"
            + (_way_out(annotations.images[row], names, root) if row in suggested else ""),
        )
        for row in missing
    ]


def _way_out(image: str, names: Sequence[str], root: Path) -> str:
    if (root / image).is_file():
        return f" as an image: expected a name ending in {' '.join(SUFFIXES)}"
    place = bisect_left(names, image)
    return did_you_mean(image, names[max(0, place - _NEARBY) : place + _NEARBY])


def _inspect_all(
    root: Path, paths: Sequence[str], workers: int | None, progress: Callable[[int, int], None] | None
) -> list[Inspection | str]:
    """Return for every path what its file holds, or why it cannot be used."""
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    results: list[Inspection | str] = []
    with ThreadPoolExecutor(workers or available_threads()) as pool:
        for chunk in pool.map(lambda names: [_inspect(root / name) for name in names], chunks):
            results += chunk
            if progress:
                progress(len(results), len(paths))
    return results


def _inspect(path: Path) -> Inspection | str:
    try:
        return inspect(path)
    except ImageError as error:
        return str(error)


def _quarantine(
    annotations: Annotations,
    file_of_row: NDArray[np.int64],
    names: Sequence[str],
    outcomes: Sequence[Inspection | str],
) -> tuple[Quarantined, ...]:
    """Gather what is not used: names with a reason instead of an inspection, and rows without a file."""
    row_of_file = {place: row for row, place in enumerate(file_of_row.tolist())}
    quarantined = []
    for place, (name, outcome) in enumerate(zip(names, outcomes, strict=True)):
        if isinstance(outcome, str):
            row = row_of_file.get(place)
            where = (
                "" if row is None else f" (listed in {annotations.source} {annotations.unit} {annotations.lines[row]})"
            )
            quarantined.append(Quarantined(name, outcome + where))
    for row in np.flatnonzero(file_of_row < 0).tolist():
        reason = f"listed in {annotations.source} for {annotations.splits[row] or 'train'}, no file"
        quarantined.append(Quarantined(annotations.images[row], reason))
    return tuple(sorted(quarantined, key=lambda item: item.path))


def _check_count(root: Path, usable: int, quarantine: Sequence[Quarantined]) -> None:
    if usable >= LEAST_IMAGES:
        return
    reasons = "".join(f"; {item.path}: {item.reason}" for item in quarantine[:LEAST_IMAGES])
    raise InputError(
        f"Expected at least {LEAST_IMAGES} usable images in {root}, as images are compared with their neighbours, "
        f"but got {usable} and {len(quarantine)} quarantined; add images{reasons}"
    )


def _describe(
    inspections: Sequence[Inspection],
) -> tuple[tuple[str, ...], NDArray[np.int32], NDArray[np.int64]]:
    """Return digests, sizes (N, 2) and groups of near-duplicates (N,)."""
    digests = tuple(item.digest for item in inspections)
    sizes = np.array([(item.width, item.height) for item in inspections], dtype=np.int32)
    fingerprints = np.array([item.fingerprint for item in inspections], dtype=np.uint64)
    return digests, sizes, near_duplicates(fingerprints, digests)


def _label_files(
    annotations: Annotations, file_of_row: NDArray[np.int64], usable: NDArray[np.int64]
) -> tuple[LabelMatrix, NDArray[np.str_]]:
    """Return labels (N, C) and given splits (N,) of the usable files; nothing is known of files that no row names."""
    row_of_file = {place: row for row, place in enumerate(file_of_row.tolist())}
    rows = np.array([row_of_file.get(place, -1) for place in usable.tolist()], dtype=np.int64)
    listed = rows >= 0
    blank = LabelMatrix.unlabelled(len(rows), annotations.labels.names)
    values, known, given = blank.values, blank.known, np.full(len(rows), "", dtype="<U5")
    values[listed] = annotations.labels.values[rows[listed]]
    known[listed] = annotations.labels.known[rows[listed]]
    given[listed] = np.array(annotations.splits, dtype="<U5")[rows[listed]]
    return LabelMatrix(values, known, annotations.labels.names), given


def _check_labelled(labels: LabelMatrix, splits: NDArray[np.str_], source: str) -> None:
    if not (labels.labelled & (splits == "train")).any():
        counts = ", ".join(f"{int((labels.labelled & (splits == split)).sum())} in {split}" for split in SPLITS)
        raise InputError(
            f"Expected labelled images to train on, but {source} gives labels to {counts}, readable files counted; "
            "label some images or change their split to train"
        )


def _account(used: int, quarantine: Sequence[Quarantined], missing: int) -> str:
    listed = f" ({missing} of them listed without a file)" if missing else ""
    return f"{used + len(quarantine)} given = {used} used + {len(quarantine)} quarantined{listed}"


def _label_notes(labels: LabelMatrix, splits: NDArray[np.str_]) -> list[str]:
    anywhere = labels.positives > 0
    trained = labels.take(splits == "train").positives > 0
    notes = []
    if not anywhere.all():
        notes.append(f"{_names(labels, ~anywhere)} no known positive at all")
    if (anywhere & ~trained).any():
        notes.append(f"{_names(labels, anywhere & ~trained)} no known positive in train and cannot be learnt")
    if labels.labelled.all():
        notes.append("every image is labelled: there is nothing to propagate to")
    return notes


def _names(labels: LabelMatrix, chosen: NDArray[np.bool_]) -> str:
    names = [labels.names[place] for place in np.flatnonzero(chosen)]
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names)} of {len(labels.names)} labels ({', '.join(names[:5])}{more}) have"


def _duplicate_notes(groups: NDArray[np.int64], splits: NDArray[np.str_]) -> list[str]:
    sizes = np.bincount(groups)
    if sizes.max() < 2:
        return []
    present = np.stack([np.bincount(groups[splits == split], minlength=len(sizes)) for split in SPLITS], axis=1)
    across = (present > 0).sum(axis=1) > 1
    tested = int(present[across, SPLITS.index("test")].sum())
    return [
        f"{int((sizes > 1).sum())} groups of near-duplicates with {int(sizes[sizes > 1].sum())} images; "
        f"{int(across.sum())} groups lie across splits, with {tested} test images"
    ]
