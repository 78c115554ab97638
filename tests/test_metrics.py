"""Measures against scikit-learn, loops from the definitions and numbers worked out by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import metrics as reference

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.metrics import (
    average_precision,
    average_precisions,
    evaluate,
    mean_average_precision_draws,
    mean_average_precision_interval,
    percentile_interval,
    single_label_error,
    top_k,
)

EXACT = 1e-12  # float64 sums of a few hundred terms, in another order


def labels_of(values: Any, known: Any = None) -> LabelMatrix:
    values = np.asarray(values, dtype=bool)
    known = np.ones_like(values) if known is None else np.asarray(known, dtype=bool)
    return LabelMatrix(values, known, tuple(f"label{column}" for column in range(values.shape[1])))


def random_case(seed: int, images: int = 60, labels: int = 9, known: float = 0.7) -> tuple[np.ndarray, LabelMatrix]:
    """Draw probabilities with many ties and partly known labels; the last label has no positive."""
    generator = np.random.default_rng(seed)
    probabilities = np.round(generator.random((images, labels)), 2)
    values = generator.random((images, labels)) < 0.2 + 0.4 * probabilities
    values[:, -1] = False
    return probabilities, labels_of(values, generator.random((images, labels)) < known)


def measures_by_loops(predicted: np.ndarray, labels: LabelMatrix) -> dict[str, float]:
    precisions, recalls, tallies = [], [], []
    for column in range(len(labels.names)):
        known = labels.known[:, column]
        cells = list(zip(predicted[known, column], labels.values[known, column], strict=True))
        hits, chosen = sum(p and v for p, v in cells), sum(p for p, _ in cells)
        positives = sum(v for _, v in cells)
        tallies.append((hits, chosen, positives))
        if positives:
            precisions.append(hits / chosen if chosen else 0.0)
            recalls.append(hits / positives)
    hits, chosen, positives = (sum(column) for column in zip(*tallies, strict=True))
    cp, cr = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    op, overall_recall = hits / chosen, hits / positives
    return {
        "CP": cp,
        "CR": cr,
        "CF1": 2 / (1 / cp + 1 / cr),
        "OP": op,
        "OR": overall_recall,
        "OF1": 2 / (1 / op + 1 / overall_recall),
    }


def top_by_sorting(scores: np.ndarray, known: np.ndarray, k: int) -> np.ndarray:
    chosen = np.zeros(known.shape, dtype=bool)
    for row in range(len(scores)):
        columns = [column for column in range(known.shape[1]) if known[row, column]]
        columns.sort(key=lambda column: (-scores[row, column], column))
        chosen[row, columns[:k]] = True
    return chosen


class TestAveragePrecision:
    def test_is_the_mean_precision_at_the_positives(self) -> None:
        value = average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0], bool), np.ones(4, bool))
        assert value == pytest.approx((1 / 1 + 2 / 3) / 2)

    def test_lets_tied_cells_in_together(self) -> None:
        value = average_precision(np.array([0.5, 0.5, 0.5, 0.1]), np.array([1, 0, 0, 1], bool), np.ones(4, bool))
        assert value == pytest.approx((1 / 3 + 2 / 4) / 2)

    def test_skips_unknown_cells(self) -> None:
        known = np.array([0, 1, 1, 1], bool)
        value = average_precision(np.array([math.nan, 0.8, 0.7, 0.6]), np.array([0, 0, 1, 0], bool), known)
        assert value == pytest.approx(1 / 2)

    def test_is_nan_without_a_known_positive(self) -> None:
        assert math.isnan(average_precision(np.ones(3), np.array([1, 0, 0], bool), np.array([0, 1, 1], bool)))
        assert math.isnan(average_precision(np.ones(0), np.ones(0, bool), np.ones(0, bool)))

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([1, 3, 50]))
    def test_equals_scikit_learn(self, seed: int, images: int, levels: int) -> None:
        generator = np.random.default_rng(seed)
        scores = generator.integers(-levels, levels + 1, images) / 7
        values, known = generator.random(images) < 0.4, generator.random(images) < 0.8
        if (values & known).any():
            expected = reference.average_precision_score(values[known], scores[known])
            assert average_precision(scores, values, known) == pytest.approx(expected, abs=EXACT)

    def test_reads_float32_without_new_ties(self) -> None:
        scores = np.nextafter(np.float32(0.5), np.arange(2, dtype=np.float32))
        assert average_precision(scores, np.array([0, 1], bool), np.ones(2, bool)) == 1.0

    def test_refuses_other_lengths_and_nan(self) -> None:
        with pytest.raises(InputError, match=r"one length, but got \(3,\), \(2,\), \(2,\)"):
            average_precision(np.ones(3), np.ones(2, bool), np.ones(2, bool))
        with pytest.raises(InputError, match="without nan in known cells, but got 1 nan"):
            average_precision(np.array([math.nan, 1.0]), np.ones(2, bool), np.ones(2, bool))

    def test_goes_label_by_label(self) -> None:
        probabilities, labels = random_case(3)
        areas = average_precisions(probabilities, labels)
        for column in range(len(labels.names) - 1):
            cells = labels.known[:, column]
            expected = reference.average_precision_score(labels.values[cells, column], probabilities[cells, column])
            assert areas[column] == pytest.approx(expected, abs=EXACT)
        assert math.isnan(areas[-1])

    def test_names_the_label_with_faulty_scores(self) -> None:
        labels = labels_of([[1, 0], [0, 1]])
        with pytest.raises(InputError, match=r"got 1 that are not, most of them \(1\) for label 'label1'"):
            average_precisions(np.array([[0.1, math.inf], [0.2, 0.3]]), labels)
        with pytest.raises(InputError, match=r"Expected scores of shape \(2, 2\) \(images, labels\), but got \(2, 3\)"):
            average_precisions(np.ones((2, 3)), labels)


class TestInterval:
    def test_equals_scoring_the_drawn_images_one_by_one(self) -> None:
        probabilities, labels = random_case(5, images=25, labels=4)
        rows, generator = np.flatnonzero(labels.labelled), np.random.default_rng(11)
        means = []
        for _ in range(30):
            drawn = generator.choice(rows, len(rows))
            areas = average_precisions(probabilities[drawn], labels.take(drawn))
            means.append(np.mean(areas[~np.isnan(areas)]))
        expected = np.percentile(means, [2.5, 97.5])
        found = mean_average_precision_interval(probabilities, labels, draws=30, seed=11)
        assert found == pytest.approx(tuple(expected), abs=EXACT)

    def test_holds_the_point_estimate_and_repeats(self) -> None:
        probabilities, labels = random_case(6, images=200)
        low, high = mean_average_precision_interval(probabilities, labels)
        assert low < evaluate(probabilities, labels)["mAP"] < high
        assert (low, high) == mean_average_precision_interval(probabilities, labels)

    def test_ignores_unlabelled_images(self) -> None:
        probabilities, labels = random_case(7)
        more = LabelMatrix(
            np.pad(labels.values, ((0, 5), (0, 0))), np.pad(labels.known, ((0, 5), (0, 0))), labels.names
        )
        padded = np.pad(probabilities, ((0, 5), (0, 0)), constant_values=math.nan)
        expected = mean_average_precision_interval(probabilities, labels, draws=20)
        assert mean_average_precision_interval(padded, more, draws=20) == expected

    def test_draws_of_two_systems_are_of_the_same_images(self) -> None:
        probabilities, labels = random_case(8, images=60)
        draws = mean_average_precision_draws(probabilities, labels, draws=25)
        assert_array_equal(mean_average_precision_draws(probabilities / 2, labels, draws=25), draws)  # the same order
        low, high = percentile_interval(mean_average_precision_draws(labels.values, labels, draws=25) - draws)
        assert 0 < low < high < 1  # the perfect order is ahead in every draw

    def test_bounds_leave_out_what_is_not_defined(self) -> None:
        assert percentile_interval(np.array([math.nan, *np.linspace(0, 1, 41)])) == pytest.approx((0.025, 0.975))

    def test_is_nan_without_a_positive(self) -> None:
        low, high = mean_average_precision_interval(np.ones((3, 2)), LabelMatrix.unlabelled(3, ("a", "b")), draws=4)
        assert math.isnan(low)
        assert math.isnan(high)

    def test_refuses_no_draws(self) -> None:
        with pytest.raises(InputError, match="at least 1 draw, but got 0"):
            mean_average_precision_interval(np.ones((1, 1)), labels_of([[1]]), draws=0)


class TestTopK:
    def test_gives_unknown_cells_no_place(self) -> None:
        scores = np.array([[0.9, 0.8, 0.7, 0.6]])
        assert top_k(scores, np.array([[0, 1, 0, 1]], bool), 1).tolist() == [[False, True, False, False]]
        assert top_k(scores, np.array([[0, 1, 0, 1]], bool), 3).tolist() == [[False, True, False, True]]

    def test_takes_the_first_of_tied_columns(self) -> None:
        assert top_k(np.array([[0.5, 0.7, 0.5, 0.5]]), np.ones((1, 4), bool), 2).tolist() == [
            [True, True, False, False]
        ]

    @pytest.mark.parametrize("k", [0, 1, 3, 5, 9, 20])
    def test_equals_sorting_each_row(self, k: int) -> None:
        probabilities, labels = random_case(8)
        scores = np.round(probabilities, 1)
        assert np.array_equal(top_k(scores, labels.known, k), top_by_sorting(scores, labels.known, k))

    def test_goes_across_blocks(self) -> None:
        generator = np.random.default_rng(0)
        scores = generator.random((70_000, 4))
        chosen = top_k(scores, np.ones(scores.shape, bool), 1)
        assert np.array_equal(chosen.argmax(axis=1), scores.argmax(axis=1))
        assert chosen.sum() == len(scores)


class TestEvaluate:
    def test_gives_the_numbers_worked_out_by_hand(self) -> None:
        # columns a, b, c, d; '?' marks the unknown cells (0, c) and (3, a); d has no positive
        values = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
        known = [[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]]
        probabilities = np.array(
            [[0.9, 0.6, 0.99, 0.1], [0.4, 0.8, 0.7, 0.2], [0.6, 0.3, 0.9, 0.55], [0.95, 0.1, 0.2, 0.3]]
        )
        found = evaluate(probabilities, labels_of(values, known), np.array([0.35, 0.25, 0.15, 0.5]))
        # at half: a predicted rows 0, 2; hits 0. b predicted 0, 1; hits 1. c predicted 1, 2; hits 2. d predicted 2.
        assert found["images"] == 4
        assert found["cells"] == 14
        assert found["at_half"] == pytest.approx(
            {"CP": 1 / 2, "CR": 1 / 2, "CF1": 1 / 2, "OP": 3 / 7, "OR": 3 / 6, "OF1": 6 / 13}
        )
        # tuned: a rows 0, 1, 2, hits 2 of 2; b rows 0, 1, 2, hits 2 of 2; c rows 1, 2, 3, hits 2 of 2; d row 2
        assert found["at_tuned"] == pytest.approx(
            {"CP": 2 / 3, "CR": 1.0, "CF1": 4 / 5, "OP": 6 / 10, "OR": 1.0, "OF1": 12 / 16}
        )
        # AP: a ranks + (0.9), - (0.6), + (0.4); b ranks + (0.8), - (0.6), + (0.3), -; c ranks + (0.9), - (0.7), + (0.2)
        assert found["mAP"] == pytest.approx(5 / 6)
        assert (found["labels_with_positives"], found["mAP_10"], found["labels_with_10_positives"]) == (3, None, 0)
        # top-3 leaves out only d in row 1 and b in row 2: row 0 a b d; 1 b c a; 2 c a d; 3 d c b
        assert found["top3"]["OP"] == pytest.approx(5 / 12)
        assert found["top3"]["CP"] == pytest.approx((2 / 3 + 1 / 3 + 2 / 3) / 3)
        assert found["top3_at_half"]["OP"] == pytest.approx(3 / 7)
        # five places for four labels: everything known is predicted
        assert found["top5"] == pytest.approx(
            {"precision": (2 / 3 + 2 / 4 + 2 / 3) / 3, "recall": 1.0, "F1": 22 / 29, "recalled_labels": 3}
        )
        assert found["hamming_error"] == pytest.approx(7 / 14)
        assert found["one_error"] == pytest.approx(1 / 4)  # row 3: d (0.3) above c (0.2)
        assert found["micro_f1_error"] == pytest.approx(7 / 13)
        assert found["per_label"][0] == {
            "label": "label0",
            "positives": 2,
            "negatives": 1,
            "AP": pytest.approx(5 / 6),
            "threshold": 0.35,
            "precision": pytest.approx(2 / 3),
            "recall": 1.0,
            "F1": pytest.approx(4 / 5),
        }
        undefined = {"AP": None, "precision": None, "recall": None, "F1": None}
        assert found["per_label"][3] == {
            "label": "label3",
            "positives": 0,
            "negatives": 4,
            "threshold": 0.5,
            **undefined,
        }

    @pytest.mark.parametrize("seed", range(4))
    def test_equals_loops_from_the_definitions(self, seed: int) -> None:
        probabilities, labels = random_case(seed)
        thresholds = np.linspace(0.2, 0.8, len(labels.names))
        found = evaluate(probabilities, labels, thresholds)
        at_half, top3 = probabilities >= 0.5, top_by_sorting(probabilities, labels.known, 3)
        predictions = {
            "at_half": at_half,
            "at_tuned": probabilities >= thresholds,
            "top3": top3,
            "top3_at_half": top3 & at_half,
        }
        for name, predicted in predictions.items():
            assert found[name] == pytest.approx(measures_by_loops(predicted, labels), abs=EXACT), name
        top5 = top_by_sorting(probabilities, labels.known, 5)
        expected = measures_by_loops(top5, labels)
        assert found["top5"]["precision"] == pytest.approx(expected["CP"], abs=EXACT)
        assert found["top5"]["F1"] == pytest.approx(expected["CF1"], abs=EXACT)
        assert found["top5"]["recalled_labels"] == (top5 & labels.values).any(axis=0).sum()
        first = top_by_sorting(probabilities, labels.known, 1)
        missed = [not (f & v).any() for f, v in zip(first, labels.values, strict=True) if v.any()]
        assert found["one_error"] == pytest.approx(np.mean(missed))

    def test_equals_scikit_learn_where_all_is_known(self) -> None:
        probabilities, labels = random_case(9, known=1.1)
        found = evaluate(probabilities, labels)
        truth, predicted = labels.values[:, :-1], probabilities[:, :-1] >= 0.5
        for average, names in (("macro", ("CP", "CR")), ("micro", ("OR",))):
            precision, recall, _, _ = reference.precision_recall_fscore_support(truth, predicted, average=average)
            expected = {"CP": precision, "CR": recall, "OR": recall}
            assert {name: found["at_half"][name] for name in names} == pytest.approx(
                {name: expected[name] for name in names}
            )
        every = probabilities >= 0.5
        assert found["at_half"]["OF1"] == pytest.approx(reference.f1_score(labels.values, every, average="micro"))
        assert found["hamming_error"] == pytest.approx(reference.hamming_loss(labels.values, every))
        assert found["mAP"] == pytest.approx(reference.average_precision_score(truth, probabilities[:, :-1]))
        rows = reference.precision_recall_fscore_support(truth, predicted, average=None)
        for row, precision, recall, f1 in zip(found["per_label"][:-1], *rows[:3], strict=True):
            assert (row["precision"], row["recall"], row["F1"]) == pytest.approx((precision, recall, f1))

    def test_one_error_ends_where_coverage_is_one(self) -> None:
        probabilities = np.array([[0.9, 0.1, 0.3], [0.2, 0.8, 0.1]])
        values = np.array([[1, 0, 0], [0, 1, 0]])
        assert reference.coverage_error(values, probabilities) == 1.0
        assert evaluate(probabilities, labels_of(values))["one_error"] == 0.0

    def test_means_over_ten_positives_leave_rare_labels_out(self) -> None:
        probabilities = np.linspace(0.99, 0.01, 24).reshape(12, 2)
        values = np.zeros((12, 2), bool)
        values[:10, 0] = True
        values[11, 1] = True
        found = evaluate(probabilities, labels_of(values))
        assert (found["mAP_10"], found["labels_with_10_positives"]) == (1.0, 1)
        assert found["mAP"] == pytest.approx((1 + 1 / 12) / 2)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.sampled_from([math.nan, math.inf, -1e300, 7.0, 0.5]))
    def test_never_reads_unknown_cells(self, seed: int, filler: float) -> None:
        probabilities, labels = random_case(seed, images=12, labels=5)
        thresholds = np.full(5, 0.4)
        other = np.where(labels.known, probabilities, filler)
        assert evaluate(other, labels, thresholds) == evaluate(probabilities, labels, thresholds)

    def test_ignores_unlabelled_images(self) -> None:
        probabilities, labels = random_case(2)
        padding = ((0, 7), (0, 0))
        more = LabelMatrix(np.pad(labels.values, padding), np.pad(labels.known, padding), labels.names)
        assert evaluate(np.pad(probabilities, padding), more) == evaluate(probabilities, labels)

    def test_follows_the_labels_in_any_order(self) -> None:
        generator = np.random.default_rng(1)
        _, labels = random_case(1)
        probabilities = generator.permutation(labels.known.size).reshape(labels.known.shape) / labels.known.size
        order = generator.permutation(len(labels.names))
        names = tuple(labels.names[column] for column in order)
        permuted = LabelMatrix(labels.values[:, order], labels.known[:, order], names)
        before, after = evaluate(probabilities, labels), evaluate(probabilities[:, order], permuted)
        assert after.pop("per_label") == [before["per_label"][column] for column in order]
        before.pop("per_label")
        for name, value in before.items():
            assert after[name] == pytest.approx(value, abs=EXACT), name

    def test_is_json_without_nan_when_nothing_is_known(self) -> None:
        found = evaluate(np.full((3, 2), 0.5), LabelMatrix.unlabelled(3, ("a", "b")), np.full(2, 0.5))
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert (found["images"], found["cells"], found["mAP"], found["ece"]) == (0, 0, None, None)
        assert set(found["at_half"].values()) == {None}
        assert found["hamming_error"] is found["one_error"] is found["micro_f1_error"] is None

    def test_is_json_on_ordinary_data(self) -> None:
        probabilities, labels = random_case(4)
        found = evaluate(probabilities.astype(np.float32), labels, np.full(9, 0.5, np.float32))
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    def test_counts_a_label_never_predicted_as_precision_zero(self) -> None:
        found = evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), labels_of([[1, 1], [1, 0]]))
        assert found["at_half"] == pytest.approx({"CP": 0.5, "CR": 0.5, "CF1": 0.5, "OP": 1.0, "OR": 2 / 3, "OF1": 0.8})

    def test_scores_zero_not_none_when_nothing_is_predicted(self) -> None:
        assert set(evaluate(np.full((2, 2), 0.1), labels_of([[1, 0], [0, 1]]))["at_half"].values()) == {0.0}

    def test_refuses_logits_and_other_shapes(self) -> None:
        labels = labels_of([[1, 0]])
        with pytest.raises(InputError, match=r"in 0\.\.1, but got -2 to 3; apply a calibration or a sigmoid"):
            evaluate(np.array([[-2.0, 3.0]]), labels)
        with pytest.raises(InputError, match=r"one threshold for each of 2 labels, got \(3,\)"):
            evaluate(np.array([[0.2, 0.3]]), labels, np.ones(3))


class TestSingleLabelError:
    def test_is_the_share_of_wrong_first_places(self) -> None:
        scores = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [1.0, 0.0, 2.0]])
        assert single_label_error(scores, np.array([0, 1, 0])) == pytest.approx(1 / 3)

    def test_refuses_a_class_too_few(self) -> None:
        with pytest.raises(InputError, match=r"a class per image, got \(3, 2\), \(2,\)"):
            single_label_error(np.ones((3, 2)), np.zeros(2))
