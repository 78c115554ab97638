"""Which images are chosen: hand-sized graphs, a slow reference, and what must hold for every strategy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.suggest import picks
from tagweave.suggest.picks import DUPLICATE, HALF_LEARNED, reaching
from tagweave.suggest.pool import Pool
from tagweave.suggest.reasons import reason
from tagweave.suggest.strategies import STRATEGIES, suggest
from tagweave.suggest.worth import doubt, rare_doubt


def pool_of(
    graph: list[list[float]], labelled: list[int] = [], model: list[list[float]] | None = None,  # noqa: B006
    links: np.ndarray | None = None, points: np.ndarray | None = None, positive: list[int] = [],  # noqa: B006
) -> Pool:  # fmt: skip
    """Return a pool whose ``labelled`` rows are known; label 0 is there in ``positive``; all unlike by default."""
    p = np.array(graph, dtype=float)
    known = np.zeros(p.shape, bool)
    known[labelled] = True
    values = np.zeros(p.shape, bool)
    values[positive, 0] = True
    names = tuple("abcdefgh"[: p.shape[1]])
    return Pool(
        LabelMatrix(values, known, names), p, None if model is None else np.array(model, dtype=float),
        np.eye(len(p), dtype=np.float32) if points is None else points,
        sparse.csr_array(np.zeros((len(p), len(p))) if links is None else links),
    )  # fmt: skip


def drawn_pool(images: int = 40, labels: int = 3, seed: int = 0) -> Pool:
    """Draw a pool in which a fifth is labelled and one image in part, with symmetric links."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(images, 6))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    weights = np.triu(np.where(rng.random((images, images)) < 0.2, rng.random((images, images)), 0), 1)
    weights += weights.T
    known = np.zeros((images, labels), bool)
    known[: images // 5] = True
    known[images // 5, 0] = True
    values = rng.random((images, labels)) < 0.4
    graph = np.where(known, values, rng.random((images, labels)))
    degree = np.maximum(weights.sum(axis=1), 1e-9) ** -0.5
    return Pool(
        LabelMatrix(values, known, ("cat", "dog", "owl")[:labels]), graph, rng.random((images, labels)), points,
        sparse.csr_array(degree[:, None] * weights * degree),
    )  # fmt: skip


def permuted(pool: Pool, order: np.ndarray) -> Pool:
    return Pool(
        pool.labels.take(order), pool.graph[order], None if pool.model is None else pool.model[order],
        pool.points[order], pool.links[order][:, order].tocsr(),
    )  # fmt: skip


def test_uncertainty_adds_up_the_doubts_about_unknown_cells() -> None:
    pool = pool_of([[0.5, 0.5], [0.9, 0.5], [0.5, 0.5], [1.0, 0.0]], labelled=[0])
    assert doubt(pool).tolist() == pytest.approx([0, 0.34, 0.5, 0])
    assert suggest(pool, 3, "uncertainty").rows.tolist() == [2, 1, 3]


def test_a_doubt_counts_more_for_a_label_with_few_examples() -> None:
    pool = pool_of([[1, 0], [1, 0], [0.5, 0.0], [0.0, 0.5]], labelled=[0, 1], positive=[0, 1])
    assert rare_doubt(pool).tolist() == pytest.approx([0, 0, 0.25 / 3, 0.25])
    assert suggest(pool, 1, "mixed").rows.tolist() == [3]


def test_disagreement_takes_the_widest_first_and_needs_two_opinions() -> None:
    pool = pool_of([[0.9], [0.2], [0.5]], model=[[0.8], [0.9], [0.5]])
    assert suggest(pool, 3, "disagreement").rows.tolist() == [1, 0, 2]
    with pytest.raises(InputError, match=r"Expected a second opinion .* run 'tagweave train' first"):
        suggest(pool_of([[0.5], [0.5]]), 1, "disagreement")


def test_coverage_takes_the_middle_of_a_star_then_what_it_does_not_reach() -> None:
    links = np.zeros((6, 6))
    links[0, 1:4] = links[1:4, 0] = 0.5  # a star around 0
    links[4, 5] = links[5, 4] = 0.5
    found = suggest(pool_of([[0.5]] * 6, links=links), 2, "coverage")
    assert found.rows.tolist() == [0, 4]
    # H holds 1/2 for the image itself and 1/4 for each neighbour; nothing is labelled, so that b is 0.
    own, other = 0.5 / (0.5 + HALF_LEARNED), 0.25 / (0.25 + HALF_LEARNED)
    assert found.worth.tolist() == pytest.approx([own + 3 * other, own + other])


def test_what_a_labelled_image_reaches_teaches_less() -> None:
    links = np.zeros((4, 4))
    links[0, 1] = links[1, 0] = 1.0
    assert suggest(pool_of([[0.5]] * 4, labelled=[0], links=links), 3, "expected").rows.tolist() == [2, 3, 1]


def slow_choice(pool: Pool, count: int, value: np.ndarray, unlike: bool) -> list[int]:
    """Choose by the formula, every gain anew, in loops over all pairs."""
    links, known = pool.links.toarray(), pool.labels.known.mean(axis=1)
    spread = (np.eye(len(value)) + links) / 2
    learned = lambda mass: mass / (mass + HALF_LEARNED)  # noqa: E731
    chosen: list[int] = []
    barred: set[int] = set(np.flatnonzero(~pool.open).tolist())
    mass = [sum(spread[i, j] * known[i] for i in range(len(value))) for j in range(len(value))]
    full = sorted(barred)
    while len(chosen) < count and len(barred) < len(value):
        gains = {}
        for i in set(range(len(value))) - barred:
            gain = sum(
                value[j] * (learned(mass[j] + spread[i, j] * (1 - known[i])) - learned(mass[j]))
                for j in range(len(value))
            )
            likes = [max(float(pool.points[i] @ pool.points[k]), 0.0) for k in [*full, *chosen]]
            gains[i] = gain * (1 - max(likes, default=0.0)) if unlike else gain
        best = max(gains, key=lambda i: gains[i])
        chosen.append(best)
        mass = [mass[j] + spread[best, j] * (1 - known[best]) for j in range(len(value))]
        barred |= {best} | {i for i in range(len(value)) if pool.points[i] @ pool.points[best] >= DUPLICATE}
    return chosen


@pytest.mark.parametrize("unlike", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_reaching_follows_the_formula(seed: int, unlike: bool) -> None:
    pool = drawn_pool(30, seed=seed)
    found = reaching(pool, 8, doubt(pool), unlike)
    assert found.rows.tolist() == slow_choice(pool, 8, doubt(pool), unlike)


def test_gains_fall_as_images_are_chosen() -> None:
    worth = suggest(drawn_pool(), 20, "expected").worth
    assert all(after <= before + 1e-12 for before, after in pairwise(worth))


@pytest.mark.parametrize("strategy", STRATEGIES)
class TestEveryStrategy:
    def test_only_open_images_and_each_once(self, strategy: str) -> None:
        pool = drawn_pool()
        rows = suggest(pool, 12, strategy).rows
        assert len(set(rows.tolist())) == 12
        assert pool.open[rows].all()

    def test_more_than_there_are_gives_all(self, strategy: str) -> None:
        pool = drawn_pool()
        assert sorted(suggest(pool, 999, strategy).rows.tolist()) == np.flatnonzero(pool.open).tolist()

    def test_the_order_of_the_images_says_nothing(self, strategy: str) -> None:
        pool = drawn_pool()
        order = np.random.default_rng(5).permutation(len(pool.labels))
        assert (
            order[suggest(permuted(pool, order), 10, strategy).rows].tolist()
            == suggest(pool, 10, strategy).rows.tolist()
        )

    def test_near_duplicates_are_suggested_once(self, strategy: str) -> None:
        twice = drawn_pool(20)
        order = np.repeat(np.arange(20), 2)
        pool = permuted(twice, order)
        found = suggest(pool, 999, strategy)
        assert sorted(order[found.rows].tolist()) == np.flatnonzero(twice.open).tolist()
        assert found.duplicates == twice.open.sum()

    def test_one_label_and_a_label_without_positives(self, strategy: str) -> None:
        pool = drawn_pool(labels=1)
        assert len(suggest(pool, 5, strategy).rows) == 5
        none = LabelMatrix(np.zeros_like(pool.labels.values), pool.labels.known, pool.labels.names)
        empty = Pool(none, np.zeros_like(pool.graph), np.zeros_like(pool.graph), pool.points, pool.links)
        assert len(set(suggest(empty, 5, strategy).rows.tolist())) == 5

    def test_everything_labelled_is_said(self, strategy: str) -> None:
        with pytest.raises(InputError, match=r"Expected an image with unknown labels .* add unlabelled images"):
            suggest(pool_of([[0.5], [0.5]], labelled=[0, 1]), 1, strategy)

    def test_nothing_labelled_is_no_obstacle(self, strategy: str) -> None:
        model = [[0.3], [0.6], [0.1]]
        assert len(suggest(pool_of([[0.5], [0.4], [0.1]], model=model), 2, strategy).rows) == 2


def test_wrong_arguments_are_named() -> None:
    pool = drawn_pool()
    with pytest.raises(InputError, match=r"Expected a strategy of mixed, uncertainty, .*, but got 'best'"):
        suggest(pool, 1, "best")
    with pytest.raises(InputError, match="Expected to suggest at least 1 image, but got 0"):
        suggest(pool, 0)
    with pytest.raises(InputError, match="Expected probabilities of shape"):
        Pool(pool.labels, pool.graph[:3], None, pool.points, pool.links)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = drawn_pool()
    whole = suggest(pool, 10).rows.tolist()
    monkeypatch.setattr(picks, "BLOCK", 7)
    assert suggest(pool, 10).rows.tolist() == whole


def test_the_reason_names_doubts_opinions_and_neighbours() -> None:
    links = np.zeros((3, 3))
    links[0, 1] = links[1, 0] = links[0, 2] = links[2, 0] = 0.5
    pool = pool_of([[0.5, 0.9], [1, 0], [0.0, 0.0]], labelled=[1], model=[[0.1, 0.9], [1, 0], [0, 0]], links=links)
    assert reason(pool, 0) == "unsure of a 50%, b 90%; a: graph 50%, model 10%; 1 of 2 similar images are not labelled"
    assert reason(pool_of([[0.0], [0.0]]), 0) == "like no other image"
