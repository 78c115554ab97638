"""Tables IV to VI: the grid, what is left out and why, and what a sweep changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from held_drawn import CONFIG

from tagweave.benchmark import ablation, switches
from tagweave.benchmark.ablation import GROUPS, T5, T6, group_sizes, layer_widths, left_out, name_of, run_sweep, run_t4
from tagweave.benchmark.switches import configured, settings
from tagweave.benchmark.trials import Trial
from tagweave.config import NETWORK_ALONE, Config
from tagweave.data.labels import LabelMatrix

SIMPLE: dict[str, Any] = {
    **switches.SWITCHES,
    "multi-stage": {True: {}, False: {"model": {"append": "g"}}},
    "attention": {True: {}, False: {"model": {"normalisation": "sigmoid"}}},
    "GCN": {True: {}, False: {"model": {"fusion": "none"}}},
    "MFB": {True: {"model": {"m": 30, "g": 3}}, False: {"model": {"m": 30, "g": 4, "fusion": "dot"}}},
}
"""Switches whose keys are there whatever the network's are called, with one invalid value: g 4 does not divide m 30."""


def test_the_grid_is_complete() -> None:
    grid = settings()
    assert len(grid) == 32
    assert len({name_of(one) for one in grid}) == 32
    assert name_of(grid[0]) == "nothing on"
    assert name_of(grid[-1]) == "LP + multi-stage + attention + GCN + MFB"


def test_everything_on_is_the_configured_network() -> None:
    config = configured(CONFIG, settings()[-1], seed=3)
    if isinstance(config, str):
        pytest.skip(config)
    assert config.seed == 3
    assert config.model == CONFIG.model
    assert config.train.targets == "soft"
    assert config.train.shares == NETWORK_ALONE


def test_mfb_without_a_gcn_is_left_out() -> None:
    for one in settings():
        found = configured(CONFIG, one, 0)
        if one["MFB"] and not one["GCN"]:
            assert isinstance(found, str)


def test_a_key_that_is_not_there_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(switches.SWITCHES, "attention", {True: {}, False: {"model": {"atention": False}}})
    off = next(one for one in settings() if not one["attention"])
    assert "model.atention: there is no such key" in str(configured(CONFIG, off, 0))


def test_combinations_with_one_reason_are_said_together() -> None:
    few = [{**settings()[0], "MFB": True}, {**settings()[0], "MFB": True, "LP": True}, settings()[0]]
    assert left_out([(few[0], "no GCN"), (few[1], "no GCN"), (few[2], "no key")]) == [
        "left out, 2 of 32 combinations (MFB; LP + MFB): no GCN", "left out, 1 of 32 combinations (nothing on): no key",
    ]  # fmt: skip


def cell(trial: Trial) -> dict[str, Any]:
    """Return a made-up cell whose mAP tells the seed."""
    area = 0.5 + 0.1 * trial.config.seed
    measures = {"mAP": area, "mAP_10": area, "labels_with_positives": 4}
    costs = {"seconds": 2.0, "search_seconds": 0.0, "peak_mib": None}
    return {**trial.about, "systems": {"classifier": measures}, **costs}


class FakeBench:
    """Answer with made-up cells and remember the trials."""

    class held:
        name, encoder = "drawn", "points"
        labels = LabelMatrix(np.ones((12, 1), bool), np.ones((12, 1), bool), ("a",))

        class manifest:
            splits = np.array(["train"] * 10 + ["test"] * 2)

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def run(self, trials: Any) -> list[dict[str, Any]]:
        self.trials = list(trials)
        return [cell(trial) for trial in self.trials]


def test_table_iv_has_a_row_per_valid_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in SIMPLE.items():
        monkeypatch.setitem(switches.SWITCHES, name, values)
    monkeypatch.setattr(switches, "PLAIN", {"model": {"fusion": "none"}})
    bench = FakeBench()
    table = run_t4(bench, CONFIG, 0.1, 2)  # type: ignore[arg-type]
    valid = [one for one in settings() if isinstance(configured(CONFIG, one, 0), Config)]
    assert len(table.rows) == len(valid) > 8
    assert table.columns == ("LP", "multi-stage", "attention", "GCN", "MFB", "mAP (4)", "mAP≥10", "s", "MiB")
    assert {row[5] for row in table.rows} == {"55.0 ± 7.1"}
    assert len({trial.name for trial in bench.trials}) == len(valid)
    assert {trial.config.seed for trial in bench.trials} == {0, 1}
    epochs = {(trial.config.train.targets, trial.config.train.epochs) for trial in bench.trials}
    # a labelled image comes three times to nine others: twelve times the epochs
    assert epochs == {("soft", CONFIG.train.epochs), ("labelled", 12 * CONFIG.train.epochs)}
    assert "10 % of the labels" in table.title
    assert sum(note.startswith("left out") for note in table.notes) >= (len(valid) < 32)


@pytest.mark.parametrize(("sweep", "values"), [(T5, (2, 3, 4)), (T6, GROUPS)])
def test_a_sweep_has_a_row_per_value(sweep: ablation.Sweep, values: tuple[int, ...]) -> None:
    bench = FakeBench()
    table = run_sweep(bench, CONFIG, "all", 2, sweep)  # type: ignore[arg-type]
    assert [record[sweep.what] for record in table.records] == list(values)
    assert len(bench.trials) == 2 * len(values)
    assert all(trial.config.train.shares == NETWORK_ALONE for trial in bench.trials)


def test_depth_repeats_the_first_width_and_groups_divide_the_fusion() -> None:
    paper = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"gcn_widths": (1024, 2048), "m": 358})})
    assert [layer_widths(paper, layers)["gcn_widths"] for layers in (2, 3, 4)] == [
        (1024, 2048), (1024, 1024, 2048), (1024, 1024, 1024, 2048),
    ]  # fmt: skip
    assert [group_sizes(paper, g)["m"] for g in GROUPS] == [358, 358, 360, 360, 368, 384, 384]
