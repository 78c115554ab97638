"""XML that cannot blow up."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tagweave.data.formats import plain_xml
from tagweave.data.formats.plain_xml import parse_xml, refuse_unprintable, stream_elements, tag
from tagweave.errors import InputError

DOCUMENT = "<a x='1'><b>é<c/>t</b><d><b>two</b></d><b>three</b></a>"


def test_trees_are_those_of_the_standard_library() -> None:
    assert ElementTree.tostring(parse_xml(DOCUMENT.encode())) == ElementTree.tostring(ElementTree.fromstring(DOCUMENT))


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_elements_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(plain_xml, "_CHUNK", chunk)
    (tmp_path / "a.xml").write_text(DOCUMENT, encoding="utf-8")
    found = ["".join(element.itertext()) for element in stream_elements(tmp_path / "a.xml", ("b",))]
    assert found == ["ét", "two", "three"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "declaration",
    ['<!DOCTYPE a [<!ENTITY x "ha">]>', '<!DOCTYPE a SYSTEM "http://host/a.dtd">', "<!DOCTYPE a>"],
)
def test_every_doctype_is_refused(declaration: str, encoding: str) -> None:
    with pytest.raises(ValueError, match="expected plain XML, but got a DOCTYPE"):
        parse_xml(f"{declaration}<a/>".encode(encoding))


def test_damage_is_told() -> None:
    with pytest.raises(ValueError, match="mismatched tag: line 1, column 5"):
        parse_xml(b"<a></b>")


def test_written_elements_are_escaped() -> None:
    text = tag("a", {"x": "<'\"&"}, "</a>&")
    assert parse_xml(text.encode()).attrib == {"x": "<'\"&"}
    assert parse_xml(text.encode()).text == "</a>&"
    assert tag("a", {}) == "<a/>"


def test_control_characters_are_refused() -> None:
    with pytest.raises(InputError, match="label 'a\x00b' has a control character, which XML cannot hold"):
        refuse_unprintable("label", ("ok", "a\x00b"))
