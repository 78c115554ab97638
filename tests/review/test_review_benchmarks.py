"""The benchmarks of the review run, and a script that answers through the queues learns more than one at random."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import quick_fit, write_collection, write_list

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def run_script(name: str, *words: str | Path) -> Any:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *map(str, words)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_server_is_measured() -> None:
    found = run_script("review", "--quick")
    assert found["images"] == 2000
    assert len(found["latency"]) == 7
    assert all(0 < one["p50_ms"] <= one["p99_ms"] <= one["most_ms"] for one in found["latency"].values())
    assert found["memory_mib"]["at the end"]["own"] > 0


def test_a_scripted_annotator_answers_from_the_truth(tmp_path: Path) -> None:
    drawn, files = write_collection(tmp_path / "drawn", images=160), [f"{n:03d}.png" for n in range(160)]
    listed = [*range(30), *range(120, 160)]
    given = write_list(
        tmp_path / "given.csv", [files[n] for n in listed], drawn.values[listed], ["train"] * 30 + ["test"] * 40
    )
    run = quick_fit(drawn.images, given, tmp_path / "run", until="propagate").folder
    truth = write_list(tmp_path / "truth.csv", files, drawn.values)
    found = run_script("annotator", run, truth, "--steps", "40", "80")
    assert found["labels"] == 4
    for rounds in found["results"].values():
        assert [one["decisions"] for one in rounds] == [0, 40, 80]
        assert all(0 < one["mAP"] <= 1 for one in rounds)
        assert np.diff([one["positives_found"] for one in rounds]).min() > 0
    assert found["results"]["uncertain"][0]["mAP"] == found["results"]["random"][0]["mAP"]
