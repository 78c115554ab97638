"""Comma-separated files as people and spreadsheets save them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tagweave.data.annotations import Problem
from tagweave.data.formats.csv_table import Row, read_header, read_table
from tagweave.errors import InputError


def read(path: Path) -> tuple[list[Row], list[Problem]]:
    told: list[Problem] = []
    table = read_table(path, lambda line, text: told.append((line, text)))
    return list(table.rows), told


def problems(path: Path, content: bytes) -> tuple[str, ...]:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    return caught.value.problems


def test_byte_order_mark_crlf_blank_rows_quotes_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('\ufeffimage , labels\r\n\r\na b.jpg , "x;y" \r\n , \r\n"c,d.jpg",z\r\n', newline="")
    assert read_header(path) == ("image", "labels")
    rows, told = read(path)
    assert [(row.line, row.fields) for row in rows] == [(3, ("a b.jpg", "x;y")), (5, ("c,d.jpg", "z"))]
    assert told == []


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_other_delimiters_are_named(tmp_path: Path, sign: str, name: str) -> None:
    (told,) = problems(tmp_path / "labels.csv", f"image{sign}labels\na.jpg{sign}cat\n".encode())
    assert f"labels.csv line 1: expected commas between columns, but got {name}" in told
    assert "save the file with commas" in told


def test_utf16_is_named(tmp_path: Path) -> None:
    (told,) = problems(tmp_path / "labels.csv", "image,labels\n".encode("utf-16"))
    assert "expected UTF-8 text, but got UTF-16; save the file as UTF-8" in told


def test_other_encodings_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("image,labels\na.jpg,cat\nb.jpg,caf\xe9\n".encode("latin-1"))
    ((line, told),) = read(path)[1]
    assert line == 3
    assert "got the byte 0xe9; save the file as UTF-8" in told


@pytest.mark.parametrize("rest", ["", 'd.jpg,"x;y"\n', "d.jpg,cat\n" * 20_000])
def test_quotes_that_do_not_end_are_told_where_they_begin(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f'image,labels\na.jpg,cat\n"b.jpg,cat\nc.jpg,dog\n{rest}')
    rows, problems = read(path)
    line, told = problems[0]
    assert line == 3
    assert "a quote is opened and not closed" in told
    assert [row.line for row in rows][:1] == [2]


def test_empty_and_missing_files(tmp_path: Path) -> None:
    assert "the file is empty" in problems(tmp_path / "labels.csv", b"\r\n\n")[0]
    with pytest.raises(InputError, match="could not be read: No such file"):
        read(tmp_path / "nowhere.csv")


def test_rows_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,labels\n" + "a.jpg,cat\n" * 200_000)
    tracemalloc.start()
    count = sum(1 for _ in read_table(path, lambda line, text: None).rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    assert peak < 200_000
