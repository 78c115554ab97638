"""Which labels there are, after some were created, renamed and merged.

A label's key is the name it was first given and never changes; decisions are kept under keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tagweave.data.annotations import label_name, respelt
from tagweave.errors import InputError
from tagweave.review.events import Event

LONGEST_NAME = 100
_COLUMNS = ("image", "label", "labels", "split")  # what these head in a label file is not a label


@dataclass(frozen=True)
class Vocabulary:
    """Hold the labels that are in use.

    Attributes:
        names: key -> shown name, in order.
        merged: key -> what was merged into it, as (event number, key) in order.
        homes: key of a label that is gone -> key of the one it was merged into.
    """

    names: dict[str, str]
    merged: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)

    def home(self, key: str) -> str:
        """Return the key of the label that ``key`` is part of now."""
        while key in self.homes:
            key = self.homes[key]
        return key

    def require(self, key: str) -> str:
        """Return the key of the label that ``key`` is part of now.

        Raises:
            InputError: there is no such label.
        """
        home = self.home(key)
        if home not in self.names:
            raise InputError(f"Expected one of the {len(self.names)} labels, but got '{key[:LONGEST_NAME]}'.")
        return home

    def accept(self, text: str, but: str | None = None) -> str:
        """Return the name that a label may get; ``but`` is the key of the label that gets it.

        Raises:
            InputError: no label file could hold the name, or it is taken.
        """
        name = label_name(text)
        fault = _fault(name)
        if fault:
            raise InputError(f"Expected a label name, but got '{name[:LONGEST_NAME]}': {fault}.")
        for key, shown in [*self.names.items(), *((key, key) for key in self.homes)]:
            if key != but and name in (key, shown):
                where = "" if shown == name and key in self.names else self._whereabouts(key)
                raise InputError(f"Expected a new label name, but '{name}' is taken{where}.")
        others = {shown: 2 for key, shown in self.names.items() if key != but}
        if name in respelt({**others, name: 1}):
            raise InputError(f"Expected a new label name, but '{name}' differs from another only by case or spaces.")
        return name

    def _whereabouts(self, key: str) -> str:
        return f": it is part of '{self.names.get(self.home(key), self.home(key))}' now"


def _fault(name: str) -> str | None:
    if not name or len(name) > LONGEST_NAME:
        return f"it has {len(name)} letters, not 1 to {LONGEST_NAME}"
    if not name.isprintable() or ";" in name or '"' in name:
        return "it holds a semicolon, a quotation mark or a sign that cannot be printed"
    return "label files use it as a column name" if name.casefold() in _COLUMNS else None


def fold(names: Sequence[str], events: Iterable[Event]) -> Vocabulary:
    """Return the labels that a run's ``names`` became by events that were not undone.

    A later run may know a label by its new name already; an event about a label that is not there does nothing.
    """
    vocabulary = Vocabulary({name: name for name in names})
    for event in events:
        _APPLY[event.kind](vocabulary, event)
    return vocabulary


def _create(vocabulary: Vocabulary, event: Event) -> None:
    vocabulary.names.setdefault(event.label, event.label)


def _rename(vocabulary: Vocabulary, event: Event) -> None:
    if event.label in vocabulary.names:
        vocabulary.names[event.label] = event.detail
    elif event.detail in vocabulary.names:
        _merge(vocabulary, event)


def _merge(vocabulary: Vocabulary, event: Event) -> None:
    into = vocabulary.home(event.detail)
    if into not in vocabulary.names or event.label in vocabulary.homes or event.label == into:
        return
    vocabulary.names.pop(event.label, None)
    vocabulary.homes[event.label] = into
    vocabulary.merged.setdefault(into, []).append((event.number, event.label))


_APPLY = {"create": _create, "rename": _rename, "merge": _merge}
