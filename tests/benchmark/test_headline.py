"""Tables I to III over made-up cells, and the systems by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_drawn import CONFIG

from tagweave.benchmark.contenders import changed, has_own_loss, parse_contenders, policies
from tagweave.benchmark.headline import T1, T2, Plan, tabulate_classes, tabulate_overall
from tagweave.benchmark.table import write
from tagweave.benchmark.tuning import Search
from tagweave.config import NETWORK_ALONE
from tagweave.encoders.backbones import Layout
from tagweave.errors import InputError
from tagweave.peers.registry import HEADS

KEYS = ("CP", "CR", "CF1", "OP", "OR", "OF1")


class Held:
    name, encoder = "drawn", "points at 8 px"

    class manifest:
        splits = np.array(["train"] * 3 + ["test"] * 2)


def cell(name: str, seed: int, area: float) -> dict[str, Any]:
    decided = {key: area + 0.01 * place for place, key in enumerate(KEYS)}
    measures = {
        "mAP": area, "mAP_10": None, "labels_with_positives": 3, "at_half": decided, "at_tuned": None,
        "top3": decided, "top3_at_half": {key: value / 2 for key, value in decided.items()},
        "AP": [area, area / 2, None], "positives": [5, 9, 0],
    }  # fmt: skip
    return {
        "method": name, "seed": seed, "systems": {"classifier": measures}, "names": ["a", "b", "c"], "labelled": 3,
        "pool": 3, "seconds": 4.0, "search_seconds": 1.0, "peak_mib": 20.0,
        "chosen": {"learning_rate": 0.002, "loss": "bce", "epochs": 6},
    }  # fmt: skip


@pytest.fixture
def plan() -> Plan:
    return Plan(parse_contenders("mscnn_lce,default", unlabelled=False), 2, "all", Search())


@pytest.fixture
def cells() -> list[dict[str, Any]]:
    return [
        cell(name, seed, area + 0.1 * seed) for name, area in (("mscnn_lce", 0.5), ("default", 0.6)) for seed in (0, 1)
    ]


def test_table_i_has_measured_rows_and_the_printed_ones(plan: Plan, cells: list[dict[str, Any]]) -> None:
    table = tabulate_overall(Held, plan, cells, T1)  # type: ignore[arg-type]
    assert table.columns == (
        "system", "P-C", "R-C", "F1-C", "P-O", "R-O", "F1-O", "mAP (3)", "s", "search s", "MiB", "chosen",
    )  # fmt: skip
    assert table.rows[0][0] == "mscnn_lce"
    assert table.rows[0][1] == "55.0 ± 7.1"
    assert table.rows[0][7:] == ("55.0 ± 7.1", "4.0", "1.0", "20.0", "lr 0.002 bce 6 epochs")
    printed = {row[0]: row[7] for row in table.rows if "printed" in row[0]}
    assert printed == {"MSCNN-LCE-MIC, printed (COCO 2014)": "84.3", "MSCNN-LCE-MIC, printed (VOC 2007)": "95.8"}
    assert [row[0] for row in table.rows][-1] == "default"
    assert any("beside, not against" in note for note in table.notes)
    assert any("learning rate times 1, 0.25" in note for note in table.notes)
    assert table.records[0]["top3_CP"]["mean"] == pytest.approx(0.55)
    assert table.records[0]["tuned_CP"]["mean"] is None


def test_table_ii_decides_among_the_three_highest(plan: Plan, cells: list[dict[str, Any]]) -> None:
    table = tabulate_overall(Held, plan, cells, T2)  # type: ignore[arg-type]
    assert table.rows[0][1].startswith("27.5")
    assert not any("printed" in row[0] for row in table.rows)
    assert any("not at hand" in note for note in table.notes)


def test_table_iii_has_a_column_per_label(plan: Plan, cells: list[dict[str, Any]]) -> None:
    table = tabulate_classes(Held, plan, cells)  # type: ignore[arg-type]
    assert table.columns[:5] == ("system", "a", "b", "c", "mAP (3)")
    assert table.rows[0][1:5] == ("55.0 ± 7.1", "27.5 ± 3.5", "-", "55.0 ± 7.1")
    assert table.rows[1][0] == "MSCNN-LCE-MIC, printed (VOC 2007)"
    assert table.brief[0] == "system"


def test_files_have_everything_and_a_picture(plan: Plan, cells: list[dict[str, Any]], tmp_path: Path) -> None:
    table = tabulate_overall(Held, plan, cells, T1)  # type: ignore[arg-type]
    paths = write(table, tmp_path, "t1")
    assert [path.name for path in paths] == ["t1.csv", "t1.json", "t1.md", "t1.svg", "t1.png"]
    assert "tuned_CP.mean" in paths[0].read_text().splitlines()[0]
    assert len(json.loads(paths[1].read_text())["rows"]) == 4
    assert "default" in paths[3].read_text()
    assert paths[4].read_bytes()[:4] == b"\x89PNG"


def test_few_labels_have_the_printed_figures_of_their_kind(cells: list[dict[str, Any]]) -> None:
    plan = Plan(parse_contenders("mscnn_lce,default", unlabelled=True), 2, 0.1, None)
    table = tabulate_overall(Held, plan, cells, T1)  # type: ignore[arg-type]
    printed = [row[0] for row in table.rows if "printed" in row[0]]
    assert "DiCaP, printed (VOC 2012)" in printed
    assert not any("2007" in name for name in printed)  # protocols that must not be mixed
    assert any("best epoch chosen on the test set" in note for note in table.notes)


def test_all_is_every_head_and_default_and_with_a_pool_each_ones_own_way() -> None:
    names = [one.name for one in parse_contenders("all", unlabelled=False)]
    assert names == [*HEADS, "default"]
    more = [one.name for one in parse_contenders("all", unlabelled=True)]
    assert "mscnn_lce+soft" in more
    own = [f"asl_linear+{policy}" for policy in policies()] if "asl_linear" in HEADS else []
    assert set(more) - set(names) == {"mscnn_lce+soft", *own}


def test_a_bare_head_learns_from_given_labels_and_stands_alone() -> None:
    bare, soft, default = parse_contenders("mscnn_lce,mscnn_lce+soft,default", unlabelled=True)
    assert bare.config(CONFIG, 1).train.targets == "labelled"
    assert soft.config(CONFIG, 1).train.targets == "soft"
    assert bare.config(CONFIG, 1).train.shares == NETWORK_ALONE
    assert default.config(CONFIG, 1) == changed(CONFIG, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mscnn_lca", "did you mean 'mscnn_lce'?"),
        ("mscnn_lce+sotf", "Expected +TARGETS among soft, decided, labelled"),
        ("mscnn_lce+fixmatch", "Expected +TARGETS among soft, decided, labelled, lp_deepssl, cap, dicap, but got"),
        (" , ", "Expected heads among all, mscnn_lce"),
    ],
)
def test_a_wrong_name_lists_the_choices(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("+", r"\+").replace("?", r"\?")):
        parse_contenders(text, unlabelled=True)


def test_our_head_has_no_loss_of_its_own() -> None:
    layout = Layout(((4, 3, 3), (6, 2, 2)), (8, 16), (6,))
    assert not has_own_loss(parse_contenders("mscnn_lce", unlabelled=False)[0], CONFIG, layout, 3)
