"""The main job: check, embed, propagate, train, evaluate, report; only what changed runs again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagweave.console import Console
from tagweave.data.images import find_images
from tagweave.errors import InputError
from tagweave.runs import Steps, key_of, read_json
from tagweave.steps.check import check
from tagweave.steps.embed import embed, forget_lost_records
from tagweave.steps.evaluate import evaluate
from tagweave.steps.job import Job
from tagweave.steps.propagate import propagate
from tagweave.steps.train import train, train_along
from tagweave.trackers import require_trackers

Announce = Callable[[str | None], Any]

STEPS = ("check", "embed", "propagate", "train", "evaluate", "report")


def run(job: Job, until: str = "report") -> list[str]:
    """Run the steps up to ``until``, those only whose inputs changed; return the names of those that ran.

    Raises:
        InputError: what is wrong with the input. Nothing is written before the check has passed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return _run_together(job, until)
    return _run_steps(job, until, lambda key: None)


def _run_together(job: Job, until: str) -> list[str]:
    """Run the job in the processes that ``torchrun`` started: the first does it, the others share the training."""
    from tagweave.training.ranks import join_ranks

    with join_ranks(job.config.train.device) as ranks:
        ran: list[str] = []
        if ranks.is_first:
            ran = _run_steps(job, until, ranks.tell)
        elif STEPS.index(until) >= STEPS.index("train") and (key := ranks.tell(None)):
            train_along(replace(job, console=Console(quiet=True)), key)
        ranks.wait()
    return ran


def _run_steps(job: Job, until: str, announce: Announce) -> list[str]:
    if job.labels is None and until not in ("check", "embed"):
        raise InputError("Expected labels to learn from, but got none; give some with --labels FILE (or --voc).")
    require_trackers(job.config.log_to)
    forget_lost_records(job.folder)
    ran = advance(job, _input_key(job), STEPS[: STEPS.index(until) + 1], announce)
    job.note_provenance()
    return ran


def advance(job: Job, key: str, names: Sequence[str], announce: Announce = lambda key: None) -> list[str]:
    """Run the steps ``names``, those only whose inputs changed; return the names of those that ran.

    Args:
        key: names what the first of them reads; each step's key is made from the one before and its own settings.
        announce: is told the training's key before it starts, None where it is done already.
    """
    steps, ran = Steps(job.folder), []
    for name in names:
        key = key_of(key, name, *(getattr(job.config, section).model_dump() for section in _SECTIONS[name]))
        if name == "train":
            announce(key if steps.key(name) != key else None)
        if steps.run(name, key, _bind(_WORK[name], job, key)):
            ran.append(name)
        else:
            job.console.say(f"{name}: done before, nothing changed")
            for note in steps.records()[name].get("notes", []) if name == names[-1] else []:
                job.console.say(f"{name}: {note}")
        if name == "check":
            job.save()
    return ran


def _bind(work: Callable[[Job, str], Mapping[str, Any] | None], job: Job, key: str) -> Callable[[], Any]:
    return lambda: work(job, key)


def _input_key(job: Job) -> str:
    """Digest what lies in the image folder (names, sizes, times) and what the label file says."""
    found = find_images(job.images)[0] if job.images.is_dir() else []
    stamps = [(path, stat.st_size, stat.st_mtime_ns) for path in found for stat in [(job.images / path).stat()]]
    labels = [] if job.labels is None else _label_stamps(job.labels)
    return key_of(str(job.images.resolve()), stamps, labels, job.format, job.config.seed)


def _label_stamps(labels: Path) -> list[Any]:
    if labels.is_file():
        return [key_of(labels.read_text(encoding="utf-8", errors="replace"))]
    files = sorted([*labels.glob("ImageSets/Main/*.txt"), *labels.glob("Annotations/*.xml")])
    return [str(labels.resolve()), *((file.name, file.stat().st_mtime_ns) for file in files)]


def report(job: Job, key: str) -> Mapping[str, Any]:
    """Write ``report.html``."""
    from tagweave.report import write_report

    if not read_json(job.folder / "metrics.json")["splits"]:
        (job.folder / "report.html").unlink(missing_ok=True)
        return {"notes": ["no report.html: there is no held-out labelled image to measure on"]}
    job.note_provenance()
    write_report(job.folder)
    return {}


_WORK: dict[str, Callable[[Job, str], Mapping[str, Any] | None]] = {
    "check": check, "embed": embed, "propagate": propagate, "train": train, "evaluate": evaluate, "report": report,
}  # fmt: skip
_SECTIONS: dict[str, tuple[str, ...]] = {
    "check": ("data",), "embed": ("encoder",), "propagate": ("graph",), "train": ("model", "train"),
    "evaluate": (), "report": (),
}  # fmt: skip
