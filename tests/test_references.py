"""The references against numbers worked out by hand and against identities that hold whatever the numbers are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from references import graph, model

# Centred on (10, 20) and normalised these are (.8, .6), (.6, .8), (-1, 0), (0, -1), with cosines
# ab .96, ac -.8, ad -.6, bc -.6, bd -.8, cd 0.
POOL = np.array([[14.0, 23.0], [13.0, 24.0], [3.0, 20.0], [10.0, 13.0]])

# Triangle 0-1-2 with a tail 2-3.
TAILED = np.array([[0.0, 1, 2, 0], [1, 0, 3, 0], [2, 3, 0, 4], [0, 0, 4, 0]])


def assert_close(actual: object, desired: object) -> None:
    # Float64 algebra of a few terms of order 1.
    assert_allclose(np.asarray(actual, dtype=float), np.asarray(desired, dtype=float), rtol=1e-12, atol=1e-12)


def random_affinity(seed: int, nodes: int, density: float) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(0.1, 1.0, (nodes, nodes)) * (rng.random((nodes, nodes)) < density), 1)
    return upper + upper.T


class TestNeighbours:
    def test_hand_sized(self) -> None:
        index, similarity = graph.knn_reference(POOL, 2)
        assert_array_equal(index, [[1, 3], [0, 2], [3, 1], [2, 0]])
        assert_close(similarity, [[0.96, -0.6], [0.96, -0.6], [0, -0.6], [0, -0.6]])

    def test_ties_go_to_the_lower_index_and_never_to_the_row_itself(self) -> None:
        # Rows 0, 1, 3 are equal; centring on (.75, .25) leaves them parallel and row 2 opposite.
        index, similarity = graph.knn_reference(np.array([[1.0, 0], [1, 0], [0, 1], [1, 0]]), 2)
        assert_array_equal(index, [[1, 3], [0, 3], [0, 1], [0, 1]])
        assert_close(similarity, [[1, 1], [1, 1], [-1, -1], [1, 1]])

    def test_zero_row_has_similarity_zero_to_all(self) -> None:
        index, similarity = graph.knn_reference(np.array([[0.25], [1.25], [-0.75]]), 2)
        assert_array_equal(index[0], [1, 2])
        assert_array_equal(similarity[0], [0, 0])

    def test_identical_rows_centre_to_zero_exactly(self) -> None:
        assert_array_equal(graph.knn_reference(np.full((7, 3), 0.1), 3)[1], np.zeros((7, 3)))


class TestAffinity:
    def test_cosine_power_by_hand(self) -> None:
        # Only a-b has a positive cosine: .96^3 = .884736.
        expected = np.zeros((4, 4))
        expected[0, 1] = expected[1, 0] = 0.884736
        assert_close(graph.affinity_reference(POOL, 2), expected)

    def test_heat_by_hand(self) -> None:
        # 4 tau = 1; d^2 = 2 - 2 cos: ab .08, cd 2, ad and bc 3.2; a-c and b-d are no neighbours.
        near, middle, far = math.exp(-0.08), math.exp(-2), math.exp(-3.2)
        expected = [[0, near, 0, far], [near, 0, far, 0], [0, far, 0, middle], [far, 0, middle, 0]]
        assert_close(graph.affinity_reference(POOL, 2, kind="heat", tau=0.25), expected)

    def test_one_sided_neighbours_are_linked_both_ways(self) -> None:
        # On angles 0, 10, 50 degrees and their opposites (mean 0), K = 1: 50's neighbour is 10, but 10's is 0.
        angles = np.radians([0.0, 10, 50, 180, 190, 230])
        affinity = graph.affinity_reference(np.column_stack([np.cos(angles), np.sin(angles)]), 1, gamma=1)
        assert_close(affinity[1, :3], [math.cos(math.radians(10)), 0, math.cos(math.radians(40))])
        assert_array_equal(affinity, affinity.T)

    def test_heat_puts_a_zero_row_at_distance_one(self) -> None:
        affinity = graph.affinity_reference(np.array([[0.0], [1], [-1]]), 1, kind="heat", tau=0.25)
        assert affinity[0, 1] == pytest.approx(math.exp(-1), rel=1e-12)

    def test_unknown_kind(self) -> None:
        with pytest.raises(ValueError, match="Expected kind to be cosine_power or heat, but got rbf"):
            graph.affinity_reference(POOL, 2, kind="rbf")


class TestStrength:
    def test_hand_sized(self) -> None:
        # S01 through 2: 2 + 3; S02 through 1: 1 + 3; S12 through 0: 1 + 2; node 3 shares nothing and keeps w23 = 4.
        expected = [[0, 5, 4, 0], [5, 0, 3, 0], [4, 3, 0, 4], [0, 0, 4, 0]]
        assert_array_equal(graph.wcn_reference(TAILED), expected)

    def test_two_common_neighbours_add_up(self) -> None:
        # All six links weigh 1: each pair has two common neighbours, 2 x (1 + 1).
        clique = np.ones((4, 4)) - np.eye(4)
        assert_array_equal(graph.wcn_reference(clique), 4 * clique)

    def test_bridge_between_two_triangles_is_cut(self) -> None:
        bridged = np.zeros((6, 6))
        for a, b in [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)]:
            bridged[a, b] = bridged[b, a] = 1
        strength = graph.wcn_reference(bridged)
        assert strength[2, 3] == 0
        assert strength[0, 1] == 2

    def test_path_keeps_its_affinity(self) -> None:
        path = np.array([[0, 0.5, 0], [0.5, 0, 2], [0, 2, 0]])
        assert_array_equal(graph.wcn_reference(path), path)

    @pytest.mark.parametrize("seed", range(4))
    def test_matrix_form(self, seed: int) -> None:
        W = random_affinity(seed, 9, 0.4)
        M = (W > 0).astype(float)
        S = (W @ M + M @ W) * M
        bare = ~S.any(axis=1)
        expected = np.where(bare[:, None] | bare[None, :], W, S)
        assert_close(graph.wcn_reference(W), expected)
        assert_close(graph.wcn_reference(W), graph.wcn_reference(W).T)


class TestNormalise:
    def test_hand_sized(self) -> None:
        # Row sums 4, 16, 12, 0: 4 / sqrt(4 x 16) = 1/2 and 12 / sqrt(16 x 12) = sqrt(3) / 2.
        S = np.array([[0.0, 4, 0, 0], [4, 0, 12, 0], [0, 12, 0, 0], [0, 0, 0, 0]])
        side = math.sqrt(3) / 2
        expected = [[0, 0.5, 0, 0], [0.5, 0, side, 0], [0, side, 0, 0], [0, 0, 0, 0]]
        assert_close(graph.normalise_reference(S), expected)

    def test_largest_eigenvalue_is_one(self) -> None:
        S_hat = graph.normalise_reference(random_affinity(0, 8, 0.7))
        assert np.linalg.eigvalsh(S_hat)[-1] == pytest.approx(1, abs=1e-12)


class TestDiffusion:
    def test_heat_on_one_link_and_an_isolated_node(self) -> None:
        # I - Ŝ has eigenvalues 0 on (1, 1) and 2 on (1, -1): stay = (1 + e^-2t) / 2, move = (1 - e^-2t) / 2.
        S_hat = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])
        stay, move, decay = (1 + math.exp(-1.4)) / 2, (1 - math.exp(-1.4)) / 2, math.exp(-0.7)
        expected = [[stay, move, 0], [move, stay, 0], [0, 0, decay]]
        assert_close(graph.heat_reference(S_hat, np.eye(3), 0.7), expected)

    def test_heat_at_zero_is_the_identity_and_times_add_up(self) -> None:
        S_hat = graph.normalise_reference(random_affinity(1, 7, 0.5))
        F0 = np.random.default_rng(2).random((7, 3))
        assert_close(graph.heat_reference(S_hat, F0, 0.0), F0)
        twice = graph.heat_reference(S_hat, graph.heat_reference(S_hat, F0, 0.4), 1.1)
        assert_close(twice, graph.heat_reference(S_hat, F0, 1.5))

    def test_heat_keeps_the_square_roots_of_the_degrees(self) -> None:
        W = TAILED
        root = np.sqrt(W.sum(axis=1))[:, None]
        assert_close(graph.heat_reference(graph.normalise_reference(W), root, 3.0), root)

    def test_spread_on_one_link(self) -> None:
        # (1 - α) / (1 - α^2) [[1, α], [α, 1]] at α = 1/2: [[2/3, 1/3], [1/3, 2/3]].
        spread = graph.spread_reference(np.array([[0.0, 1], [1, 0]]), np.eye(2), 0.5)
        assert_close(spread, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]])

    def test_spread_is_the_neumann_series_and_the_identity_at_zero(self) -> None:
        S_hat = graph.normalise_reference(random_affinity(3, 7, 0.5))
        F0 = np.random.default_rng(4).random((7, 2))
        assert_close(graph.spread_reference(S_hat, F0, 0.0), F0)
        series = sum(0.6 * 0.4**n * np.linalg.matrix_power(S_hat, n) @ F0 for n in range(60))
        assert_close(graph.spread_reference(S_hat, F0, 0.4), series)


class TestTotals:
    H = np.array([[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.3, 0.1, 0.6]])

    def test_hand_sized(self) -> None:
        # Label 0: node 0 positive, node 1 negative, pi 1/2. Node 2: a .3, b .4, f = (.3 + .25) / (.4 + .5) = 11/18.
        # Label 1: only node 1 known, negative; node 0: a 0, b .3, f 0. The 1 in the unknown cell must not be read.
        values = np.array([[1, 0], [0, 0], [0, 1]])
        known = np.array([[True, False], [True, True], [False, False]])
        a, b, f = graph.label_totals_reference(self.H, values, known, 0.5)
        assert_close(a, [[0.6, 0], [0.3, 0], [0.3, 0]])
        assert_close(b, [[0.9, 0.3], [0.7, 0.4], [0.4, 0.1]])
        assert_close(f, [[1, 0], [0, 0], [11 / 18, 0]])

    def test_unreached_node_gets_the_rate(self) -> None:
        H = np.eye(4)
        values, known = np.array([[1], [1], [0], [0]]), np.array([[True], [True], [True], [False]])
        assert graph.label_totals_reference(H, values, known, 0.0)[2][3, 0] == pytest.approx(2 / 3)
        assert graph.label_totals_reference(H, values, known, 0.3)[2][3, 0] == pytest.approx(2 / 3)

    def test_label_never_known_scores_zero(self) -> None:
        f = graph.label_totals_reference(self.H, np.ones((3, 1)), np.zeros((3, 1), dtype=bool), 0.0)[2]
        assert_array_equal(f, np.zeros((3, 1)))

    def test_scores_of_complementary_labels_add_up_to_one(self) -> None:
        values = np.array([[1, 0], [0, 1], [0, 0]])
        known = np.array([[True, True], [True, True], [False, False]])
        assert_close(graph.label_totals_reference(self.H, values, known, 0.2)[2].sum(axis=1), 1)

    def test_single_label_takes_the_lowest_index_among_equals(self) -> None:
        totals = np.array([[0.1, 0.7, 0.2], [0.4, 0.2, 0.4], [0, 0, 0]])
        assert_array_equal(graph.single_label_reference(totals), [1, 0, 0])


class TestDynamic:
    VALUES = np.array([[1, 0], [1, 1], [0, 0]])
    KNOWN = np.array([[True, True], [True, True], [False, False]])
    TRIANGLE = np.ones((3, 3)) - np.eye(3)

    def test_one_round_is_the_static_method(self) -> None:
        S_hat = graph.normalise_reference(graph.wcn_reference(TAILED))
        values = np.array([[1, 0], [0, 1], [0, 0], [0, 0]])
        known = np.array([[True, True], [True, False], [False, False], [False, True]])
        static = graph.label_totals_reference(graph.heat_reference(S_hat, np.eye(4), 2.0), values, known, 0.1)
        for got, expected in zip(graph.dynamic_reference(TAILED, values, known, 2.0, 0.1, 1, 5.0), static, strict=True):
            assert_close(got, expected)

    def test_no_reweighting_at_eta_zero(self) -> None:
        once = graph.dynamic_reference(TAILED[:3, :3], self.VALUES, self.KNOWN, 1.0, 0.1, 1, 0.0)[2]
        thrice = graph.dynamic_reference(TAILED[:3, :3], self.VALUES, self.KNOWN, 1.0, 0.1, 3, 0.0)[2]
        assert_array_equal(once, thrice)

    def test_rounds_by_hand(self) -> None:
        # Round 1, kappa 0: by symmetry node 2 is (1, 1/2) between (1, 0) and (1, 1). Then, with node 2 at (1, s):
        # cosines 01 1/sqrt 2, 02 1/sqrt(1 + s^2), 12 (1 + s)/sqrt(2 (1 + s^2)); with eta 1 each w is 1 + cosine, the
        # first affinity being 1 in all rounds. S_AB is the two other links' sum: d0 = w01 + w02 + 2 w12,
        # d1 = w01 + 2 w02 + w12. For long times H_ij is proportional to sqrt(d_i d_j), so the next s is
        # sqrt d1 / (sqrt d0 + sqrt d1).
        s = 0.5
        for rounds in (2, 3):
            length = math.sqrt(1 + s * s)
            w01, w02, w12 = 1 + 1 / math.sqrt(2), 1 + 1 / length, 1 + (1 + s) / (math.sqrt(2) * length)
            d0, d1 = w01 + w02 + 2 * w12, w01 + 2 * w02 + w12
            s = math.sqrt(d1) / (math.sqrt(d0) + math.sqrt(d1))
            f = graph.dynamic_reference(self.TRIANGLE, self.VALUES, self.KNOWN, 80.0, 0.0, rounds, 1.0)[2]
            assert_close(f, [[1, 0], [1, 1], [1, s]])

    def test_zero_rows_have_cosine_zero(self) -> None:
        # Node 0's clamped row is zero, so its links keep weight 1; nodes 1 and 2 agree fully and their link weighs 2.
        # S01 = S02 = 1 + 2 and S12 = 1 + 1; Ŝ01 = 3 / sqrt(6 x 5), Ŝ12 = 2 / 5. f_2 is H21 / (H20 + H21).
        values, known = np.array([[0], [1], [0]]), np.array([[True], [True], [False]])
        f = graph.dynamic_reference(self.TRIANGLE, values, known, 80.0, 0.0, 2, 1.0)[2]
        assert f[2, 0] == pytest.approx(math.sqrt(5) / (math.sqrt(6) + math.sqrt(5)), rel=1e-12)


class TestInductive:
    SCORES = np.array([[1.0, 0.2], [0.0, 0.6], [1.0, 0.0], [0.5, 1.0]])
    PI = np.array([0.3, 0.4])

    def test_hand_sized(self) -> None:
        # (0, 1) after centring: cosines b .8, a .6; weights .512 and .216; .216 / .728 = 27/91.
        got = graph.inductive_reference(POOL, self.SCORES, np.array([[10.0, 25.0]]), self.PI, 2)
        assert_close(got, [[27 / 91, (27 * 0.2 + 64 * 0.6) / 91]])

    def test_equal_weights_average(self) -> None:
        # (-1, -1) after centring is as near to c as to d.
        got = graph.inductive_reference(POOL, self.SCORES, np.array([[7.0, 17.0]]), self.PI, 3)
        assert_close(got, [[0.75, 0.5]])

    def test_no_weight_gives_the_rate(self) -> None:
        got = graph.inductive_reference(POOL, self.SCORES, np.array([[10.0, 20.0]]), self.PI, 3)
        assert_array_equal(got, [self.PI])

    def test_heat_by_hand(self) -> None:
        # d^2 to b: 2 - 1.6 = .4, to a: 2 - 1.2 = .8.
        got = graph.inductive_reference(POOL, self.SCORES, np.array([[10.0, 25.0]]), self.PI, 2, kind="heat", tau=0.25)
        assert got[0, 0] == pytest.approx(math.exp(-0.8) / (math.exp(-0.4) + math.exp(-0.8)), rel=1e-12)


class TestAttention:
    # Positions hold 1 and 3; l = (x, 2x + 1): (1, 3) and (3, 7).
    MAPS = np.array([[[[1.0, 3.0]]]])
    PROJECTION = np.array([[1.0], [2.0]])
    BIAS = np.array([0.0, 1.0])

    def test_additive_softmax_by_hand(self) -> None:
        # u = (0, ln 3 / 4): c = u·l + u·g differs by ln 3 between the positions, so a = (1/4, 3/4).
        a, g_a = model.attention_reference(
            self.MAPS, self.PROJECTION, self.BIAS, np.array([[5.0, 6.0]]), np.array([0, math.log(3) / 4])
        )
        assert_close(a, [[[0.25, 0.75]]])
        assert_close(g_a, [[2.5, 6.0]])

    def test_additive_sigmoid_by_hand(self) -> None:
        # u = (ln 3, 0), g = (-1, 0): c = 0 and 2 ln 3, a = 1/2 and 9/10, g_a = (.5 + 2.7, 1.5 + 6.3).
        a, g_a = model.attention_reference(
            self.MAPS,
            self.PROJECTION,
            self.BIAS,
            np.array([[-1.0, 0.0]]),
            np.array([math.log(3), 0]),
            normalisation="sigmoid",
        )
        assert_close(a, [[[0.5, 0.9]]])
        assert_close(g_a, [[3.2, 7.8]])

    def test_dot_softmax_by_hand(self) -> None:
        # g = (ln 2, 0): c = ln 2 and 3 ln 2, a = (2, 8) / 10.
        a, g_a = model.attention_reference(
            self.MAPS, self.PROJECTION, self.BIAS, np.array([[math.log(2), 0]]), compatibility="dot"
        )
        assert_close(a, [[[0.2, 0.8]]])
        assert_close(g_a, [[2.6, 6.2]])

    def test_layout_of_a_map(self) -> None:
        # One position of a 2 x 3 map stands out by ln 15: weights 15/20 there and 1/20 elsewhere, in its own cell.
        maps = np.zeros((2, 1, 2, 3))
        maps[1, 0, 1, 2] = math.log(15)
        a, _ = model.attention_reference(maps, np.eye(1), np.zeros(1), np.ones((2, 1)), compatibility="dot")
        assert_close(a[0], np.full((2, 3), 1 / 6))
        assert_close(a[1], [[0.05, 0.05, 0.05], [0.05, 0.05, 0.75]])

    def test_additive_softmax_does_not_see_the_global_vector(self) -> None:
        # u·g is the same at all positions and cancels in the softmax.
        u = np.array([0.3, -0.2])
        maps = [
            model.attention_reference(self.MAPS, self.PROJECTION, self.BIAS, np.array([g]), u)[0]
            for g in ([0.0, 0.0], [7.0, -9.0])
        ]
        assert_close(maps[0], maps[1])

    def test_errors(self) -> None:
        arguments = self.MAPS, self.PROJECTION, self.BIAS, np.zeros((1, 2))
        with pytest.raises(ValueError, match="additive with u given"):
            model.attention_reference(*arguments)
        with pytest.raises(ValueError, match="softmax or sigmoid, but got max"):
            model.attention_reference(*arguments, compatibility="dot", normalisation="max")


class TestCooccurrence:
    def test_hand_sized(self) -> None:
        # Label 0 in all 5 images, label 1 in 4, label 2 in the fifth. Row 0: P' = 4/5, 1/5, sum 1;
        # phi 1/2 drops 1/5, which stays in the sum: M01 = .25 x .8. Rows 1 and 2: one link of .25.
        values = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 1]])
        P, conditional, M = model.cooccurrence_reference(values, np.ones((5, 3), dtype=bool), 0.5, 0.25, 0.0)
        assert_array_equal(P, [[5, 4, 1], [4, 4, 0], [1, 0, 1]])
        assert_close(conditional, [[1, 0.8, 0.2], [1, 1, 0], [1, 0, 1]])
        assert_close(M, [[1, 0.2, 0], [0.25, 1, 0], [0.25, 0, 1]])
        # Row sums 1.2, 1.25, 1.25.
        cross = 0.2 / math.sqrt(1.5), 0.25 / math.sqrt(1.5)
        expected = [[1 / 1.2, cross[0], 0], [cross[1], 0.8, 0], [cross[1], 0, 0.8]]
        assert_close(model.a_hat_reference(M), expected)

    def test_unknown_is_never_negative(self) -> None:
        # Label 0 in images 0, 1, 2; label 1 known in 0 (yes) and 1 (no): P'01 = 1/2, not 1/3.
        # Label 1 in images 0 and 3, label 0 known in both: P'10 = 1/2. Label 2 is never seen: empty row, diagonal 1.
        # The 1 in image 2's unknown cell must not be read.
        values = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
        known = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
        P, conditional, M = model.cooccurrence_reference(values, known, phi=0.5, theta=0.5)
        assert_array_equal(P, [[3, 1, 0], [1, 2, 0], [0, 0, 0]])
        assert_close(conditional, [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]])
        # .25 x .5 / (.5 + .5): a rate equal to phi stays.
        assert_close(M, [[1, 0.125, 0], [0.125, 1, 0], [0, 0, 1]])

    def test_links_of_a_row_add_up_to_lambda(self) -> None:
        values = np.random.default_rng(5).random((40, 5)) < 0.5
        M = model.cooccurrence_reference(values, np.ones((40, 5), dtype=bool), 0.0, 0.25, 0.0)[2]
        assert_close(M.sum(axis=1), 1.25)

    def test_fully_known_is_the_matrix_form(self) -> None:
        Y = (np.random.default_rng(6).random((30, 4)) < 0.4).astype(float)
        P, conditional, _ = model.cooccurrence_reference(Y, np.ones((30, 4), dtype=bool))
        assert_close(P, Y.T @ Y)
        assert_close(conditional, (Y.T @ Y) / Y.sum(axis=0)[:, None])


class TestLabelGcn:
    def test_hand_sized(self) -> None:
        # ÂZ = (-1, -4); times W0 = (1, -1): [-1, 1], [-4, 4]; leaky: [-.2, 1], [-.8, 4];
        # Â again: [-.5, 2.5], [-.8, 4]; times W1 = (1, -10): -25.5, -40.8, left negative.
        A_hat, Z = np.array([[0.5, 0.5], [0, 1]]), np.array([[2.0], [-4]])
        got = model.gcn_reference(A_hat, Z, [np.array([[1.0, -1]]), np.array([[1.0], [-10]])])
        assert_close(got, [[-25.5], [-40.8]])

    def test_one_layer_is_linear(self) -> None:
        rng = np.random.default_rng(7)
        A_hat, Z, W = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 4))
        assert_close(model.gcn_reference(A_hat, Z, [W]), A_hat @ Z @ W)


class TestFusion:
    # U F = (1, 2, 3, -1), V w = (3, 6, 0, 9), product (3, 12, 0, -9), pairs (15, -9).
    F, W_LAB = np.array([[1.0, 2.0]]), np.array([[3.0]])
    U, V = np.array([[1.0, 0], [0, 1], [1, 1], [1, -1]]), np.array([[1.0], [2], [0], [3]])

    @pytest.mark.parametrize(
        ("signed_sqrt", "l2", "expected"),
        [
            (False, False, [15, -9]),
            (True, False, [math.sqrt(15), -3]),
            (False, True, [15 / math.sqrt(306), -9 / math.sqrt(306)]),
            (True, True, [math.sqrt(15 / 24), -3 / math.sqrt(24)]),
        ],
    )
    def test_hand_sized(self, signed_sqrt: bool, l2: bool, expected: list[float]) -> None:
        fused = model.mfb_reference(self.F, self.W_LAB, self.U, self.V, 2, signed_sqrt, l2)
        assert_close(fused, [[expected]])

    def test_zero_feature_stays_zero(self) -> None:
        assert_array_equal(model.mfb_reference(0 * self.F, self.W_LAB, self.U, self.V, 2), np.zeros((1, 1, 2)))

    def test_without_root_and_norm_one_group_is_a_bilinear_form(self) -> None:
        rng = np.random.default_rng(8)
        F, W, U, V = (rng.normal(size=shape) for shape in ((3, 5), (2, 4), (6, 5), (6, 4)))
        fused = model.mfb_reference(F, W, U, V, 6, signed_sqrt=False, l2=False)
        assert_close(fused[:, :, 0], F @ U.T @ V @ W.T)


class TestLosses:
    # sigmoid(ln 3) = 3/4. Known: a positive and a negative at ln 3, two negatives at 0; one unknown cell.
    LOGITS = np.array([[math.log(3), math.log(3), 0.0], [0.0, 50.0, 0.0]])
    TARGETS = np.array([[1.0, 0, 0], [0, 1, 0]])
    KNOWN = np.array([[True, True, True], [True, False, False]])
    ALL = np.ones((1, 1), dtype=bool)

    def test_weighted_bce_by_hand(self) -> None:
        # |Po| 1, |Ne| 3: wt_p 5/2, wt_n 5/4. Costs: log 4/3 once, log 4 + 2 log 2 = log 16 for the negatives.
        expected = (2.5 * math.log(4 / 3) + 1.25 * math.log(16)) / 4
        assert model.weighted_bce_reference(self.LOGITS, self.TARGETS, self.KNOWN) == pytest.approx(expected, rel=1e-12)

    def test_weighted_bce_with_a_soft_target(self) -> None:
        # |Po| = |Ne| = 1/2: both weights 2 / 1.5; at logit 0 both halves cost log 2.
        got = model.weighted_bce_reference(np.zeros((1, 1)), np.full((1, 1), 0.5), self.ALL)
        assert got == pytest.approx(4 / 3 * math.log(2), rel=1e-12)

    def test_cell_weights_scale_cells_and_nothing_else(self) -> None:
        weights = np.array([[2.0, 0, 0], [0, 9, 9]])
        got = model.weighted_bce_reference(self.LOGITS, self.TARGETS, self.KNOWN, weights)
        assert got == pytest.approx(2 * 2.5 * math.log(4 / 3) / 4, rel=1e-12)

    def test_asymmetric_by_hand(self) -> None:
        # Positive: log 4/3. Negatives: p 3/4 shifts to .7, .7^4 x -log .3; p 1/2 shifts to .45, .45^4 x -log .55.
        expected = (math.log(4 / 3) - 0.7**4 * math.log(0.3) - 2 * 0.45**4 * math.log(0.55)) / 4
        assert model.asymmetric_reference(self.LOGITS, self.TARGETS, self.KNOWN) == pytest.approx(expected, rel=1e-12)

    def test_asymmetric_forgives_easy_negatives(self) -> None:
        logit = np.array([[math.log(0.04 / 0.96)]])
        assert model.asymmetric_reference(logit, np.zeros((1, 1)), self.ALL) == 0

    def test_focal_by_hand(self) -> None:
        # Positive: (1/4)^2 log 4/3; negatives: (3/4)^2 log 4 and twice (1/2)^2 log 2.
        expected = (math.log(4 / 3) / 16 + 9 / 16 * math.log(4) + 0.5 * math.log(2)) / 4
        assert model.focal_reference(self.LOGITS, self.TARGETS, self.KNOWN) == pytest.approx(expected, rel=1e-12)

    def test_soft_margin_by_hand(self) -> None:
        expected = (math.log(4 / 3) + math.log(16)) / 4
        assert model.soft_margin_reference(self.LOGITS, self.TARGETS, self.KNOWN) == pytest.approx(expected, rel=1e-12)

    def test_focal_and_asymmetric_without_focus_are_soft_margin(self) -> None:
        cells = self.LOGITS, np.array([[0.9, 0.2, 0.0], [0.5, 1, 1]]), self.KNOWN
        expected = pytest.approx(model.soft_margin_reference(*cells), rel=1e-12)
        assert model.focal_reference(*cells, gamma=0.0) == expected
        assert model.asymmetric_reference(*cells, gamma_neg=0.0, gamma_pos=0.0, clip=0.0) == expected

    def test_asymmetric_without_clip_is_focal(self) -> None:
        cells = self.LOGITS, self.TARGETS, self.KNOWN
        got = model.asymmetric_reference(*cells, gamma_neg=2.0, gamma_pos=2.0, clip=0.0)
        assert got == pytest.approx(model.focal_reference(*cells), rel=1e-12)

    @pytest.mark.parametrize(
        "loss",
        [
            model.weighted_bce_reference,
            model.asymmetric_reference,
            model.focal_reference,
            model.soft_margin_reference,
        ],
    )
    def test_nothing_known_costs_nothing(self, loss: Callable[..., float]) -> None:
        assert loss(self.LOGITS, self.TARGETS, np.zeros((2, 3), dtype=bool)) == 0

    def test_far_logits_stay_finite(self) -> None:
        logits, targets = np.array([[-700.0, 700.0]]), np.array([[1.0, 0.0]])
        assert model.soft_margin_reference(logits, targets, np.ones((1, 2), dtype=bool)) == pytest.approx(700)


class TestRidge:
    def test_hand_sized(self) -> None:
        # x 0, 1, 2; y 0, 1, 4; lam 1/2, slope Sxy / (Sxx + lam) about the means of the two others.
        # Without 0: means 1.5, 2.5, slope 1.5 / 1, at 0: 2.5 - 2.25. Without 1: means 1, 2 at 1: 2.
        # Without 2: means .5, .5, slope .5 / 1, at 2: .5 + .75.
        got = model.ridge_loo_reference(np.array([[0.0], [1], [2]]), np.array([[0.0], [1], [4]]), 0.5)
        assert_close(got, [[0.25], [2.0], [1.25]])

    def test_closed_form_of_the_residuals(self) -> None:
        # Residual left out = residual / (1 - h_ii), with the hat matrix of ridge about the means.
        rng = np.random.default_rng(9)
        X, Y = rng.normal(size=(12, 4)), rng.normal(size=(12, 2))
        centred = X - X.mean(axis=0)
        hat = 1 / 12 + centred @ np.linalg.solve(centred.T @ centred + 0.7 * np.eye(4), centred.T)
        left_out = Y - (Y - hat @ Y) / (1 - np.diag(hat))[:, None]
        assert_close(model.ridge_loo_reference(X, Y, 0.7), left_out)

    def test_kernel_form_with_fewer_rows_than_columns(self) -> None:
        rng = np.random.default_rng(10)
        X, Y = rng.normal(size=(5, 9)), rng.normal(size=(5, 1))
        rest = X[1:] - X[1:].mean(axis=0)
        dual = np.linalg.solve(rest @ rest.T + 0.3 * np.eye(4), Y[1:] - Y[1:].mean(axis=0))
        expected = (X[0] - X[1:].mean(axis=0)) @ rest.T @ dual + Y[1:].mean(axis=0)
        assert_close(model.ridge_loo_reference(X, Y, 0.3)[0], expected)
