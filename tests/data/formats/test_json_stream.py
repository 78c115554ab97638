"""JSON read record by record: the same as read at once, whatever the pieces, in bounded memory."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagweave.data.formats import json_stream
from tagweave.data.formats.json_stream import stream_members, write_array, write_document
from tagweave.errors import InputError

Scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | st.text(max_size=4)
Values = st.recursive(Scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3))
Documents = st.lists(Values, max_size=4) | st.dictionaries(st.text(max_size=3), Values, max_size=4)


def rebuilt(path: Path) -> Any:
    """The document that the members make up."""
    parts: dict[str, Any] = {}
    for member in stream_members(path):
        if member.number:
            assert len(parts[member.container]) == member.number - 1
            parts[member.container].append(member.value)
        else:
            parts[member.container] = [] if member.value is None else member.value
    return parts


@given(document=Documents, chunk=st.integers(1, 9), indent=st.sampled_from([None, 1]))
@settings(max_examples=150, deadline=None)
def test_members_make_up_the_document(document: Any, chunk: int, indent: int | None) -> None:
    expected = {"": document} if isinstance(document, list) else document
    expected = {key: [] if value is None else value for key, value in expected.items()}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), encoding="utf-8", newline="")
        assert rebuilt(path) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: expected '{' or '[', but the file ends"),
        ("image,labels\n", "line 1: expected '{' or '[', but got 'image,labels'"),
        ('{"a": [1, 2', "line 1: expected ',' or a closing bracket after a value, but got '2'"),
        ('{"a":\n[1 2]}', "line 2: expected ',', but got '2]}'"),
        ('{"a": [1,]}', "line 1: expected a value after ',', but got ']}'"),
        ('{"a": [\n{"b": nope}]}', "line 2: expected a whole JSON value (Expecting value: line 2 column 7 (char 14))"),
        ("[1]\n[2]", "line 2: expected the end of the file, but got '[2]'"),
        ("{a: 1}", "line 1: expected a key in quotes, but got 'a: 1}'"),
        ("[" * 200_000, "line 1: expected values nested less deeply"),
    ],
)
def test_what_is_damaged_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as caught:
        list(stream_members(tmp_path / "a.json"))
    assert caught.value.problems[0].startswith(f"a.json {told}")


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'["caf\xe9"]')
    with pytest.raises(InputError, match=r"expected UTF-8 text, but got .*; save the file as UTF-8"):
        list(stream_members(tmp_path / "a.json"))
    with pytest.raises(InputError, match="could not be read: No such file"):
        list(stream_members(tmp_path / "b.json"))


def test_a_record_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_RECORD", 1000)
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    (tmp_path / "a.json").write_text('["' + "x" * 100_000)
    with pytest.raises(InputError, match="expected JSON records of at most 1,000 characters"):
        list(stream_members(tmp_path / "a.json"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 1 << 14)
    write_document(tmp_path / "a.json", {"info": {}, "annotations": ({"id": i, "x": "y" * 80} for i in range(40_000))})
    tracemalloc.start()
    count = sum(1 for member in stream_members(tmp_path / "a.json") if member.number)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_000
    assert (tmp_path / "a.json").stat().st_size > 4_000_000
    assert peak < 400_000


def test_written_pieces_are_json(tmp_path: Path) -> None:
    write_document(tmp_path / "a.json", {"info": {"é": 1}, "empty": iter(()), "rows": iter([1, "ü"])})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "info": {"é": 1}, "empty": [], "rows": [1, "ü"],
    }  # fmt: skip
    write_array(tmp_path / "b.json", [])
    assert json.loads((tmp_path / "b.json").read_text()) == []
