from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.review.events import VALUES, Event
from tagweave.review.ledger import Column, Ledger
from tagweave.review.vocabulary import fold

PATHS = tuple("abcde")
ROWS = np.arange(len(PATHS))


def nothing(key: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)


def ledger(*events: Event, given=nothing) -> Ledger:
    made = Ledger(("cat", "dog", "pup"), PATHS, given)
    made.follow(events)
    return made


def decide(number: int, cells: str, label: str = "cat", window: str = "w", queue: str = "uncertain") -> Event:
    """``cells`` such as "a+ b- c?"."""
    words = {"+": "yes", "-": "no", "?": "unsure"}
    return Event(
        number, float(number), window, "decide", queue, label,
        cells=tuple((cell[0], label, words[cell[1]]) for cell in cells.split()),
    )  # fmt: skip


def undo(number: int, target: int) -> Event:
    return Event(number, float(number), "w", "undo", target=target)


def text(column: Column) -> str:
    """One sign per image: + - known, ? decided as unsure, . open."""
    signs = np.where(column.known, np.where(column.values, "+", "-"), np.where(column.decided, "?", "."))
    return "".join(signs)


def test_the_last_decision_that_was_not_undone_counts() -> None:
    events = [decide(1, "a+ b- c?"), decide(2, "a- b?"), undo(3, 2), decide(4, "d+")]
    assert text(ledger(*events[:2]).column("cat", ROWS)) == "-??.."
    assert text(ledger(*events).column("cat", ROWS)) == "+-?+."
    assert ledger(*events).decided_rows("cat").tolist() == [0, 1, 2, 3]
    assert ledger(*events).decisions == 4


def test_rows_may_come_in_any_order() -> None:
    column = ledger(decide(1, "a+ e-")).column("cat", np.array([4, 2, 0]))
    assert text(column) == "-.+"


def test_a_decision_goes_over_a_given_label_and_unsure_makes_it_unknown() -> None:
    def given_yes(key: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return np.ones(len(rows), dtype=bool), np.ones(len(rows), dtype=bool)

    column = ledger(decide(1, "a- b?"), given=given_yes).column("cat", ROWS)
    assert text(column) == "-?+++"
    assert column.decided.tolist() == [True, True, False, False, False]


def test_decisions_on_images_of_another_run_are_counted_but_not_used() -> None:
    made = ledger(decide(1, "a+ z+"))
    assert (made.elsewhere, text(made.column("cat", ROWS))) == (1, "+....")


def test_a_merged_label_is_there_where_either_is() -> None:
    merge = Event(3, 3.0, "w", "merge", label="pup", detail="dog")
    before = [decide(1, "a+ b- c- d?", "dog"), decide(2, "a- b- c+ e-", "pup")]
    made = ledger(*before, merge, decide(4, "b+", "dog"))
    # a: yes or no = yes; b: decided after; c: no or yes = yes; d: unsure or open; e: open or no
    assert text(made.column("dog", ROWS)) == "+++.."
    assert list(made.vocabulary.names) == ["cat", "dog"]
    made.follow([undo(5, 3)])
    assert text(made.column("dog", ROWS)) == "++-?."
    assert text(made.column("pup", ROWS)) == "--+.-"
    assert list(made.vocabulary.names) == ["cat", "dog", "pup"]


def test_renaming_keeps_decisions_and_a_later_run_may_know_the_new_name() -> None:
    rename = Event(2, 2.0, "w", "rename", label="pup", detail="puppy")
    made = ledger(decide(1, "a+", "pup"), rename)
    assert made.vocabulary.names["pup"] == "puppy"
    later = Ledger(("cat", "dog", "puppy"), PATHS, nothing)
    later.follow([decide(1, "a+", "pup"), rename])
    assert list(later.vocabulary.names) == ["cat", "dog", "puppy"]
    assert text(later.column("puppy", ROWS)) == "+...."


def test_undo_takes_the_windows_own_last_gesture_then_those_of_closed_windows() -> None:
    made = ledger(decide(1, "a+", window="one"), decide(2, "b+", window="two"), decide(3, "c+", window="one"))
    assert made.last("two") == 2
    made.follow([undo(4, 2)])
    assert made.last("two", others_alive=["one"]) is None
    assert made.last("two") == 3
    assert made.last("one", others_alive=["two"]) == 3


def test_speed_counts_the_last_minutes_and_no_undone_decisions() -> None:
    events = [decide(1, "a+"), decide(200, "a+ b+ c+ d+"), decide(380, "e+"), undo(381, 380)]
    assert ledger(*events).speed(now=440.0) == pytest.approx(60 * 4 / 240)
    assert ledger(*events).speed(now=2000.0) == 0.0
    assert ledger(events[0]).speed(now=2.0) == 1.0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(VALUES), st.booleans()), max_size=30)
)  # fmt: skip
def test_net_decisions_are_those_of_a_plain_replay(steps: list[tuple[str, str, bool]]) -> None:
    made, active = ledger(), []
    for number, (image, value, take_back) in enumerate(steps, start=1):
        if take_back and made.last("w") is not None:
            target = made.last("w")
            made.follow([undo(number, target)])
            active = [step for step in active if step[0] != target]
        else:
            made.follow([Event(number, 0.0, "w", "decide", cells=((image, "cat", value),))])
            active.append((number, image, value))
    expected = {image: value for _, image, value in active}
    signs = {"yes": "+", "no": "-", "unsure": "?"}
    assert text(made.column("cat", ROWS)) == "".join(signs.get(expected.get(path, ""), ".") for path in PATHS)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "has 0 letters, not 1 to 100"),
        ("a;b", "semicolon"),
        ("a\tb", "cannot be printed"),
        ("Split", "column name"),
        ("cat", "'cat' is taken"),
        ("C at", "only by case or spaces"),
    ],
)
def test_a_name_that_no_label_file_could_hold_is_refused(name: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        ledger().vocabulary.accept(name)


def test_a_name_that_was_merged_away_stays_taken() -> None:
    merged = fold(("cat", "dog"), [Event(1, 0.0, "w", "merge", label="dog", detail="cat")])
    with pytest.raises(InputError, match="'dog' is taken: it is part of 'cat' now"):
        merged.accept("dog")
    assert merged.accept(" bird ") == "bird"
    assert merged.require("dog") == "cat"
    with pytest.raises(InputError, match="Expected one of the 1 labels, but got 'fox'"):
        merged.require("fox")
