"""What the page says was chosen: the numbers of the run's own files, and plain words where there are too few."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from synthetic import BOUNDS, CHOSEN, CONFIG, TRAINED, make_run

from tagweave.report import write_report
from tagweave.report.artefacts import Artefacts, read_artefacts
from tagweave.report.choices import FEWEST_IMAGES, choices

SURE = {**TRAINED["mixtures"], "ahead": [0.001, 0.02]}
Change = Callable[[dict[str, Any]], None]


def said(run: Path) -> str:
    """Return the words of the section, without tags."""
    page = write_report(run).read_text(encoding="utf-8")
    section = re.findall('<section id="choices".*?</section>', page, re.DOTALL)[0]
    return " ".join(unescape(re.sub("<[^>]*>", " ", section)).replace("\u00a0", " ").split())


def changed(folder: Path, change: Change) -> Path:
    """Return a run whose measures were changed."""
    run = make_run(folder)
    metrics = json.loads((run / "metrics.json").read_text())
    change(metrics)
    (run / "metrics.json").write_text(json.dumps(metrics))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("chosen"))


@pytest.fixture(scope="module")
def artefacts(run: Path) -> Artefacts:
    return read_artefacts(run)


def test_systems_stand_with_the_validation_measures_not_those_of_the_test(run: Path) -> None:
    text = said(run)
    systems = json.loads((run / "metrics.json").read_text())["splits"]["val"]["systems"]
    for key, bounds in BOUNDS.items():
        low, high = bounds["mAP_interval"]
        numbers = f"{100 * systems[key]['mAP']:.1f} % {100 * low:.1f} to {100 * high:.1f} % 73.2 %"
        assert numbers in text
    positives = sum(row["positives"] for row in systems["network"]["per_label"])
    assert f"compared on 482 validation images with {positives:,} positives." in text
    assert "over the 19 labels with a positive among them and over the 18 with at least 10" in text


def test_systems_are_told_apart_only_where_the_interval_is_beside_zero(run: Path) -> None:
    text = said(run)
    assert "ahead of Linear classifier, labelled images only cannot be" in text
    assert "told from Label propagation over the graph mAP on" in text
    assert "behind" not in text


def test_a_system_that_is_better_is_owned_up_to(tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        metrics["splits"]["val"]["systems"]["graph"]["main_ahead"] = [-0.2, -0.1]

    assert "behind Label propagation over the graph" in said(changed(tmp_path, change))


@pytest.mark.parametrize("images", [1, FEWEST_IMAGES - 1])
def test_few_validation_images_are_called_too_few_and_get_no_interval(tmp_path: Path, images: int) -> None:
    def change(metrics: dict[str, Any]) -> None:
        for system in metrics["splits"]["val"]["systems"].values():
            system.update(images=images, labels_with_10_positives=0, mAP_10=None)

    text = said(changed(tmp_path, change))
    assert "These are too few to tell the systems apart: a difference in the table may be chance." in text
    assert f"on {images} validation image{'s' if images > 1 else ''} with" in text
    assert "95 % interval" not in text
    assert "ahead of" not in text
    assert "none has ten" in text


def test_a_run_without_intervals_draws_no_conclusion(tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        for system in metrics["splits"]["val"]["systems"].values():
            del system["mAP_interval"], system["main_ahead"]

    text = said(changed(tmp_path, change))
    assert "95 %" not in text
    assert "ahead of" not in text


def test_tried_shares_stand_with_their_figures_and_the_chosen_one_is_marked(run: Path) -> None:
    text = said(run)
    for row in CHOSEN["blends"]:
        mark = "chosen " if row["share"] == 0.75 else ""
        numbers = f"{100 * row['share']:.1f} % {mark}{100 - 100 * row['share']:.1f} % "
        assert f"{numbers}{row['log_loss']:.4f} {100 * row['mAP']:.1f} %" in text
    assert "in 5 folds" in text
    assert "Ridge penalty 0.3 Chosen: least squared error" in text
    assert "Tried: 0.1, 0.3, 1, 3, 10." in text
    assert "as the last table shows. Ridge has the rest." in text


def test_a_graph_without_a_share_is_said_to_be_without_one(tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        metrics["propagation"]["graph_share"] = 0.0

    assert "as the last table shows. Propagation is ridge alone." in said(changed(tmp_path, change))


def test_what_was_set_is_not_called_chosen(run: Path) -> None:
    text = said(run)
    assert "in the classifier 33.3 %, 33.3 %, 33.3 % Network and places count alike; propagation as much" in text
    assert "The best of those compared, 50.0 %, 50.0 %, 0.0 %, has mAP 60.5 % against 60.0 %; on other images" in text
    assert re.search(r"Epochs of the network 25 Set: all 25\. A first network.* ran 25 and was best in epoch \d+", text)
    assert "The network handed over learned from the validation images too (train.refit)." in text


@pytest.mark.parametrize(
    ("shares", "mixtures", "config", "told"),
    [
        (
            [0.5, 0.5, 0.0],
            SURE,
            CONFIG,
            "Chosen: mAP 60.5 % on 40 validation images, against 60.0 % of the usual",
        ),
        ([1 / 3, 1 / 3, 1 / 3], {}, CONFIG, "There are too few validation images with positives to choose by."),
        ([0.0, 0.0, 1.0], {}, CONFIG + "shares = [0.0, 0.0, 1.0]", "0.0 %, 0.0 %, 100.0 % Set in train.shares."),
    ],
    ids=["moved", "few", "set"],
)
def test_the_shares_say_where_they_come_from(
    shares: list[float], mixtures: dict[str, Any], config: str, told: str, tmp_path: Path
) -> None:
    run = changed(tmp_path, lambda metrics: None)
    record = run / "steps" / "train.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "shares": shares, "mixtures": mixtures}))
    (run / "config.toml").write_text(config)
    assert told in said(run)


def test_more_epochs_for_a_small_collection_are_explained(run: Path) -> None:
    record = run / "steps" / "train.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "epochs": 40}))
    assert "network 40 Set: all 40, more than the 25 of train.epochs, for the least number of updates" in said(run)


def test_without_refit_the_epoch_is_chosen(artefacts: Artefacts) -> None:
    rows = [{"epoch": n, "loss": 1.0, "val_mAP": area, "seconds": 1.0} for n, area in ((1, 0.4), (2, 0.6), (3, 0.5))]
    config = CONFIG.replace("refit = true", "refit = false")
    found = choices(replace(artefacts, history=rows, trained={"epochs": 3}, config=config)).epochs
    assert found is not None
    assert (found.first, found.best, found.best_precision, found.final, found.refit) == (3, 2, 0.6, 3, False)


def test_only_the_last_round_chooses_the_epoch(artefacts: Artefacts) -> None:
    scores = ((1, 1, 0.9), (1, 2, 0.8), (2, 3, 0.3), (2, 4, 0.7))
    rows = [{"round": r, "epoch": n, "loss": 1.0, "val_mAP": area, "seconds": 1.0} for r, n, area in scores]
    found = choices(replace(artefacts, history=rows)).epochs
    assert found is not None
    assert (found.first, found.best, found.best_precision) == (2, 2, 0.7)


def test_labels_are_sorted_by_the_positives_that_calibrated_them(tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        rows = metrics["splits"]["val"]["systems"]["network"]["per_label"]
        for row, positives in zip(rows, (0, 1, 4, 5), strict=False):
            row["positives"] = positives

    run = changed(tmp_path, change)
    found = choices(read_artefacts(run))
    assert (found.uncalibrated, found.shared) == (["aeroplane", "tv_monitor"], ["bicycle", "bird"])
    text = said(run)
    assert (
        "2 labels had no positive there and follow the common curve and threshold alone: aeroplane , tv_monitor" in text
    )
    assert "2 labels had so few positives there that the common curve outweighs their own: bicycle , bird ." in text


def test_without_a_validation_positive_nothing_was_chosen_on_it(tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        del metrics["splits"]["val"]

    text = said(changed(tmp_path, change))
    assert "No validation image has a known positive: nothing was compared or chosen" in text
    assert "Thresholds 50.0 % Set: without a validation positive" in text
    assert "For the comparison above" not in text


def test_a_graph_without_teacher_and_a_network_alone_are_told(tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        metrics["propagation"].update(graph_share=1.0, ridge_penalty=None, blends=[], penalties=[])
        metrics["joined"] = False

    text = said(changed(tmp_path, change))
    assert "Graph's share in propagation 100.0 % Set: graph.teacher is off" in text
    assert "Network's share in the classifier 100.0 % Set: propagation knows the backbone as it was" in text
    assert "Ridge penalty" not in text


def test_settings_that_are_no_toml_cost_their_rows_only(artefacts: Artefacts) -> None:
    found = choices(replace(artefacts, config="<b>"))
    assert (found.epochs, found.alone_by_setting, found.folds) == (None, False, None)
    assert found.validation is not None


@pytest.mark.parametrize(
    ("strength", "told"),
    [
        (0.2, "Names that the backbone knows 3 labels They count, with strength 0.20: "),
        (0.0, "3 labels They count for nothing: "),
    ],
)
def test_what_names_count_for_is_told(tmp_path: Path, strength: float, told: str) -> None:
    def change(metrics: dict[str, Any]) -> None:
        metrics["propagation"].update(names=3, name_strength=strength)

    text = said(changed(tmp_path, change))
    assert told in text
    assert ("stands in graph/names.csv" in text) == (strength > 0)
    assert "Names that the backbone knows" not in said(changed(tmp_path / "without", lambda metrics: None))
