"""The search sees labelled images only, hides the same for all, and takes the best."""

from __future__ import annotations

import numpy as np
from drawn_problems import drawn_data, drawn_problem

from tagweave.benchmark.methods import METHODS, MOST_TRIES, Method
from tagweave.benchmark.problem import Floats, Problem
from tagweave.benchmark.search import HELD_OUT, choose, describe
from tagweave.data.labels import LabelMatrix


def oracle(truth: LabelMatrix, seen: list[Problem]) -> Method:
    """A method that knows the truth at good = 1 and its opposite at good = -1."""

    def score(problem: Problem, good: float) -> Floats:
        seen.append(problem)
        return good * truth.values[problem.inside].astype(float)

    return Method(score, ({"good": -1.0}, {"good": 1.0}))


def test_the_best_choice_wins_and_every_one_is_recorded() -> None:
    truth = drawn_data().labels
    choice, found = choose(oracle(truth, []), drawn_problem())
    assert choice == {"good": 1.0}
    assert [entry["good"] for entry in found] == [-1.0, 1.0]
    assert found[1]["mAP"] == 1.0 > found[0]["mAP"]


def test_the_same_labelled_images_are_hidden_for_every_choice() -> None:
    seen: list[Problem] = []
    problem = drawn_problem()
    choose(oracle(drawn_data().labels, seen), problem)
    first, second = seen
    np.testing.assert_array_equal(first.inside, second.inside)
    assert problem.labels.labelled[first.inside].all()
    assert len(first.inside) == round(HELD_OUT * 30)
    assert not first.labels.known[first.inside].any()
    assert not len(first.outside)  # test images have no part


def test_the_first_of_equal_choices_is_taken() -> None:
    level = Method(lambda problem, k: np.zeros((len(problem.inside), 4)), ({"k": 5}, {"k": 9}))
    assert choose(level, drawn_problem())[0] == {"k": 5}


def test_nothing_is_searched_where_there_is_no_choice_or_no_second_label() -> None:
    assert choose(METHODS["graph"], drawn_problem()) == ({}, [])
    knn = METHODS["knn"]
    assert choose(knn, drawn_problem(labelled=1)) == (knn.tries[0], [])


def test_no_method_has_more_tries_than_another() -> None:
    tries = {name: len(method.tries) for name, method in METHODS.items()}
    assert set(tries.values()) == {1, MOST_TRIES}
    assert [name for name, count in tries.items() if count == 1] == ["ridge", "graph", "default"]


def test_a_choice_is_written_in_few_words() -> None:
    assert describe({"k": 20, "alpha": 0.9}) == "k 20 alpha 0.9"
