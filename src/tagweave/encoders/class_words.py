"""The words that a backbone's class goes by: its synonyms, and what its definition says it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What comes after the thing itself in a definition: "a horse | of a brownish orange to light brown color".
AFTER = re.compile(
    "are|as|at|built|by|capable|consisting|containing|covered|designed|drawn|for|formed|found|from|having|held|in|"
    "including|is|made|native|noted|of|often|on|resembling|seen|served|serving|so|spoken|sufficiently|that|to|used|"
    "usually|valued|when|where|which|who|whose|widespread|with|worn"
)
KIND = re.compile("breeds?|class|families|family|form|genus|group|kind|pair|piece|set|species|type|variety")
ARTICLE = re.compile("a|an|and|any|either|numerous|or|several|the|various")
MODIFIER = re.compile(r".*(?<!th)(ing|ed|ly)")  # "dogs developed", "animal living", but "a thing"
NOUN = re.compile("bed|building|bunting|clothing|covering|fly|railing|seed|sled|stocking|string|wing")


def class_words(synonyms: Sequence[str], definition: str) -> tuple[str, ...]:
    """Return the synonyms and, where they are not among them, the words that stand for what the class is a kind of.

    These are the genus of the definition, and the last word of a synonym of several if the definition holds it too: a
    water bottle is "a bottle for holding water", but of the hippopotamus, a river horse, no horse is said.

    Source: Chodorow, Byrd & Heidorn 1985, "Extracting semantic hierarchies from a large on-line dictionary".
    """
    said = set(re.findall(r"[a-z]+", definition.lower()))
    said |= {word.removesuffix("s") for word in said}
    found = [*synonyms, *(last for name in synonyms if " " in name and (last := name.split()[-1]).lower() in said)]
    kind = genus(definition)
    return tuple(dict.fromkeys([*found, kind] if kind else found))


def genus(definition: str) -> str | None:
    """Return the noun that a definition begins with, without what modifies it; None where there is none.

    Found by rule, not by grammar: the last word before the first of ``AFTER``; about one in eleven is a wrong one.
    """
    first = re.split(r"[;:]", re.sub(r"\(.*?\)", "", definition.lower()))[0]
    first = re.sub(r"^(any|one|either) of (a number of|the|two)?", "", first)
    noun: list[str] = []
    for word in re.findall(r"[a-z][a-z'-]*", first):
        if not AFTER.fullmatch(word):
            noun += [] if ARTICLE.fullmatch(word) else [word]
        elif noun and word == "of" and KIND.fullmatch(noun[-1]):
            noun = []
        elif noun:
            break
    while len(noun) > 1 and MODIFIER.fullmatch(noun[-1]) and not NOUN.fullmatch(noun[-1]):
        noun.pop()
    return noun[-1] if noun else None
