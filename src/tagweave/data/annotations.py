"""What a label file says of its images, and the words in which all formats tell what is wrong."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

SHOWN_PROBLEMS = 50

Problem = tuple[int, str]
"""A line or record number and what is wrong there."""


@dataclass(frozen=True)
class Annotations:
    """Hold the rows of a label file, in its order.

    Attributes:
        labels: one row per listed image.
        images: the images' relative paths as written, with forward slashes.
        splits: ``train``, ``val``, ``test``, or ``''`` where not given.
        lines: line or record numbers, for messages.
        source: the file's name, for messages.
        image_folder: where the format says the images are; None where it does not say.
        notes: what was read in spite of a doubt.
        unit: what ``lines`` counts: ``line``, ``record``, ...
        problems: what is wrong with the rows, for a caller that tells it together with problems of its own.
    """

    labels: LabelMatrix
    images: tuple[str, ...]
    splits: tuple[str, ...]
    lines: tuple[int, ...]
    source: str
    image_folder: Path | None = None
    notes: tuple[str, ...] = ()
    unit: str = "line"
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def raise_all(problems: Sequence[str]) -> None:
    """Raise the first problems in full and the others as a number; none is fine.

    Raises:
        InputError: there is a problem.
    """
    shown = list(problems[:SHOWN_PROBLEMS])
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"... and {len(problems) - SHOWN_PROBLEMS} more problems")
    if shown:
        raise InputError(shown)


def in_order(source: str, problems: Iterable[Problem], unit: str = "line") -> list[str]:
    """Return the problems of one file as text, in the order of its lines."""
    return [f"{source} {unit} {number}: {text}" for number, text in sorted(problems)]


def merged(told: Sequence[str], source: str, problems: Iterable[Problem], unit: str = "line") -> list[str]:
    """Return what a reader ``told`` of a file and further ``problems`` of it, in the order of the file's lines.

    What speaks of another place than a line of ``source`` comes first.
    """
    place = re.compile(rf"{re.escape(source)} {re.escape(unit)} (\d+): ")
    numbered = [(found, text) for text in told if (found := place.match(text))]
    others = [text for text in told if not place.match(text)]
    mine = [(int(found[1]), text[found.end() :]) for found, text in numbered]
    return [*others, *in_order(source, [*mine, *problems], unit)]


def image_path(text: str) -> tuple[str, str | None]:
    """Return an image's relative path with forward slashes, and what is wrong with it.

    A path is wrong where it is missing or leaves the image folder.
    """
    image = posixpath.normpath(text.replace("\\", "/")) if text else ""
    if image in ("", "."):
        return image, f"expected an image's path, but got '{text}'"
    if image.startswith("/") or re.match(r"[A-Za-z]:", image) or image.split("/")[0] == "..":
        return image, f"expected a path inside the image folder, but got '{text}'; write it relative to that folder"
    return image, None


def respelt(uses: Mapping[str, int]) -> dict[str, str]:
    """Return the label names that differ from a more frequent one only by case or spaces, each with that one.

    Args:
        uses: label name -> how often it is used.
    """
    usual: dict[str, str] = {}
    for name in sorted(uses, key=lambda name: -uses[name]):
        usual.setdefault(_plain(name), name)
    return {name: usual[_plain(name)] for name in uses if usual[_plain(name)] != name}


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def label_name(text: str) -> str:
    """Return a label's name in the one form that is compared: stripped, composed Unicode."""
    return unicodedata.normalize("NFC", text.strip())


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return '; did you mean ...?' with the closest choice, or '' when none is close."""
    close = get_close_matches(word, list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
