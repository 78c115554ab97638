"""Networks of other switches through the whole job: trained, saved, measured, shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import NAMES, Drawn, quick_fit

SWITCHES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "paper's vector, fine and coarse": (
        {"global_vector": "convolutions", "stages": (1, -1), "counts": "propagated", "compatibility": "dot"},
        ["stage 1, stride 8", "stage 3, stride 32"],
    ),
    "nothing but averages": ({"attention": False, "fusion": "linear", "gcn": False}, []),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SWITCHES)
def test_the_whole_job_under_other_switches(name: str, drawn: Drawn, tmp_path: Path) -> None:
    switches, stages = SWITCHES[name]
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", model=switches)
    with np.load(run.folder / "attention.npz") as stored:
        assert stored["stages"].tolist() == stages
        assert {f"map_{number}" for number in range(len(stages))} < set(stored)
    assert run.evaluate()["splits"]["test"]["systems"]["network"]["mAP"] > 0.3
    assert run.predict(drawn.images / "000.png").probabilities.shape == (1, len(NAMES))
    assert (run.folder / "report.html").stat().st_size > 10_000
