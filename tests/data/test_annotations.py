"""The words in which all formats tell what is wrong."""

from __future__ import annotations

import pytest

from tagweave.data.annotations import image_path, in_order, merged, raise_all, respelt
from tagweave.errors import InputError


def test_the_first_fifty_problems_are_shown_in_line_order() -> None:
    with pytest.raises(InputError) as caught:
        raise_all(in_order("x.csv", [(line, "is wrong") for line in range(60, 0, -1)]))
    told = caught.value.problems
    assert told[:2] == ("x.csv line 1: is wrong", "x.csv line 2: is wrong")
    assert len(told) == 51
    assert told[-1] == "... and 10 more problems"
    raise_all([])


def test_the_usual_spelling_is_the_suggestion() -> None:
    uses = {"Sky": 1, "sky": 2, "sea side": 1, "seaside": 2, "tree": 1}
    assert respelt(uses) == {"Sky": "sky", "sea side": "seaside"}


@pytest.mark.parametrize("text", ["../a.jpg", "/a.jpg", "C:\\a.jpg", "\\\\host\\a.jpg", "x/../../a.jpg", "..", ""])
def test_no_path_leaves_the_image_folder(text: str) -> None:
    fault = image_path(text)[1]
    assert fault is not None
    assert f"but got '{text}'" in fault


def test_paths_have_one_form() -> None:
    assert image_path("d\\e//./a b.jpg") == ("d/e/a b.jpg", None)


def test_problems_of_reader_and_caller_are_told_in_line_order() -> None:
    told = ["a.csv line 4: four", "a.csv line 10: ten", "b.csv line 1: elsewhere"]
    assert merged(told, "a.csv", [(9, "nine"), (3, "three")]) == [
        "b.csv line 1: elsewhere", "a.csv line 3: three", "a.csv line 4: four", "a.csv line 9: nine",
        "a.csv line 10: ten",
    ]  # fmt: skip
