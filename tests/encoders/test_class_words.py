"""The words of a class: from its synonyms and its definition."""

from __future__ import annotations

import pytest

from tagweave.encoders.class_words import class_words, genus


@pytest.mark.parametrize(
    ("definition", "wanted"),
    [
        ("a horse of a brownish orange to light brown color", "horse"),
        ("small deep blue North American bunting", "bunting"),
        ("any of numerous hairy-bodied insects including social and solitary species", "insects"),
        ("any of several breeds of dogs developed in Scotland", "dogs"),
        ("a pair of trousers", "trousers"),
        ("massive thick-skinned herbivorous animal living in or around rivers of tropical Africa", "animal"),
        ("(formerly) a vehicle; it had wheels", "vehicle"),
        ("a bed", "bed"),
        ("small sandy-colored", "small"),
        ("", None),
        ("of which nothing is said", "nothing"),
        ("42", None),
    ],
)
def test_the_genus_comes_before_what_is_said_of_it(definition: str, wanted: str | None) -> None:
    assert genus(definition) == wanted


@pytest.mark.parametrize(
    ("synonyms", "definition", "wanted"),
    [
        (("hippopotamus", "river horse"), "massive animal living in rivers", ("animal",)),
        (("water bottle",), "a bottle for holding water", ("bottle",)),
        (("rocking chair", "rocker"), "a chair mounted on rockers", ("chair",)),
        (("book jacket",), "jackets of paper that protect books", ("jacket", "jackets")),
        (("tench",), "tench", ()),
        (("thing",), "", ()),
    ],
)
def test_what_a_class_is_a_kind_of_joins_its_synonyms(
    synonyms: tuple[str, ...], definition: str, wanted: tuple[str, ...]
) -> None:
    assert class_words(synonyms, definition) == (*synonyms, *wanted)
