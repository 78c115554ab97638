"""The benchmark of the server, small: no error under load, the right refusals, flat memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tagweave.api import Run

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve.py"


@pytest.mark.slow
def test_the_server_under_load(finished: Run) -> None:
    words = [sys.executable, str(SCRIPT), "--run", str(finished.folder), "--requests", "400", "--clients", "32"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["served"]["statuses"] == {"200": 400}
    assert said["served_after_hostile"]["statuses"] == {"200": 100}
    assert said["hostile"]["statuses"] == {"422": 100}
    assert said["refusals"] == {
        "announced a gigabyte": 413, "plain text": 415, "no image in the file": 422, "no form": 400, "not JSON": 400,
    }  # fmt: skip
    memory = said["resident_mib"]
    if memory["after_warm_up"] is not None:
        assert memory["at_the_end"] < memory["after_warm_up"] + 100
