"""Two trainings at once, each in its own process."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drawn import SETTINGS, Drawn
from tagweave.api import Run, fit
from tagweave.console import Console
from tagweave.steps import beside
from tagweave.steps.collection import open_images
from tagweave.steps.job import Job


def small_fit(drawn: Drawn, out: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> Run:
    """Fit from cached maps with so many threads, which decide whether a second process pays."""
    monkeypatch.setenv("TAGWEAVE_THREADS", str(threads))
    monkeypatch.setattr(beside, "available_threads", lambda: threads)
    monkeypatch.setattr(beside, "WORTH", 0)
    settings: dict[str, Any] = SETTINGS
    return fit(drawn.images, drawn.labels, out=out, preset="tiny", **settings)


def test_two_trainings_at_once_leave_the_same_weights_as_one_after_the_other(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[int] = []
    start = beside._start
    monkeypatch.setattr(beside, "_start", lambda job, key, threads: (started.append(threads), start(job, key, 1))[1])
    once = small_fit(drawn, tmp_path / "once", monkeypatch, threads=1)
    assert not started
    together = small_fit(drawn, tmp_path / "together", monkeypatch, threads=2)
    assert started == [1]
    assert "ended early" not in capfd.readouterr().err
    for name in ("checkpoints/choice/best.safetensors", "checkpoints/final/best.safetensors"):
        assert (together.folder / name).read_bytes() == (once.folder / name).read_bytes(), name


def test_what_a_failed_process_leaves_undone_is_trained_here(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beside.sys, "executable", shutil.which("false"))
    run = small_fit(drawn, tmp_path / "run", monkeypatch, threads=2)
    assert "the process beside ended early" in capfd.readouterr().err
    assert (run.folder / "checkpoints" / "choice" / "history.jsonl").is_file()


def test_the_process_ends_with_its_parent(finished: Run) -> None:
    job = Job.load(finished.folder, Console(quiet=True))
    process = beside._start(job, "another key", threads=1)
    assert process.stdin is not None
    process.stdin.close()  # as when the parent is killed
    assert process.wait(60) != 0
    assert not (finished.folder / "checkpoints" / "choice" / "last.pt").read_bytes().count(b"another key")


def test_what_measures_time_and_memory_stays_in_one_process(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "available_threads", lambda: 2)
    monkeypatch.setattr(beside, "WORTH", 0)
    job = Job.load(finished.folder, Console(quiet=True))
    images = open_images(job)
    assert beside.pays(job, images)
    assert not beside.pays(replace(job, beside=False), images)
    monkeypatch.setattr(beside.sys, "executable", "")
    assert not beside.pays(job, images)


@pytest.mark.parametrize(
    ("regime", "threads", "worth", "expected"),
    [("frozen", 2, 0, True), ("frozen", 1, 0, False), ("frozen", 2, 10**9, False), ("finetune", 2, 0, False)],
)
def test_it_is_done_where_it_pays(
    regime: str, threads: int, worth: int, expected: bool, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "available_threads", lambda: threads)
    monkeypatch.setattr(beside, "WORTH", worth)
    job = Job.load(finished.folder, Console(quiet=True))
    train = job.config.train.model_copy(update={"regime": regime, "device": "cpu"})
    changed = replace(job, config=job.config.model_copy(update={"train": train}))
    assert beside.pays(changed, open_images(job)) is expected
