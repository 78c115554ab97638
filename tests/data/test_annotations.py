"""The checks that every text form of labels shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagweave.data.annotations import raise_problems, read_table, spelling_problems
from tagweave.errors import InputError


def problems(path: Path, content: bytes) -> tuple[str, ...]:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(path)
    return caught.value.problems


def test_byte_order_mark_crlf_blank_rows_quotes_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('\ufeffimage , labels\r\n\r\na b.jpg , "x;y" \r\n , \r\n"c,d.jpg",z\r\n', newline="")
    table = read_table(path)
    assert table.header.fields == ("image", "labels")
    assert [(row.line, row.fields) for row in table.rows] == [(3, ("a b.jpg", "x;y")), (5, ("c,d.jpg", "z"))]
    assert table.problems == ()


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
    ((line, told),) = read_table(path).problems
    assert line == 3
    assert "got the byte 0xe9; save the file as UTF-8" in told


@pytest.mark.parametrize("rest", ["", 'd.jpg,"x;y"\n', "d.jpg,cat\n" * 20_000])
def test_quotes_that_do_not_end_are_told_where_they_begin(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f'image,labels\na.jpg,cat\n"b.jpg,cat\nc.jpg,dog\n{rest}')
    table = read_table(path)
    line, told = table.problems[0]
    assert line == 3
    assert "a quote is opened and not closed" in told
    assert [row.line for row in table.rows][:1] == [2]


def test_empty_and_missing_files(tmp_path: Path) -> None:
    assert "the file is empty" in problems(tmp_path / "labels.csv", b"\r\n\n")[0]
    with pytest.raises(InputError, match="could not be read: No such file"):
        read_table(tmp_path / "nowhere.csv")


def test_the_first_fifty_problems_are_shown_in_line_order() -> None:
    with pytest.raises(InputError) as caught:
        raise_problems("x.csv", [(line, "is wrong") for line in range(60, 0, -1)])
    told = caught.value.problems
    assert told[:2] == ("x.csv line 1: is wrong", "x.csv line 2: is wrong")
    assert len(told) == 51
    assert told[-1] == "... and 10 more problems"
    raise_problems("x.csv", [])


def test_the_usual_spelling_is_the_suggestion() -> None:
    uses = [("Sky", 2), ("sky", 3), ("sky", 4), ("sea side", 5), ("seaside", 6), ("seaside", 7), ("tree", 8)]
    assert spelling_problems(uses) == [
        (2, "label 'Sky' differs only by case or spaces from 'sky'; did you mean 'sky'?"),
        (5, "label 'sea side' differs only by case or spaces from 'seaside'; did you mean 'seaside'?"),
    ]
