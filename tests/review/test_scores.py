from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hand_made import GIVEN, GRAPH, NAMES, NETWORK, write_run

from tagweave.console import Console
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.review import scores
from tagweave.review.scores import GIVEN_NO, GIVEN_YES, SPREAD_YES, UNKNOWN, Scores, open_scores


def opened(run: Path) -> Scores:
    return open_scores(run, Manifest.load(run / "manifest.parquet"), NAMES, Console(quiet=True))


def check(found: Scores) -> None:
    np.testing.assert_allclose(found.network, NETWORK.T, atol=1e-3)
    np.testing.assert_allclose(found.graph, np.where(GIVEN.known, GIVEN.values, GRAPH).T, atol=1e-3)
    expected = np.where(GIVEN.known, np.where(GIVEN.values, GIVEN_YES, GIVEN_NO), UNKNOWN).T
    expected[0, 4] = SPREAD_YES
    np.testing.assert_array_equal(found.states, expected)


def test_tables_become_one_row_per_label(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(opened(run))
    for cells in (3, 7):  # batches that end within an image
        monkeypatch.setattr(scores, "CELLS_AT_ONCE", cells)
        monkeypatch.setattr(scores, "FORMAT", cells)
        check(opened(run))


def test_doubts_sum_up_each_image(run: Path) -> None:
    doubts = opened(run).doubts
    assert doubts[:, 4].tolist() == pytest.approx([0.05 + 0.2, 0.1, 0.0], abs=2e-3)
    assert doubts[:, 0].tolist() == pytest.approx([0, 0, 0.9], abs=2e-3)
    assert opened(run).labelled.tolist() == [True] * 4 + [False] * 6


def test_arrays_are_made_once_and_again_when_a_table_changes(run: Path) -> None:
    opened(run)
    made = run / "review" / "scores" / "made.json"
    before = made.stat().st_mtime_ns
    opened(run)
    assert made.stat().st_mtime_ns == before
    table = pq.read_table(run / "predictions.parquet")
    changed = table.set_column(3, "probability", [np.full(len(table), 0.25, dtype=np.float32)])
    pq.write_table(changed, run / "predictions.parquet")
    assert (opened(run).network == 0.25).all()


def test_a_conversion_that_was_stopped_is_done_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(scores, "_summaries", lambda *arrays: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opened(run)
    assert not (run / "review" / "scores").exists()
    check(opened(run))


def test_tables_of_other_images_are_refused(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", images=11)
    (other / "labels.parquet").replace(run / "labels.parquet")
    with pytest.raises(InputError, match=r"Expected in .*labels.parquet the 10 images and 2 labels of the run"):
        opened(run)
    (run / "labels.parquet").unlink()
    with pytest.raises(InputError, match="there is no such file: run 'tagweave propagate' first"):
        opened(run)


def test_given_labels_are_doubted_by_what_never_saw_them(run: Path) -> None:
    without = opened(run)
    assert without.unseen is None
    assert without.judge is without.network
    probabilities = np.array([[0.2, 0.1], [0.9, 0.6], [0.7, 0.8], [0.3, 0.5]])
    np.savez(run / "unseen.npz", rows=np.arange(4), probabilities=probabilities, names=np.array(NAMES))
    found = opened(run)
    assert found.judge is found.unseen
    np.testing.assert_allclose(found.unseen[:, :4], probabilities.T, atol=1e-3)
    assert np.isnan(found.unseen[:, 4:]).all()
    np.testing.assert_allclose(found.doubts[2], [0.8, 0.4, 0.7, 0.3, *[0.0] * 6], atol=1e-3)


def test_what_never_saw_the_labels_must_speak_of_the_same_labels(run: Path) -> None:
    np.savez(run / "unseen.npz", rows=np.arange(1), probabilities=np.zeros((1, 1)), names=np.array(["fox"]))
    with pytest.raises(InputError, match=r"Expected the run's labels in .*unseen.npz, but got others: run"):
        opened(run)
