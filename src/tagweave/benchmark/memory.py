"""The most memory that a piece of work held at once."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # see proc(5)

HOW = (
    "MiB: resident memory at its highest during the final fit, above what was resident at its start (VmHWM, reset "
    "before; Linux only); the features and the graph of all are not in it"
)


class PeakMemory:
    """Measure a block: ``mib`` afterwards is the resident memory at its highest above that at the start.

    None where the system does not tell: it takes Linux, and leave to reset the peak.
    """

    mib: float | None = None

    def __enter__(self) -> PeakMemory:
        _give_back()
        try:
            CLEAR.write_text(RESET_PEAK)
            self._start = _kib("VmRSS")
        except OSError:
            self._start = -1
        return self

    def __exit__(self, *_: object) -> None:
        if self._start >= 0:
            self.mib = round(max(_kib("VmHWM") - self._start, 0) / 1024, 1)


def _give_back() -> None:
    """Return freed memory to the system, so that work that takes it again is counted; where glibc can."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _kib(field: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
