"""Labels scored by their names alone: likeness of names, and the score from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tagweave.encoders.class_head import ClassHead
from tagweave.model.name_score import NameScore, fit_name_score, likeness

CLASSES = (("tabby", "tabby cat", "cat"), ("beagle",), ("sports car", "car"), ("daisy",), ("hot dog", "frankfurter"))


def drawn_head(columns: tuple[int, ...] = (1, 3, 4)) -> ClassHead:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(len(CLASSES), len(columns))), rng.normal(size=len(CLASSES))
    return ClassHead(CLASSES, weight.astype(np.float32), bias.astype(np.float32), np.array(columns))


class TestLikeness:
    def test_a_name_is_most_like_the_class_that_has_it_among_its_words(self) -> None:
        weights, relevance, nearest = likeness(["cat", "car", "daisy"], CLASSES)
        assert weights.argmax(axis=1).tolist() == [0, 2, 3]
        np.testing.assert_allclose(relevance, 1.0, atol=1e-5)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
        assert weights.min() >= 0
        assert [CLASSES[k][nearest[row, k]] for row, k in enumerate((0, 2, 3))] == ["cat", "car", "daisy"]

    def test_one_word_stands_near_its_like(self) -> None:
        weights, relevance, _ = likeness(["vehicle"], CLASSES)
        assert weights.argmax() == 2
        assert 0 < relevance[0] < 1

    def test_words_are_not_taken_apart(self) -> None:
        weights, relevance, _ = likeness(["dog", "hot dog"], CLASSES)
        assert weights[0].argmax() != 4
        assert relevance[0] < 0.9
        assert weights[1].argmax() == 4

    @pytest.mark.parametrize("name", ["xqzzkv", "", "7f3a", "n02084071"])
    def test_a_name_without_words_is_like_nothing(self, name: str) -> None:
        _, relevance, _ = likeness([name, "cat"], CLASSES)
        assert relevance[0] == 0
        assert relevance[1] > 0.99

    def test_case_and_separators_do_not_matter(self) -> None:
        one = likeness(["sports car"], CLASSES).weights
        for name in ("Sports_Car", "sports-car", "SPORTS CAR"):
            np.testing.assert_array_equal(likeness([name], CLASSES).weights, one)


class TestNameScore:
    def test_equal_to_loops_over_the_equation(self) -> None:
        head, rng = drawn_head(), np.random.default_rng(1)
        pool = rng.normal(size=(50, 6)).astype(np.float32)
        score = fit_name_score(head, ("cat", "beagle", "xqzzkv"), {}, pool)
        assert score is not None
        weights, relevance, _ = likeness(["cat", "beagle", "xqzzkv"], CLASSES)
        new = rng.normal(size=(4, 6)).astype(np.float32)

        def heard(feature: np.ndarray, label: int) -> float:
            logits = [
                sum(head.weight[k, j] * feature[column] for j, column in enumerate(head.columns)) + head.bias[k]
                for k in range(len(CLASSES))
            ]
            exponents = [np.exp(logit - max(logits)) for logit in logits]
            return sum(weights[label, k] * np.sqrt(e / sum(exponents)) for k, e in enumerate(exponents))

        for label in range(3):
            of_pool = np.array([heard(feature, label) for feature in pool])
            wanted = [
                relevance[label] * np.clip((heard(feature, label) - of_pool.mean()) / of_pool.std(), -1, 6)
                for feature in new
            ]
            np.testing.assert_allclose(score(torch.from_numpy(new))[:, label].numpy(), wanted, atol=1e-4)

    def test_a_name_that_is_much_like_a_class_tells_its_label(self) -> None:
        pool = np.random.default_rng(5).normal(size=(20, 6)).astype(np.float32)
        score = fit_name_score(drawn_head(), ("cat", "vehicle", "xqzzkv"), {}, pool)
        assert score is not None
        assert score.tells.tolist() == [bool(q >= 0.5) for q in score.relevance.tolist()]
        assert (bool(score.tells[0]), bool(score.tells[2])) == (True, False)

    def test_one_image_is_heard_as_far_as_the_bounds(self) -> None:
        head = ClassHead(CLASSES, 50 * np.eye(5, dtype=np.float32), np.zeros(5, dtype=np.float32), np.arange(5))
        pool = np.zeros((400, 5), dtype=np.float32)
        pool[0, 0] = 1.0
        score = fit_name_score(head, ("cat",), {}, pool)
        assert score is not None
        found = score(torch.from_numpy(pool))
        assert float(found[0]) == pytest.approx(6.0)
        assert float(found.min()) >= -1.0

    def test_other_words_are_read_for_a_label_that_has_them(self) -> None:
        pool = np.random.default_rng(2).normal(size=(20, 6)).astype(np.float32)
        assert fit_name_score(drawn_head(), ("xqzzkv",), {}, pool) is None
        score = fit_name_score(drawn_head(), ("xqzzkv",), {"xqzzkv": "cat"}, pool)
        assert score is not None
        assert int(score.likeness.argmax()) == 0

    def test_follows_a_permutation_of_the_labels(self) -> None:
        pool = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
        names, order = ("cat", "poodle", "daisy"), [2, 0, 1]
        found = fit_name_score(drawn_head(), names, {}, pool)
        moved = fit_name_score(drawn_head(), tuple(names[place] for place in order), {}, pool)
        assert found is not None
        assert moved is not None
        feature = torch.from_numpy(pool)
        torch.testing.assert_close(moved(feature), found(feature)[:, order])

    def test_a_state_gives_the_same_score(self) -> None:
        pool = np.random.default_rng(4).normal(size=(20, 6)).astype(np.float32)
        score = fit_name_score(drawn_head(), ("cat", "poodle"), {}, pool)
        assert score is not None
        again = NameScore({name: tensor.clone() for name, tensor in score.state_dict().items()})
        feature = torch.from_numpy(pool)
        torch.testing.assert_close(again(feature), score(feature), rtol=0, atol=0)
