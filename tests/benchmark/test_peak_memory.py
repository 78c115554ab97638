"""Peak memory is that of the block, not of what lay there before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagweave.benchmark import memory
from tagweave.benchmark.memory import PeakMemory

MIB = 2**20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="takes Linux")
def test_an_array_that_came_and_went_is_counted_in_its_block_only() -> None:
    with PeakMemory() as first:
        np.ones(64 * MIB, dtype=np.uint8).sum()
    with PeakMemory() as second:
        pass
    assert first.mib is not None
    assert second.mib is not None
    assert 60 <= first.mib <= 90
    assert second.mib < 20


def test_where_the_system_does_not_tell_it_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent" / "clear_refs")
    with PeakMemory() as found:
        pass
    assert found.mib is None
