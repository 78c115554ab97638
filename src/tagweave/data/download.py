"""Public data sets, fetched by torchvision when a person asks for it."""

from __future__ import annotations

from pathlib import Path

from tagweave.data.annotations import did_you_mean
from tagweave.errors import InputError

DATA_SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "voc2007": ("VOCdevkit/VOC2007", ("trainval", "test")),
    "voc2012": ("VOCdevkit/VOC2012", ("trainval",)),
}
"""Name -> the folder that an archive unpacks to, and the image sets to fetch."""


def data_folder(name: str, root: Path, *, download: bool = False) -> Path:
    """Return the folder of a data set below ``root``, fetched before if that is asked for and it is not there.

    Raises:
        InputError: the data set is unknown, or not there and not asked for, or it could not be fetched.
    """
    if name not in DATA_SETS:
        raise InputError(
            f"Expected a data set of {', '.join(DATA_SETS)}, but got '{name}'{did_you_mean(name, DATA_SETS)}"
        )
    folder = root / DATA_SETS[name][0]
    if not folder.is_dir() and not download:
        raise InputError(f"Expected {name} in {folder}, but nothing is there; put it there or add --download")
    if not folder.is_dir():
        _fetch(name, root)
    return folder


def _fetch(name: str, root: Path) -> None:
    from torchvision.datasets import VOCDetection

    root.mkdir(parents=True, exist_ok=True)
    for image_set in DATA_SETS[name][1]:
        try:
            VOCDetection(str(root), year=name.removeprefix("voc"), image_set=image_set, download=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{name} ({image_set}) could not be fetched: {error}; fetch it by hand into {root}"
            ) from error
