"""The cards of single images: the photograph, what is known, what the model says, and where it looked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tagweave.data.images import decode
from tagweave.errors import ImageError
from tagweave.report import pictures
from tagweave.report.artefacts import Artefacts, Attention

MOST_CARDS = 12
TOP = 5


@dataclass(frozen=True)
class Guess:
    """Hold one of the highest probabilities; ``truth`` is None where nobody said."""

    label: str
    probability: float
    truth: bool | None


@dataclass(frozen=True)
class Card:
    """Hold one image; ``picture`` is None where it cannot be read, for the reason ``trouble``.

    ``labels`` are the known positives, None where nothing is known of the image.
    """

    name: str
    split: str
    picture: str | None
    trouble: str
    stages: list[tuple[str, str]]
    labels: list[str] | None
    guesses: list[Guess]


def cards(artefacts: Artefacts) -> list[Card] | None:
    """Return a card for each image with attention maps, twelve at most; images outside the manifest are passed over."""
    attention = artefacts.attention
    if attention is None:
        return None
    rows = {name: row for row, name in enumerate(artefacts.manifest.paths)}
    shown = [number for number, name in enumerate(attention.images) if name in rows][:MOST_CARDS]
    return [_card(artefacts, attention, number, rows[attention.images[number]]) for number in shown]


def _card(artefacts: Artefacts, attention: Attention, number: int, row: int) -> Card:
    image, trouble = _small_image(artefacts.manifest.file(row))
    return Card(
        name=artefacts.manifest.paths[row],
        split=str(artefacts.manifest.splits[row]),
        picture=None if image is None else pictures.data_uri(image),
        trouble=trouble,
        stages=[] if image is None else _stages(image, attention, number),
        labels=_known_labels(artefacts, row),
        guesses=_guesses(artefacts, number, row),
    )


def _small_image(path: Path) -> tuple[Image.Image | None, str]:
    try:
        return pictures.thumbnail(decode(path, at_least=pictures.SIDE)), ""
    except ImageError as error:
        return None, str(error)


def _stages(image: Image.Image, attention: Attention, number: int) -> list[tuple[str, str]]:
    overlays = (pictures.overlay(image, maps[number]) for maps in attention.maps)
    return [(stage, pictures.data_uri(picture)) for stage, picture in zip(attention.stages, overlays, strict=True)]


def _known_labels(artefacts: Artefacts, row: int) -> list[str] | None:
    given = artefacts.given
    if given is None or not given.known[row].any():
        return None
    return [artefacts.names[c] for c in np.flatnonzero(given.values[row])]


def _guesses(artefacts: Artefacts, number: int, row: int) -> list[Guess]:
    if artefacts.probabilities is None:
        return []
    probabilities = artefacts.probabilities[number]
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return [
        Guess(artefacts.names[c], float(probabilities[c]), _truth(artefacts, row, int(c)))
        for c in order
        if not np.isnan(probabilities[c])
    ]


def _truth(artefacts: Artefacts, row: int, label: int) -> bool | None:
    given = artefacts.given
    return bool(given.values[row, label]) if given is not None and given.known[row, label] else None
