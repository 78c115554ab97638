"""Long tables of labels and predictions, and the forms that people use."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tagweave import tables
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.graph.pseudo_labels import PseudoLabels
from tagweave.tables import chosen, predicted_writer, write_labels, write_predicted_file, write_predictions

NAMES = ("a", "straße")


def manifest_of(paths: tuple[str, ...], splits: list[str]) -> Manifest:
    return Manifest(Path("x"), paths, paths, np.ones((len(paths), 2), np.int32), np.array(splits))


@pytest.fixture(params=[1, 2, 100])
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", request.param)


@pytest.mark.usefixtures("rows_at_once")
def test_labels_say_what_is_given_what_is_propagated_and_what_is_unknown(tmp_path: Path) -> None:
    given = LabelMatrix(np.array([[1, 0], [0, 0], [0, 0]], bool), np.array([[1, 1], [0, 0], [0, 1]], bool), NAMES)
    accepted = PseudoLabels(
        np.array([[0, 0], [1, 0], [0, 0]], bool), np.array([[0, 0], [0, 0], [1, 0]], bool), np.array([0.9, np.inf])
    )
    probabilities = np.array([[1, 0], [0.95, 0.4], [0.01, 0]])
    manifest = manifest_of(("1.png", "2.png", "3.png"), ["train"] * 3)
    write_labels(tmp_path / "labels.parquet", manifest, given, accepted, probabilities)
    found = pq.read_table(tmp_path / "labels.parquet").to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("1.png", "a", True, True, 1.0, "given"),
        ("1.png", "straße", False, True, 0.0, "given"),
        ("2.png", "a", True, False, pytest.approx(0.95), "propagated"),
        ("2.png", "straße", None, False, pytest.approx(0.4), "unknown"),
        ("3.png", "a", False, False, pytest.approx(0.01), "propagated"),
        ("3.png", "straße", False, True, 0.0, "given"),
    ]
    assert list(found[0]) == ["image", "label", "value", "known", "probability", "source"]


@pytest.mark.usefixtures("rows_at_once")
def test_predictions_name_image_label_and_split(tmp_path: Path) -> None:
    manifest = manifest_of(("1.png", "2.png", "3.png"), ["train", "val", "test"])
    probabilities = np.arange(6).reshape(3, 2) / 8
    write_predictions(tmp_path / "p.parquet", manifest, NAMES, probabilities)
    found = [tuple(row.values()) for row in pq.read_table(tmp_path / "p.parquet").to_pylist()]
    splits = {"1.png": "train", "2.png": "val", "3.png": "test"}
    assert found == [
        (image, name, splits[image], probabilities[i, c])
        for i, image in enumerate(manifest.paths)
        for c, name in enumerate(NAMES)
    ]


SCORES = np.array([[0.5, 0.75], [0.25, 0.1]])
THRESHOLDS = np.array([0.5, 0.6])


def test_csv(tmp_path: Path) -> None:
    write_predicted_file(tmp_path / "p.csv", ["1.png", 'odd, "2".png'], NAMES, SCORES, THRESHOLDS)
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["1.png", 'odd, "2".png']
    assert [row["labels"] for row in rows] == ["straße;a", ""]
    assert [[float(row[name]) for name in NAMES] for row in rows] == SCORES.tolist()


def test_jsonl(tmp_path: Path) -> None:
    write_predicted_file(tmp_path / "p.jsonl", ["1.png", "2.png"], NAMES, SCORES, THRESHOLDS)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [
        {"image": "1.png", "labels": ["straße", "a"], "probabilities": {"a": 0.5, "straße": 0.75}},
        {"image": "2.png", "labels": [], "probabilities": {"a": 0.25, "straße": 0.1}},
    ]


def test_parquet(tmp_path: Path) -> None:
    write_predicted_file(tmp_path / "p.parquet", ["1.png", "2.png"], NAMES, SCORES, THRESHOLDS)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["image"].to_pylist() == ["1.png", "1.png", "2.png", "2.png"]
    assert table["label"].to_pylist() == [*NAMES, *NAMES]
    assert table["predicted"].to_pylist() == [True, True, False, False]
    np.testing.assert_allclose(table["probability"].to_numpy(), SCORES.ravel(), atol=1e-7)


def test_coco_holds_the_predicted_labels_with_their_scores(tmp_path: Path) -> None:
    write_predicted_file(tmp_path / "p.coco.json", ["1.png", "2.png"], NAMES, SCORES, THRESHOLDS)
    found = json.loads((tmp_path / "p.coco.json").read_text(encoding="utf-8"))
    assert found["images"] == [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}]
    assert found["categories"] == [{"id": 1, "name": "a"}, {"id": 2, "name": "straße"}]
    assert found["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "score": 0.5},
        {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 0, "score": 0.75},
    ]


def test_label_studio_holds_predictions_with_a_score_per_choice(tmp_path: Path) -> None:
    write_predicted_file(tmp_path / "p.label-studio.json", ["d/1 1.png", "2.png"], NAMES, SCORES, THRESHOLDS)
    first, second = json.loads((tmp_path / "p.label-studio.json").read_text(encoding="utf-8"))
    assert first["data"] == {"image": "/data/local-files/?d=d/1%201.png"}
    (prediction,) = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("tagweave", 0.5)
    assert [(result["value"], result["score"]) for result in prediction["result"]] == [
        ({"choices": ["straße"]}, 0.75), ({"choices": ["a"]}, 0.5),
    ]  # fmt: skip
    assert {(r["from_name"], r["to_name"], r["type"]) for r in prediction["result"]} == {("labels", "image", "choices")}
    assert (second["predictions"][0]["result"], second["predictions"][0]["score"]) == ([], 0.75)


def test_fiftyone_holds_classifications_with_confidence(tmp_path: Path) -> None:
    write_predicted_file(tmp_path / "p.fiftyone.json", ["1.png"], NAMES, SCORES[:1], THRESHOLDS)
    (sample,) = json.loads((tmp_path / "p.fiftyone.json").read_text(encoding="utf-8"))["samples"]
    assert sample["filepath"] == "1.png"
    assert sample["predictions"]["_cls"] == "Classifications"
    assert sample["predictions"]["classifications"] == [
        {"_cls": "Classification", "label": "straße", "confidence": 0.75},
        {"_cls": "Classification", "label": "a", "confidence": 0.5},
    ]


ENDINGS = [".csv", ".jsonl", ".parquet", ".coco.json", ".label-studio.json", ".fiftyone.json"]


@pytest.mark.parametrize("suffix", ENDINGS)
def test_nothing_to_write_is_a_file_without_rows(suffix: str, tmp_path: Path) -> None:
    write_predicted_file(tmp_path / f"p{suffix}", [], NAMES, np.zeros((0, 2)), THRESHOLDS)
    assert (tmp_path / f"p{suffix}").is_file()


def test_another_suffix_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    text = r"^Expected an output file ending in \.csv, \.jsonl, \.parquet, \.coco\.json, .*, but got '.*p\.xls'\.$"
    with pytest.raises(InputError, match=text):
        write_predicted_file(tmp_path / "p.xls", ["1.png"], NAMES, SCORES[:1], THRESHOLDS)
    with pytest.raises(InputError, match=text):
        predicted_writer(tmp_path / "p.xls")
    assert not list(tmp_path.iterdir())


def test_chosen_labels_are_those_from_their_threshold_up_most_probable_first() -> None:
    names, thresholds = ("a", "b", "c", "d"), np.array([0.2, 0.9, 0.5, 0.7])
    assert chosen(np.array([0.2, 0.89, 0.8, 0.8]), names, thresholds) == ["c", "d", "a"]
