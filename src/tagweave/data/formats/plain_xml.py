"""XML without declarations of entities, parsed whole or element by element."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from tagweave.data.formats.reach import refuse

_CHUNK = 1 << 20
_CONTROL = re.compile("[\x00-\x1f\ufffe\uffff]")


def parse_xml(content: bytes) -> Element:
    """Return the root of a document.

    Raises:
        ValueError: it is not XML, or has a DOCTYPE, whose entities can blow up to gigabytes or read other files.
    """
    roots: list[Element] = []
    parser = _parser(roots, None)
    _feed(parser, content, True)
    return roots[0]


def stream_elements(path: Path, tags: Collection[str]) -> Iterator[Element]:
    """Yield every outermost element with one of the tags, as soon as it ends; nothing else is kept.

    Raises:
        ValueError: as ``parse_xml``.
        OSError: the file cannot be read.
    """
    found: list[Element] = []
    parser = _parser(found, tags)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            _feed(parser, chunk, False)
            yield from found
            found.clear()
    _feed(parser, b"", True)


def tag(name: str, attributes: dict[str, str], text: str = "") -> str:
    """Return an element as text, everything escaped."""
    inside = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{inside}>{escape(text)}</{name}>" if text else f"<{name}{inside}/>"


def _parser(found: list[Element], tags: Collection[str] | None) -> Any:
    """Return an Expat parser that appends finished elements: those with ``tags``, or the root."""
    parser = expat.ParserCreate()
    open_elements: list[TreeBuilder] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        if not open_elements and (tags is None or name in tags):
            open_elements.append(TreeBuilder())
        if open_elements:
            depth += 1
            open_elements[0].start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        if open_elements:
            depth -= 1
            open_elements[0].end(name)
            if depth == 0:
                found.append(open_elements.pop().close())

    def text(content: str) -> None:
        if open_elements:
            open_elements[0].data(content)

    def refuse(*declaration: object) -> None:
        raise ValueError("expected plain XML, but got a DOCTYPE; save it without")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    return parser


def _feed(parser: Any, content: bytes, final: bool) -> None:
    try:
        parser.Parse(content, final)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error


def refuse_unprintable(what: str, words: tuple[str, ...]) -> None:
    """Refuse names with control characters, which XML 1.0 cannot hold.

    Raises:
        InputError: such names, all of them.
    """
    refuse(what, words, _CONTROL.search, "has a control character, which XML cannot hold; rename it")
