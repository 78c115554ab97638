"""CVAT for images 1.1: one XML file, its tags and shapes read as labels of the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from tagweave.data.annotations import Annotations
from tagweave.data.formats.gathering import SPLIT_WORDS, Gathering
from tagweave.data.formats.plain_xml import refuse_unprintable, stream_elements, tag
from tagweave.errors import InputError

_NO_SUBSET = ("default", "")


def read_cvat(path: Path) -> Annotations:
    """Read the labels of ``<image>`` elements: of ``<tag>`` and of shapes, which show the label as well.

    An image with a tag or shape is fully labelled. One without is unlabelled, as CVAT exports images that nobody has
    looked at in the same way. ``subset`` gives the split.

    Raises:
        InputError: not XML, a DOCTYPE, or no images; problems of images are in the result.
    """
    gathering = Gathering(path.name, "image")
    number = 0
    try:
        for element in stream_elements(path, ("label", "image", "track")):
            number += element.tag == "image"
            _take(element, number, gathering)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: {error}") from error
    if not number:
        raise InputError(f"{path.name}: expected <image> elements of 'CVAT for images 1.1', but found none")
    return gathering.finish()


def _take(element: Element, number: int, gathering: Gathering) -> None:
    if element.tag == "track":
        raise ValueError("expected 'CVAT for images', but got a track of 'CVAT for video'; export for images")
    if element.tag == "label":
        gathering.label(element.findtext("name") or "", 1)
        return
    subset = element.get("subset", "").lower()
    split = "" if subset in _NO_SUBSET else gathering.split(SPLIT_WORDS.get(subset, subset), number)
    row = gathering.add(element.get("name", ""), number, split)
    names = [item.attrib["label"] for item in element if "label" in item.attrib]
    for name in names:
        gathering.say(row, gathering.label(name, number))
    if names:
        gathering.complete(row)


def write_cvat(path: Path, annotations: Annotations) -> tuple[str, ...]:
    """Write ``<image>`` elements with a ``<tag>`` for each label that is present.

    Raises:
        InputError: a name with characters that XML has no way to write.
    """
    refuse_unprintable("label", annotations.labels.names)
    refuse_unprintable("image", annotations.images)
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task><labels>\n'
        )
        for name in annotations.labels.names:
            file.write(f"<label>{tag('name', {}, name)}<type>tag</type></label>\n")
        file.write("</labels></task></meta>\n")
        file.writelines(_images(annotations))
        file.write("</annotations>\n")
    return ()


def _images(annotations: Annotations) -> Iterator[str]:
    names = annotations.labels.names
    for row, (image, split) in enumerate(zip(annotations.images, annotations.splits, strict=True)):
        attributes = {"id": str(row), "name": image} | ({"subset": split} if split else {})
        tags = "".join(
            tag("tag", {"label": names[c], "source": "manual"}) for c in np.flatnonzero(annotations.labels.values[row])
        )
        yield tag("image", attributes)[:-2] + f">{tags}</image>\n"
