"""Diffusion against the dense matrix exponential and the dense inverse, and what holds for any graph."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from graph_cases import random_links, threads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from references import graph as reference
from tagweave.errors import InputError
from tagweave.graph import diffusion as module
from tagweave.graph.diffusion import build_diffusion, heat, spread
from tagweave.graph.strength import normalise

SOLVED = 1e-12  # tolerance asked of the solvers, orders below the assertions
ALGEBRA = 1e-9  # what a solver of tolerance SOLVED leaves in columns of length below ten, 1 / (1 - alpha) times
TIMES = [0.0, 0.1, 1.0, 4.0, 30.0]
ALPHAS = [0.0, 0.1, 0.5, 0.9, 0.99]
seeds = st.integers(0, 2**32 - 1)


def case(seed: int, density: float = 0.2, nodes: int = 30) -> tuple[sparse.csr_array, np.ndarray]:
    return normalise(random_links(seed, nodes, density)), np.random.default_rng(seed).normal(size=(nodes, 3))


class TestHeat:
    @pytest.mark.parametrize("t", TIMES)
    def test_equal_to_the_matrix_exponential(self, t: float) -> None:
        graph, start = case(0)
        expected = reference.heat_reference(graph.toarray(), start, t)
        assert_allclose(heat(graph, start, t, SOLVED), expected, atol=ALGEBRA, rtol=0)

    @settings(max_examples=25, deadline=None)
    @given(seed=seeds, t=st.floats(0, 40), density=st.floats(0.02, 0.5), tol=st.sampled_from([1e-2, 1e-4, 1e-6]))
    def test_leaves_out_at_most_the_stated_share(self, seed: int, t: float, density: float, tol: float) -> None:
        graph, start = case(seed, density)
        away = heat(graph, start, t, tol) - reference.heat_reference(graph.toarray(), start, t)
        assert (np.linalg.norm(away, axis=0) <= tol * np.linalg.norm(start, axis=0) + ALGEBRA).all()

    def test_two_nodes_by_hand(self) -> None:
        # Ŝ = [[0, 1], [1, 0]]: exp(-t Lap) has entries (1 ± e^-2t) / 2.
        graph = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
        found = heat(graph, np.array([[1.0], [0.0]]), 0.5, SOLVED)
        assert_allclose(found.ravel(), [(1 + math.exp(-1)) / 2, (1 - math.exp(-1)) / 2], atol=ALGEBRA)

    def test_time_zero_gives_the_start_to_the_bit_in_an_array_of_its_own(self) -> None:
        graph, start = case(1)
        found = heat(graph, start, 0.0)
        assert_array_equal(found, start)
        assert not np.shares_memory(found, start)

    def test_times_add_up(self) -> None:
        graph, start = case(2)
        in_steps = heat(graph, heat(graph, start, 1.5, SOLVED), 2.5, SOLVED)
        assert_allclose(in_steps, heat(graph, start, 4.0, SOLVED), atol=ALGEBRA, rtol=0)

    def test_long_times_give_each_part_its_stationary_state(self) -> None:
        links = random_links(3, density=0.5).toarray()
        links[:12, 12:] = links[12:, :12] = 0.0
        start = np.random.default_rng(3).random((30, 2))
        found = heat(normalise(sparse.csr_array(links)), start, 2000.0, SOLVED)
        for part in (slice(0, 12), slice(12, 30)):
            root = np.sqrt(links[part].sum(axis=1))
            expected = np.outer(root, root) @ start[part] / (root @ root)
            assert_allclose(found[part], expected, atol=ALGEBRA, rtol=0)

    def test_an_isolated_node_decays(self) -> None:
        links = random_links(4).toarray()
        links[5] = links[:, 5] = 0.0
        start = np.ones((30, 1))
        assert heat(normalise(sparse.csr_array(links)), start, 2.0, SOLVED)[5, 0] == pytest.approx(math.exp(-2))

    def test_reports_every_product(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "COLUMNS", 2)
        graph, start = case(5)
        reports: list[tuple[int, int]] = []
        heat(graph, start, 1.0, progress=lambda done, total: reports.append((done, total)))
        total = reports[-1][1]
        assert reports == [(done, total) for done in range(1, total + 1)]
        assert total % 2 == 0  # three columns are two blocks

    @pytest.mark.parametrize("t", [-1.0, math.inf, math.nan])
    def test_refuses_an_impossible_time(self, t: float) -> None:
        graph, start = case(0)
        with pytest.raises(InputError, match=f"finite diffusion time t >= 0, but got {t}"):
            heat(graph, start, t)


class TestSpread:
    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_equal_to_the_inverse(self, alpha: float) -> None:
        graph, start = case(5)
        expected = reference.spread_reference(graph.toarray(), start, alpha)
        assert_allclose(spread(graph, start, alpha, SOLVED), expected, atol=ALGEBRA, rtol=0)

    @settings(max_examples=20, deadline=None)
    @given(seed=seeds, alpha=st.floats(0, 0.99), density=st.floats(0.02, 0.5), scale=st.floats(1e-3, 1e3))
    def test_stops_at_the_stated_residual(self, seed: int, alpha: float, density: float, scale: float) -> None:
        graph, start = case(seed, density)
        start = start * [1.0, scale, 0.0]
        found = spread(graph, start, alpha, 1e-6)
        residual = (1 - alpha) * start - (found - alpha * (graph @ found))
        bound = 1e-6 * (1 - alpha) * np.linalg.norm(start, axis=0)
        assert (np.linalg.norm(residual, axis=0) <= bound * (1 + 1e-6) + 1e-12).all()
        assert not found[:, 2].any()

    def test_two_nodes_by_hand(self) -> None:
        # (1 - a) / (1 - a^2) [1, a] with a = 1/2.
        graph = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
        assert_allclose(spread(graph, np.array([[1.0], [0.0]]), 0.5, SOLVED).ravel(), [2 / 3, 1 / 3], atol=ALGEBRA)

    def test_alpha_zero_gives_the_start(self) -> None:
        graph, start = case(6)
        assert_array_equal(spread(graph, start, 0.0), start)

    def test_a_solved_column_stays_put_while_another_goes_on(self) -> None:
        links = random_links(7, density=0.3).toarray()
        links[0] = links[:, 0] = 0.0
        graph = normalise(sparse.csr_array(links))
        start = np.zeros((30, 2))
        start[0, 0], start[5, 1] = 1.0, 1.0
        expected = reference.spread_reference(graph.toarray(), start, 0.95)
        assert_allclose(spread(graph, start, 0.95, SOLVED), expected, atol=ALGEBRA, rtol=0)

    def test_reports_its_columns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "COLUMNS", 2)
        reports: list[tuple[int, int]] = []
        spread(*case(5), 0.5, progress=lambda done, total: reports.append((done, total)))
        assert reports == [(2, 3), (3, 3)]

    def test_says_when_the_iterations_run_out(self, caplog: pytest.LogCaptureFixture) -> None:
        graph, start = case(8)
        with caplog.at_level(logging.WARNING, "tagweave"):
            spread(graph, start, 0.9, 1e-8, iterations=2)
        assert caplog.messages == [
            "Spreading stopped after 2 steps before its tolerance 1e-08 was met; raise iterations."
        ]

    def test_is_silent_when_the_last_iteration_is_enough(self, caplog: pytest.LogCaptureFixture) -> None:
        # Two nodes have two eigenvalues: conjugate gradient is done after two steps.
        graph = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
        with caplog.at_level(logging.WARNING, "tagweave"):
            found = spread(graph, np.array([[1.0], [0.0]]), 0.5, 1e-10, iterations=2)
        assert_allclose(found.ravel(), [2 / 3, 1 / 3], atol=1e-10)
        assert caplog.messages == []

    @pytest.mark.parametrize("alpha", [-0.1, 1.0, math.nan])
    def test_refuses_alpha_outside_its_range(self, alpha: float) -> None:
        graph, start = case(0)
        with pytest.raises(InputError, match=rf"alpha in \[0, 1\), but got {alpha}"):
            spread(graph, start, alpha)


class TestBuildDiffusion:
    def test_binds_the_parameters(self) -> None:
        graph, start = case(9)
        assert_array_equal(build_diffusion("heat", t=2.0, tol=1e-8)(graph, start), heat(graph, start, 2.0, 1e-8))
        assert_array_equal(build_diffusion("spread", alpha=0.7)(graph, start), spread(graph, start, 0.7))

    def test_refuses_an_unknown_kind(self) -> None:
        with pytest.raises(InputError, match="one of heat, spread, but got 'walk'"):
            build_diffusion("walk")


DIFFUSIONS = [build_diffusion("heat", tol=SOLVED), build_diffusion("spread", tol=SOLVED)]


@pytest.mark.parametrize("diffusion", DIFFUSIONS, ids=["heat", "spread"])
class TestAnyDiffusion:
    @settings(max_examples=10, deadline=None)
    @given(seed=seeds)
    def test_follows_a_permutation_of_the_images(self, diffusion, seed: int) -> None:
        graph, start = case(seed)
        order = np.random.default_rng(seed).permutation(30)
        moved = diffusion(sparse.csr_array(graph.toarray()[np.ix_(order, order)]), start[order])
        assert_allclose(moved, diffusion(graph, start)[order], atol=ALGEBRA, rtol=0)

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds)
    def test_columns_do_not_touch_each_other(self, diffusion, seed: int) -> None:
        graph, start = case(seed)
        alone = np.hstack([diffusion(graph, start[:, [column]]) for column in range(3)])
        assert_allclose(diffusion(graph, start), alone, atol=ALGEBRA, rtol=0)

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds)
    def test_nothing_crosses_between_parts(self, diffusion, seed: int) -> None:
        links = random_links(seed, density=0.3).toarray()
        links[:10, 10:] = links[10:, :10] = 0.0
        start = np.zeros((30, 1))
        start[:10] = 1.0
        found = diffusion(normalise(sparse.csr_array(links)), start)
        assert not found[10:].any()
        assert (found[:10] >= -ALGEBRA).all()

    def test_leaves_the_start_alone(self, diffusion) -> None:
        graph, start = case(10)
        before = start.copy()
        diffusion(graph, start)
        assert_array_equal(start, before)

    def test_blocks_of_columns_change_nothing(self, diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
        graph, start = case(11)
        together = diffusion(graph, start)
        monkeypatch.setattr(module, "COLUMNS", 2)
        assert_allclose(diffusion(graph, start), together, atol=ALGEBRA, rtol=0)

    def test_takes_seeds_of_any_type(self, diffusion) -> None:
        graph, start = case(12)
        assert_array_equal(diffusion(graph, start > 0), diffusion(graph, (start > 0).astype(np.float64)))

    def test_float32_links_cost_their_rounding_alone(self, diffusion) -> None:
        graph, start = case(13)
        found = diffusion(graph.astype(np.float32), start)
        assert found.dtype == np.float64
        # 6e-8 a link; at alpha 0.9 the inverse lets an error grow tenfold.
        assert_allclose(found, diffusion(graph, start), atol=1e-5, rtol=0)

    def test_same_bits_with_one_and_two_threads(self, diffusion) -> None:
        graph, start = case(14, nodes=300)
        found = []
        for count in (1, 2):
            with threads(count):
                found.append(diffusion(graph, start))
        assert_array_equal(found[0], found[1])
