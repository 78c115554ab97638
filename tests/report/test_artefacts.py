"""What is read of a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic import make_run

from tagweave.errors import InputError
from tagweave.report.artefacts import measured_split, read_artefacts


def test_labels_go_to_the_matrix_of_their_source(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    artefacts = read_artefacts(run)
    assert artefacts.given is not None
    assert artefacts.propagated is not None
    for row in pq.read_table(run / "labels.parquet").to_pylist():
        cell = artefacts.manifest.paths.index(row["image"]), artefacts.names.index(row["label"])
        assert artefacts.given.known[cell] == (row["source"] == "given")
        assert artefacts.propagated.known[cell] == (row["source"] == "propagated")
        if row["source"] == "given":
            assert artefacts.given.values[cell] == row["value"]
        elif row["source"] == "propagated":
            assert artefacts.propagated.values[cell] == row["value"]


def test_probabilities_are_those_of_the_shown_images(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    artefacts = read_artefacts(run)
    assert artefacts.attention is not None
    assert artefacts.probabilities is not None
    table = {
        (row["image"], row["label"]): row["probability"]
        for row in pq.read_table(run / "predictions.parquet").to_pylist()
    }
    assert set(artefacts.probabilities) == {*artefacts.attention.images, *(row["image"] for row in artefacts.doubtful)}
    for image, found in artefacts.probabilities.items():
        np.testing.assert_array_equal(found, np.float32([table[image, name] for name in artefacts.names]))


def test_dictionary_columns_read_the_same(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    plain = read_artefacts(run)
    for file in ("labels.parquet", "predictions.parquet"):
        table = pq.read_table(run / file)
        for name in {"image", "label", "source", "split"} & set(table.column_names):
            table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
        pq.write_table(table, run / file)
    coded = read_artefacts(run)
    assert plain.given is not None
    assert coded.given is not None
    np.testing.assert_array_equal(coded.given.values, plain.given.values)
    np.testing.assert_array_equal(coded.given.known, plain.given.known)
    np.testing.assert_equal(coded.probabilities, plain.probabilities)


def test_the_test_split_comes_before_validation() -> None:
    assert measured_split({"splits": {"val": {"systems": {}}, "test": {"systems": {}}}}) == "test"
    assert measured_split({"splits": {"val": {"systems": {}}}}) == "val"
    assert measured_split({"splits": {"train": {"systems": {}}}}) is None


def test_measures_without_a_split_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "metrics.json").write_text(json.dumps({"main": "network", "splits": {}}))
    with pytest.raises(InputError, match=r"a test or val split in .*metrics\.json, but got none: give some"):
        read_artefacts(run)


def test_damaged_json_is_named_with_its_line(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with (run / "history.jsonl").open("a") as file:
        file.write('{"epoch": 26, "lo')
    with pytest.raises(InputError, match=r"history\.jsonl, line 26, but got '\{\"epoch\": 26.*run its step again\."):
        read_artefacts(run)
