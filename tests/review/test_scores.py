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
