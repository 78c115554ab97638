from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tagweave.review import audit, queues
from tagweave.review.ledger import Column
from tagweave.review.queues import Evidence

#                 0     1     2     3     4     5     6
GRAPH = np.array([0.0, 1.0, 0.9, 0.5, 0.1, 0.6, 0.55], dtype=np.float32)
NETWORK = np.array([0.9, 0.4, 0.9, 0.1, 0.3, 0.55, 0.8], dtype=np.float32)
KNOWN = np.array([1, 1, 0, 0, 0, 0, 0], dtype=bool)
VALUES = np.array([0, 1, 0, 0, 0, 0, 0], dtype=bool)
DECIDED = np.array([0, 0, 0, 0, 0, 0, 1], dtype=bool)  # 6 was decided as unsure


def evidence(**changes) -> Evidence:
    parts = {
        "graph": GRAPH, "network": NETWORK, "judge": NETWORK, "claimed": (NETWORK >= 0.5) & ~KNOWN,
        "column": Column(VALUES, KNOWN, DECIDED), "points": None, "seed": 3,
    }  # fmt: skip
    return Evidence(**{**parts, **changes})


def test_uncertain_takes_open_images_nearest_to_one_half() -> None:
    assert queues.uncertain(evidence()).tolist() == [5, 4, 2, 3]  # 0.05, 0.2, 0.4, 0.4 away


def test_disagreement_takes_open_images_furthest_apart() -> None:
    assert queues.disagreement(evidence()).tolist() == [3, 4, 5, 2]
    assert queues.disagreement(evidence(network=None)).tolist() == []


def test_suspected_errors_takes_given_labels_by_the_contrary() -> None:
    assert queues.suspected_errors(evidence()).tolist() == [0, 1]  # said no: 0.9; said yes: 1 - 0.4
    assert queues.suspected_errors(evidence(judge=None)).tolist() == []


def test_without_scores_images_come_by_likeness_to_what_was_decided() -> None:
    angles = np.array([0, 90, 10, 80, 45, 180, 30]) * np.pi / 180
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    column = Column(VALUES, VALUES, VALUES | DECIDED)  # image 1, at 90 degrees, is a yes
    new = evidence(graph=None, network=None, points=points, column=column)
    assert queues.uncertain(new).tolist() == [3, 4, 2, 0, 5]
    untold = evidence(graph=None, network=None, column=Column(*[np.zeros(7, dtype=bool)] * 3))
    assert sorted(queues.uncertain(untold).tolist()) == list(range(7))


def test_farthest_first_visits_the_ends_before_the_middle() -> None:
    angles = np.array([0, 5, 90, 45, 91]) * np.pi / 180
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert queues.farthest_first(points, 3).tolist() == [0, 4, 3]
    assert sorted(queues.farthest_first(points, 99).tolist()) == [0, 1, 2, 3, 4]
    assert queues.farthest_first(np.ones((3, 2), np.float32), 3).tolist() == [0, 1, 2]  # all alike: each once


def test_the_audit_draws_claims_in_an_order_that_stays() -> None:
    order = queues.audit(evidence())
    assert sorted(order.tolist()) == [2, 5, 6]
    assert order.tolist() == queues.audit(evidence()).tolist()
    assert sorted(queues.audit_left(evidence()).tolist()) == [2, 5]


def test_whole_images_come_by_doubt_and_not_twice() -> None:
    doubts = np.array([[1, 3, 2, 0], [0, 0, 0, 0], [5, 0, 0, 1]], dtype=np.float32)
    judged = np.array([1])
    assert queues.whole_images(doubts, judged, "uncertain", None).tolist() == [2, 0]
    assert queues.whole_images(doubts, judged, "disagreement", None).tolist() == []
    assert queues.whole_images(doubts, judged, "errors", None).tolist() == [0, 3]
    assert sorted(queues.whole_images(doubts, judged, "audit", None).tolist()) == [0, 2, 3]


def test_audit_measures_the_stretch_up_to_the_last_audited_claim() -> None:
    order = np.array([4, 2, 0, 3, 1])
    decided = np.array([1, 1, 1, 0, 1], dtype=bool)  # 1 was decided elsewhere, beyond the stretch; 2 within it
    column = Column(np.array([1, 1, 0, 0, 0], bool), np.array([1, 1, 1, 0, 0], bool), decided)
    found = audit.measure(order, np.array([4, 0]), column)
    assert (found.claims, found.judged, found.right, found.unsure) == (5, 2, 1, 1)
    untouched = audit.measure(order, np.array([], dtype=int), column)
    assert (untouched.judged, untouched.low, untouched.high) == (0, 0.0, 1.0)


@pytest.mark.parametrize(("right", "judged"), [(0, 1), (7, 10), (50, 50), (1, 400)])
def test_the_interval_solves_wilsons_equation(right: int, judged: int) -> None:
    share, z = right / judged, norm.ppf(0.975)
    for bound in audit.wilson(right, judged):
        assert (share - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / judged, abs=1e-12)
