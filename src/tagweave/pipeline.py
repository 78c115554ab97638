"""The main job: check, embed, propagate, train, evaluate, report; only what changed runs again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagweave.console import Console
from tagweave.errors import InputError
from tagweave.runs import Steps, key_of, read_json
from tagweave.steps.check import check
from tagweave.steps.embed import embed, forget_lost_records
from tagweave.steps.evaluate import evaluate
from tagweave.steps.inputs import input_key, setting_stamps
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
    if job.labels is None:
        _refuse_lost_labels(job, until)
    require_trackers(job.config.log_to)
    if job.config.train.device == "cuda" and "train" in _up_to(until):
        _require_cuda()  # hours of embedding come before the training that would find none
    ran = advance(job, input_key(job), ("check",))
    forget_lost_records(job.folder)  # after the check: bad input changes nothing
    ran += advance(job, str(Steps(job.folder).key("check")), _up_to(until)[1:], announce)
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
        before, key = key, key_of(key, name, *_settings(job, name))
        if name == "train":
            announce(None if steps.is_done(name, key) else key)
        if steps.run(name, key, _bind(_WORK[name], job, key), before):
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


def _settings(job: Job, name: str) -> list[Any]:
    """Return the settings a step depends on, and digests of the files that they name."""
    sections = _SECTIONS[name]
    stamps = [stamp for section in sections for stamp in setting_stamps(job.config, section)]
    if name == "propagate" and job.config.graph.names:
        stamps.append(key_of(job.config.model.label_words))
    if name == "embed" and job.config.train.regime == "finetune":
        stamps.append("features only")
    return [*(getattr(job.config, section).model_dump() for section in sections), *stamps]


def _up_to(until: str) -> tuple[str, ...]:
    return STEPS[: STEPS.index(until) + 1]


def _require_cuda() -> None:
    from tagweave.training.device import choose_device

    choose_device("cuda")


def _refuse_lost_labels(job: Job, until: str) -> None:
    """Refuse a job without labels where some are needed, or would be lost to a run that has them."""
    if until not in ("check", "embed"):
        raise InputError("Expected labels to learn from, but got none; give some with --labels FILE (or --voc).")
    record = job.folder / "job.json"
    labels = read_json(record)["labels"] if record.is_file() else None
    if labels:
        raise InputError(
            f"Expected labels, as {job.folder} was made with {labels}, but got none: the run would lose its own. Give "
            f"them with --labels, name another folder with --out, or go on with 'tagweave {until} {job.folder}'."
        )


def is_measured(folder: Path) -> bool:
    """Return whether a run's steps up to evaluate are done, each from what the one before it left.

    The images and labels are not looked at: a run is read wherever it was moved.
    """
    return Steps(folder).stand(_up_to("evaluate"))


def rewrite_report(job: Job) -> None:
    """Write the report anew, of what stands measured; what is missing for that runs first."""
    if not is_measured(job.folder):
        run(job, "evaluate")
    steps = Steps(job.folder)
    steps.forget("report")
    advance(job, str(steps.key("evaluate")), ("report",))
    job.note_provenance()


def report(job: Job, key: str) -> Mapping[str, Any]:
    """Write ``report.html``."""
    from tagweave.report import write_report

    if not read_json(job.folder / "metrics.json")["splits"]:
        (job.folder / "report.html").unlink(missing_ok=True)
        return {"notes": ["no report.html: there is no held-out labelled image to measure on"]}
    job.note_provenance()
    write_report(job.folder)
    return {"outputs": ["report.html"]}


_WORK: dict[str, Callable[[Job, str], Mapping[str, Any] | None]] = {
    "check": check, "embed": embed, "propagate": propagate, "train": train, "evaluate": evaluate, "report": report,
}  # fmt: skip
_SECTIONS: dict[str, tuple[str, ...]] = {
    "check": ("data",), "embed": ("encoder",), "propagate": ("graph",), "train": ("model", "train"),
    "evaluate": (), "report": (),
}  # fmt: skip
