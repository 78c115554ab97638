"""The images of the page: what is known of each, what the model says, where it looked, who gave a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tagweave.data.images import decode
from tagweave.errors import ImageError
from tagweave.report import pictures
from tagweave.report.artefacts import Artefacts, Attention

MOST_CARDS = 12
MOST_EXAMPLES = 10
TOP = 5
SMALL = 200  # pixels of the images that stand in rows
MOST_DOUBTS = 3  # labels of a doubtful image


@dataclass(frozen=True)
class Guess:
    """Hold one of the highest probabilities; ``truth`` is None where nobody said."""

    label: str
    probability: float
    truth: bool | None


@dataclass(frozen=True)
class Card:
    """Hold one image; ``picture`` is None where it cannot be read, for the reason ``trouble``.

    ``labels`` are the known positives, None where nothing is known of the image; ``errors`` counts the known cells
    that were decided wrongly, None where nobody counted.
    """

    name: str
    split: str
    picture: str | None
    trouble: str
    stages: list[tuple[str, str]]
    labels: list[str] | None
    guesses: list[Guess]
    errors: int | None


@dataclass(frozen=True)
class Picture:
    """Hold one small image of a row and what is said of it; ``picture`` is None where it cannot be read."""

    name: str
    picture: str | None
    trouble: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Example:
    """Hold a propagated label and the labelled images that gave it, each with its share in per cent of one."""

    image: Picture
    givers: list[Picture]


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
        guesses=_guesses(artefacts, row),
        errors=attention.errors[number] if attention.errors else None,
    )


def suspects(artefacts: Artefacts) -> list[Picture] | None:
    """Return the given labels that are most likely wrong."""
    return None if artefacts.suspects is None else _pictures(artefacts, artefacts.suspects)


def doubtful(artefacts: Artefacts) -> list[Picture] | None:
    """Return the images that the model is least sure of, each with the labels that it doubts most."""
    if artefacts.doubtful is None:
        return None
    return _pictures(artefacts, [{**row, "doubts": _doubts(artefacts, row["image"])} for row in artefacts.doubtful])


def examples(artefacts: Artefacts) -> list[Example] | None:
    """Return propagated labels with the labelled images that gave them."""
    if artefacts.examples is None:
        return None
    found = artefacts.examples["examples"][:MOST_EXAMPLES]
    return [Example(_pictures(artefacts, [one])[0], _pictures(artefacts, one["givers"])) for one in found]


def _pictures(artefacts: Artefacts, rows: Sequence[dict[str, Any]]) -> list[Picture]:
    place = {name: row for row, name in enumerate(artefacts.manifest.paths)}
    return [_picture(artefacts, row, place.get(row["image"])) for row in rows]


def _picture(artefacts: Artefacts, facts: dict[str, Any], row: int | None) -> Picture:
    if row is None:
        return Picture(facts["image"], None, "is not in the manifest", facts)
    image, trouble = _small_image(artefacts.manifest.file(row), SMALL)
    return Picture(facts["image"], None if image is None else pictures.data_uri(image), trouble, facts)


def _doubts(artefacts: Artefacts, image: str) -> list[Guess]:
    """Return the unknown labels of an image whose probabilities are nearest to one half."""
    row = artefacts.manifest.paths.index(image)
    found = (artefacts.probabilities or {}).get(image)
    if found is None:
        return []
    order = [int(c) for c in np.argsort(np.abs(found - 0.5), kind="stable") if np.isfinite(found[c])]
    asked = [c for c in order if _truth(artefacts, row, c) is None]
    return [Guess(artefacts.names[c], float(found[c]), None) for c in asked[:MOST_DOUBTS]]


def _small_image(path: Path, side: int = pictures.SIDE) -> tuple[Image.Image | None, str]:
    try:
        return pictures.thumbnail(decode(path, at_least=side), side), ""
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


def _guesses(artefacts: Artefacts, row: int) -> list[Guess]:
    probabilities = (artefacts.probabilities or {}).get(artefacts.manifest.paths[row])
    if probabilities is None:
        return []
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return [
        Guess(artefacts.names[c], float(probabilities[c]), _truth(artefacts, row, int(c)))
        for c in order
        if not np.isnan(probabilities[c])
    ]


def _truth(artefacts: Artefacts, row: int, label: int) -> bool | None:
    given = artefacts.given
    return bool(given.values[row, label]) if given is not None and given.known[row, label] else None
