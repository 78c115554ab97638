"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tagweave.api import Run

EXAMPLES = Path(__file__).parents[1] / "examples"
# The client needs a server: tests/serve/test_serve_server.py runs it.
RUN_HERE = {"few_labels.py", "own_features.py", "train_elsewhere.py"}


def run(name: str, *words: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_every_example_is_run_somewhere() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == RUN_HERE | {"serve_client.py"}


def test_own_features(tmp_path: Path) -> None:
    first, *rest = run("own_features.py", folder=tmp_path)
    assert first.startswith("mAP of the 540 unlabelled: ")
    assert float(first.split()[-1]) > 0.9
    assert [line.split("\t")[0] for line in rest] == ["60", "61", "62"]


@pytest.mark.slow
def test_train_elsewhere(finished: Run, tmp_path: Path) -> None:
    losses = [float(line.split()[-1]) for line in run("train_elsewhere.py", str(finished.folder), folder=tmp_path)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_few_labels(tmp_path: Path) -> None:
    said = run("few_labels.py", "--images", "120", "--preset", "tiny", folder=tmp_path)
    assert {line.split(":")[0] for line in said if ": mAP" in line} >= {"linear", "ridge", "classifier"}
    assert (tmp_path / "few-labels" / "run" / "report.html").is_file()
