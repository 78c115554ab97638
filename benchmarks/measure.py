"""What the benchmarks share: timing, the peak of memory, children, and where progress goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


def say(text: str) -> None:
    """Print progress on stderr; stdout is kept for the one JSON document."""
    print(text, file=sys.stderr, flush=True)


def timed(
    laps: dict[str, float], name: str, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
) -> Result:
    """Call ``work``, write its wall-clock seconds into ``laps`` and return its result."""
    began = time.perf_counter()
    result = work(*given, **named)
    laps[name] = round(time.perf_counter() - began, 4)
    return result


@dataclass(frozen=True)
class Laps:
    """Hold the wall-clock seconds and the processor seconds, user and system, of named works."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
        """Call ``work``, keep its times under ``name`` and return its result."""
        began = time.process_time()
        result = timed(self.seconds, name, work, *given, **named)
        self.cpu_seconds[name] = round(time.process_time() - began, 4)
        return result

    def add_up(self, name: str, parts: Iterable[str]) -> None:
        """Keep the sum of ``parts`` under ``name``."""
        chosen = tuple(parts)
        for laps in (self.seconds, self.cpu_seconds):
            laps[name] = round(sum(laps[part] for part in chosen), 4)


def interleaved_seconds(works: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Return the median wall-clock seconds of each work, run in turn (A B A B), so that a slow moment hits all."""
    runs: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repetitions):
        for name, work in works.items():
            laps: dict[str, float] = {}
            timed(laps, name, work)
            runs[name].append(laps[name])
        say(f"  repetition {number + 1} of {repetitions}")
    return {name: median(seconds) for name, seconds in runs.items()}


def peak_mib() -> float:
    """Return the most memory in MiB that was resident in this process at once, so far.

    Linux hands a parent's ``ru_maxrss`` on to its children; VmHWM starts anew in each.
    """
    status = Path("/proc/self/status")
    if status.exists():
        kib = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(kib) / 1024, 1)
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def run_script(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a script of this folder in a process of its own and return the JSON that it prints."""
    script = Path(__file__).with_name(f"{name}.py")
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def print_json(content: Mapping[str, Any]) -> None:
    """Print the document of a script."""
    print(json.dumps(content, indent=2))
