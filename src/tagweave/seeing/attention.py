"""Attention, and where labels are seen, back on an image's own pixels: one picture per stage or label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.data.annotations import did_you_mean
from tagweave.data.images import decode
from tagweave.errors import InputError
from tagweave.predict import Classifier

Drawn = list[tuple[str, NDArray[np.floating]]]
"""What is laid over a batch of images: how each picture is called, and its weights (B, h, w)."""

SIDE = 1024  # longer sides are shrunk: a map of a few hundred cells says no more on more pixels


UNSAFE = '/\\:*?"<>|%'  # in the name of a file, somewhere


def write_attention(
    classifier: Classifier, names: Sequence[str], files: Sequence[Path], folder: Path, labels: Sequence[str] = ()
) -> Iterator[tuple[str, list[Path], str]]:
    """Write pictures of every image; yield (name, pictures, reason) one by one.

    Without labels it is the network's attention, ``NAME.stage-N.stride-S.png`` for every stage; with them where each
    is seen, ``NAME.label-LABEL.png``. The weights cover the whole image squashed to a square, so they are stretched to
    its own sides: the resize undone. A folder of the name is kept, and an image that cannot be read has a reason and
    no picture.

    Raises:
        InputError: the network has no attention; or a label that the classifier does not know, or no ridge of places.
    """
    from tagweave.encoders.cache import cache_folder
    from tagweave.encoders.extract import encode_files
    from tagweave.encoders.runners import build_runner

    draw = _labels_of(classifier, labels) if labels else _stages_of(classifier)
    encoder = classifier.built_encoder
    start = 0
    for rows, reasons, records in encode_files(files, encoder, build_runner(encoder, cache_folder(encoder))):
        drawn = draw(records) if rows else []
        place = {row: number for number, row in enumerate(rows)}
        for row in range(start, start + len(rows) + len(reasons)):
            if row in reasons:
                yield names[row], [], reasons[row]
                continue
            yield names[row], _write(files[row], folder / names[row], drawn, place[row]), ""
        start += len(rows) + len(reasons)


def _stages_of(classifier: Classifier) -> Callable[[NDArray[np.float16]], Drawn]:
    def draw(records: NDArray[np.float16]) -> Drawn:
        looks = classifier.attention(records)
        if not looks:
            raise InputError(
                f"Expected a network with attention, but got the head '{classifier.model.head}' with model.attention "
                f"{str(classifier.model.attention).lower()}; train one with --set model.attention=true."
            )
        return [(f"stage-{look.stage}.stride-{look.stride}", look.weights) for look in looks]

    return draw


def _labels_of(classifier: Classifier, labels: Sequence[str]) -> Callable[[NDArray[np.float16]], Drawn]:
    known = {name: column for column, name in enumerate(classifier.names)}
    if unknown := [label for label in labels if label not in known]:
        raise InputError(
            f"Expected labels of the classifier, such as {', '.join(classifier.names[:3])}, but got '{unknown[0]}'"
            f"{did_you_mean(unknown[0], known)}."
        )
    classifier.require_places()

    def draw(records: NDArray[np.float16]) -> Drawn:
        places = classifier.places(records)
        return [(f"label-{_safe(label)}", places[:, known[label]]) for label in dict.fromkeys(labels)]

    return draw


def _safe(label: str) -> str:
    """Write what may not be in the name of a file as %XX."""
    return "".join(f"%{ord(sign):02X}" if sign in UNSAFE or ord(sign) < 32 else sign for sign in label)


def _write(file: Path, target: Path, drawn: Drawn, row: int) -> list[Path]:
    from tagweave.report.pictures import overlay, thumbnail

    image = thumbnail(decode(file, at_least=SIDE), SIDE)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for name, weights in drawn:
        written.append(target.with_name(f"{target.name}.{name}.png"))
        overlay(image, weights[row]).save(written[-1])
    return written
