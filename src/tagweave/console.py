"""What a person sees while a job runs: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 10.0  # between plain progress lines

Progress = Callable[[int, int], None]


class Console:
    """Say things on standard error, so that standard output stays for results.

    Args:
        quiet: say nothing but warnings.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, name: str, unit: str) -> Iterator[Progress]:
        """Yield a function (done, total) that shows progress with rate and time left."""
        if self.quiet:
            yield lambda done, total: None
        elif sys.stderr.isatty():
            with _bar(name, unit) as advance:
                yield advance
        else:
            yield _lines(name, unit, self.say)


@contextmanager
def _bar(name: str, unit: str) -> Iterator[Progress]:
    from rich import progress
    from rich.console import Console as Terminal

    columns = (
        progress.TextColumn(f"{name:<10}"), progress.BarColumn(), progress.MofNCompleteColumn(),
        progress.TextColumn(f"{unit}  {{task.fields[rate]}}"), progress.TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with progress.Progress(*columns, console=Terminal(stderr=True)) as bar:
        task = bar.add_task(name, total=None, rate="")

        def advance(done: int, total: int) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance


def _lines(name: str, unit: str, say: Callable[[str], None]) -> Progress:
    began = last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_SECONDS and done < total:
            return
        last, rate = now, done / max(now - began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if done < total and rate else ""
        say(f"{name}: {done:,} of {total:,} {unit}{_pace(rate)}{left}")

    return advance


def _pace(rate: float) -> str:
    if not rate:
        return ""
    return f", {rate:,.0f}/s" if rate >= 1 else f", {1 / rate:.1f} s each"
