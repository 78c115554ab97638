"""Table VII: balanced draws, errors by hand, the papers' numbers beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tagweave.benchmark.dataset import BenchmarkData
from tagweave.benchmark.systems import Arena, System, build_arena
from tagweave.benchmark.t7 import PRINTED, balanced_draw, measure_errors, run_t7
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings

PAPER = GraphSettings(parts=(3,), k=5, strength="wcn", rounds=2, teacher=False)
PRESETS = {"paper": PAPER, "fast": replace(PAPER, parts=(3, 3), rounds=1, teacher=True)}


def exclusive_data(pool: int = 90, test: int = 30, noise: float = 0.3) -> BenchmarkData:
    """Draw three classes around three corners, average and maximum features alike."""
    rng = np.random.default_rng(5)
    classes = np.arange(pool + test) % 3
    half = np.eye(3)[classes] + noise * rng.normal(size=(pool + test, 3))
    values = classes[:, None] == np.arange(3)
    labels = LabelMatrix(values, np.ones_like(values), ("a", "b", "c"))
    features = np.tile(half, 2).astype(np.float32)
    return BenchmarkData("corners", "points", features, labels, np.arange(pool + test) >= pool, (3, 3))


def test_draws_are_balanced_from_the_pool_and_change_with_the_seed() -> None:
    data = exclusive_data()
    drawn = balanced_draw(data, 12, seed=0)
    assert np.bincount(drawn % 3).tolist() == [4, 4, 4]
    assert (drawn < 90).all()
    assert drawn.tolist() == balanced_draw(data, 12, seed=0).tolist() != balanced_draw(data, 12, seed=1).tolist()


@pytest.mark.parametrize("size", [10, 0, 93])
def test_a_size_that_the_classes_cannot_give_is_refused(size: int) -> None:
    with pytest.raises(InputError) as error:
        balanced_draw(exclusive_data(), size, seed=0)
    assert str(error.value) == (
        "Expected a number of labels that is a multiple of 3 and at most 90 (30 images of the rarest class), "
        f"but got {size}."
    )


def test_errors_of_a_system_by_hand() -> None:
    data = exclusive_data()
    arena: Arena = build_arena(data, PRESETS)
    always_a = System(lambda problem: np.tile([1.0, 0.0, 0.0], (len(problem.queries), 1)), "paper")
    kept = np.arange(0, 90, 3)[:20]  # twenty images of class a
    errors = measure_errors(arena, always_a, kept, seed=0)
    assert errors == {"test_error": pytest.approx(20 / 30), "pool_error": pytest.approx(60 / 70)}


def test_every_system_gets_its_own_graph_and_knows_the_kept_labels_only() -> None:
    arena = build_arena(exclusive_data(), PRESETS)
    kept, inside = np.array([3, 4]), np.array([0, 7])
    problem = arena.pose(System(lambda problem: problem.queries, "paper"), kept, 1, inside)
    assert problem.labelled.tolist() == [3, 4]
    assert problem.inside.tolist() == [0, 7]
    assert problem.outside.shape == (30, 3)  # the average alone
    assert problem.pool is arena.pools("paper") is not arena.pools("fast")
    assert arena.pools("fast").graph.unit.shape == (90, 6)


def test_the_table_has_each_system_in_both_parts_and_the_printed_numbers(tmp_path: Path) -> None:
    data, quiet = exclusive_data(), Console(quiet=True)
    table = run_t7(data, (12, 30), 2, PRESETS, tmp_path, quiet)
    assert [(row[0], row[1]) for row in table.rows] == [
        ("LPA", "test"), ("LPA", "pool, unlabelled"), ("LPA", "test, as printed"),
        ("improved", "test"), ("improved", "pool, unlabelled"), ("improved", "test, as printed"),
        ("default", "test"), ("default", "pool, unlabelled"),
    ]  # fmt: skip
    assert all(record["30"]["mean"] < 0.1 for record in table.records if "printed" not in record["images"])
    assert table.rows[2][2:] == ("-", "-")  # nothing is printed for 12 and 30 labels
    assert any("32 px images enlarged" in note for note in table.notes)
    assert len(list((tmp_path / "cells").iterdir())) == 2 * 2 * 3
    assert run_t7(data, (12, 30), 2, PRESETS, tmp_path, quiet).records == table.records


def test_the_printed_numbers_are_those_at_hand_and_no_others() -> None:
    assert PRINTED == {
        "LPA": {1000: 22.02, 2000: 15.66, 4000: 12.69}, "improved": {1000: 18.24, 2000: 11.78, 4000: 9.40},
    }  # fmt: skip
