"""The command line: verbs, sensible defaults, exit codes 0 (done), 1 (failed), 2 (bad input)."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from tagweave import __version__
from tagweave.audit.commands import audit
from tagweave.benchmark.commands import app as benchmark
from tagweave.config import PRESETS
from tagweave.data.commands import FORMAT_HELP, convert, data
from tagweave.errors import InputError
from tagweave.export.commands import export
from tagweave.options import Json, Quiet, RunFolder, print_json
from tagweave.review.commands import review
from tagweave.seeing.commands import attention, describe, plots
from tagweave.serve.commands import serve
from tagweave.suggest.commands import suggest

OUT_HELP = ".csv, .jsonl, .parquet, .coco.json, .label-studio.json or .fiftyone.json; labels are printed when absent"
INTERRUPTED = 130  # typer's exit code after control-C

app = typer.Typer(
    name="tagweave", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Few labels in, propagated labels and a multi-label image classifier out.\n\n"
    "Start: `tagweave demo`, then `tagweave fit photos/ --labels labels.csv`.",
)  # fmt: skip

Images = Annotated[
    Path | None, typer.Argument(help="folder of images, or a run folder to continue", show_default=False)
]
Labels = Annotated[
    Path | None, typer.Option("--labels", "-l", help="label file or folder, see --format", show_default=False)
]
Voc = Annotated[
    Path | None, typer.Option(help="a VOC folder (VOC2007) instead of images and labels", show_default=False)
]
Format = Annotated[str | None, typer.Option(help=FORMAT_HELP, show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="run folder; runs/NAME by default", show_default=False)]
Preset = Annotated[str | None, typer.Option(help=f"{', '.join(PRESETS)}; fast when absent", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file over the preset", show_default=False)]
Changes = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, repeatable", show_default=False)]
LabelWords = Annotated[
    list[str] | None, typer.Option("--label-words", help='"label=other words", repeatable', show_default=False)
]
Head = Annotated[
    str | None, typer.Option(help="which network is trained, ours or another system's: model.head", show_default=False)
]
Budget = Annotated[
    float | None,
    typer.Option(help="keep only this share (or number) of the labels, for experiments", show_default=False),
]
Precision = Annotated[
    float | None,
    typer.Option(help="share of right ones wanted among accepted labels; 0.8 when absent", show_default=False),
]
Reviewed = Annotated[
    Path | None,
    typer.Option(
        "--resume-labels",
        show_default=False,
        help="a reviewed run folder, to fit again in its place and with its settings: its decisions count over "
        "--labels, or over that run's own labels without them",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="stop instead of putting bad files to quarantine")]
Seed = Annotated[int | None, typer.Option(help="of every random draw; 0 by default", show_default=False)]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    """Few labels in, propagated labels and a multi-label image classifier out."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _register(step: str, about: str, example: str) -> None:
    """Register a command that runs the job up to one step; all take the same options."""

    def command(
        images: Images = None, labels: Labels = None, voc: Voc = None, format: Format = None, out: Out = None,
        preset: Preset = None, config: ConfigFile = None, set: Changes = None, label_words: LabelWords = None,
        head: Head = None, label_budget: Budget = None, precision: Precision = None, strict: Strict = False,
        seed: Seed = None, resume_labels: Reviewed = None, quiet: Quiet = False, json: Json = False,
    ) -> None:  # fmt: skip
        changes = [*(set or []), *_changes(head, label_budget, precision, strict, seed)]
        settings = (voc, out, preset, config, changes, label_words, quiet)
        if resume_labels is None:
            run = _run_job(_UNTIL[step], images, labels, format, *settings)
        else:
            run = _run_reviewed(_UNTIL[step], resume_labels, images, labels, format, *settings)
        _show(run.folder, _UNTIL[step], json, quiet)

    command.__doc__ = f"{about}\n\nExample: `{example}`"
    app.command(name=step)(command)


_UNTIL = {
    "fit": "report", "check": "check", "embed": "embed", "propagate": "propagate", "train": "train",
    "evaluate": "evaluate", "report": "report",
}  # fmt: skip
for _step, _about, _example in (
    ("fit", "Do the whole job: labels propagated, network trained, measured, reported.",
     "tagweave fit photos/ --labels labels.csv"),
    ("check", "Account for every file and label row; nothing is trained.",
     "tagweave check photos/ --labels labels.csv"),
    ("embed", "Compute the images' stage maps once, into the cache.", "tagweave embed photos/"),
    ("propagate", "Spread the labels over the similarity graph.", "tagweave propagate photos/ --labels labels.csv"),
    ("train", "Train the network on given and propagated labels.", "tagweave train runs/photos"),
    ("evaluate", "Measure every system on the held-out images.", "tagweave evaluate runs/photos"),
):  # fmt: skip
    _register(_step, _about, _example)

for _command in (suggest, audit, review, export, serve, attention, plots, describe, convert, data):
    app.command()(_command)
app.add_typer(benchmark)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="a run folder, or several to compare", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="of a comparison: file or folder; comparison.html when absent")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the report.html of a run, or put several runs side by side in one page.

    Example: `tagweave report runs/photos` or `tagweave report runs/a runs/b`
    """
    if len(runs) == 1:
        if out is not None:
            raise InputError("Expected --out with two or more run folders; the report of one lies in it.")
        if not (runs[0] / "job.json").is_file():
            raise InputError(f"Expected a run folder (with job.json) at {runs[0]}, but there is none.")
        _rewrite_report(runs[0], quiet)
        _show(runs[0], "report", json, quiet)
        return
    from tagweave.report import write_comparison
    from tagweave.summary import print_comparison

    found = write_comparison(runs, out or Path())
    if json:
        sides = {side.name: {**side.measures, "per_label": side.precisions} for side in found.sides}
        print_json({"split": found.split, "same_images": found.same_images, "runs": sides})
        return
    print_comparison(found)
    if not quiet:
        where = out or Path()
        typer.echo(f"\nReport: {where / 'comparison.html' if where.is_dir() else where}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="where the demo's images go")] = Path("demo-data"),
    images: Annotated[int, typer.Option(help="how many scenes are drawn")] = 1500,
    out: Out = Path("runs/demo"),
    seed: Seed = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw 1,500 scenes, label a tenth of them, do the whole job and show what came of it.

    Example: `tagweave demo`
    """
    from tagweave.api import fit as run_fit
    from tagweave.console import Console
    from tagweave.data.demo import write_demo

    console = Console(quiet)
    with console.progress("draw", "scenes") as progress:
        files = write_demo(folder, images=images, seed=seed or 0, progress=lambda done: progress(done, images))
    command = shlex.join(["tagweave", *sys.argv[1:]])
    run = run_fit(files.images, files.labels, out=out, quiet=quiet, seed=seed or 0, command=command)
    _show(run.folder, "report", json, quiet)


@app.command()
def predict(
    run: RunFolder,
    images: Annotated[Path, typer.Argument(help="an image or a folder of images", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP)] = None,
    flip: Annotated[bool, typer.Option("--flip", help="mean with the mirrored images")] = False,
    scales: Annotated[str, typer.Option(help="mean over inputs of these sides, such as 1,1.25")] = "1",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="where --out is there already")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score images with a trained model.

    Example: `tagweave predict runs/photos new_photos/ --out new.csv`
    """
    from tagweave.api import Run
    from tagweave.console import Console
    from tagweave.predict import Views
    from tagweave.runs import require_new
    from tagweave.tables import predicted_writer, write_predicted_file

    views = Views.parse(flip, scales)
    if out is not None:
        predicted_writer(out)  # a suffix that is not known, or a file that is there, is told before the work
        if not overwrite:
            require_new(out)
    console = Console(quiet)
    with console.progress("predict", "images") as progress:
        scored = Run(run).predict(images, progress, views.flip, views.scales)
    if out is not None:
        write_predicted_file(out, scored.images, scored.names, scored.probabilities, scored.thresholds)
        console.say(f"{len(scored.images):,} images scored, written to {out}")
    for item in scored.quarantine:
        typer.echo(f"not scored: {item.path}: {item.reason}", err=True)
    if json:
        print_json([_predicted(scored, row) for row in range(len(scored.images))])
    elif out is None:
        for image, labels in zip(scored.images, scored.labels(), strict=True):
            typer.echo(f"{image}\t{';'.join(labels)}")


def _predicted(scored: Any, row: int) -> dict[str, Any]:
    probabilities = dict(zip(scored.names, (round(float(p), 7) for p in scored.probabilities[row]), strict=True))
    return {"image": scored.images[row], "labels": scored.labels()[row], "probabilities": probabilities}


def _resume(
    reviewed: Path, images: Path | None, labels: Path | None, format: str | None
) -> tuple[Path, Path, str, str]:
    """Return the image folder, the label file with the review's decisions, its format, and what was applied."""
    from tagweave.review.export import next_labels
    from tagweave.runs import read_json

    job = reviewed / "job.json"
    if not job.is_file():
        raise InputError(f"Expected a reviewed run folder (with job.json) at {reviewed}, but there is none.")
    images = images or Path(read_json(job)["images"])
    path, said = next_labels(reviewed, labels, format)
    typer.echo(f"review: {said}", err=True)
    return images, path, "csv-onehot", said


def _run_reviewed(
    until: str, reviewed: Path, images: Path | None, labels: Path | None, format: str | None, voc: Path | None,
    out: Path | None, preset: str | None, config: Path | None, changes: list[str], label_words: list[str] | None,
    quiet: bool,
) -> Any:  # fmt: skip
    """Run the job with a review's decisions, in the run's place and with its settings unless others are given."""
    from tagweave.review.effect import note_effect, read_before
    from tagweave.review.export import last_event, next_settings

    if voc is not None:
        images, labels, format = _in_voc(voc, images, labels, format)
    images, labels, format, said = _resume(reviewed, images, labels, format)
    out = out or reviewed
    if preset is None and config is None:
        config = next_settings(reviewed)
    typer.echo(f"review: fit again in {out}, settings of {config or f'preset {preset}'}", err=True)
    before = read_before(reviewed, last_event(reviewed))
    run = _run_job(until, images, labels, format, None, out, preset, config, changes, label_words, quiet)
    if until in ("evaluate", "report"):
        note_effect(run.folder, reviewed, said, before)
    return run


def _in_voc(voc: Path, images: Path | None, labels: Path | None, format: str | None) -> tuple[Path, Path, str]:
    """Return where a VOC folder holds images and labels, and their format."""
    if labels is not None:
        raise InputError(
            f"Expected --voc, which brings its own labels, or --labels, but got both; say {voc / 'JPEGImages'} "
            f"--labels {labels} for those."
        )
    return images or voc / "JPEGImages", voc, format or "voc"


def _changes(
    head: str | None, budget: float | None, precision: float | None, strict: bool, seed: int | None
) -> list[str]:
    changes = [] if head is None else [f"model.head={head}"]
    changes += [] if budget is None else [f"data.label_budget={budget}"]
    changes += [] if precision is None else [f"graph.precision={precision}"]
    changes += ["data.strict=true"] if strict else []
    return [*changes, f"seed={seed}"] if seed is not None else changes


def _run_job(
    until: str, images: Path | None, labels: Path | None, format: str | None, voc: Path | None, out: Path | None,
    preset: str | None, config: Path | None, changes: list[str], label_words: list[str] | None, quiet: bool,
) -> Any:  # fmt: skip
    from tagweave.api import Run, fit
    from tagweave.console import Console
    from tagweave.pipeline import run as run_job
    from tagweave.steps.job import Job

    command = shlex.join(["tagweave", *sys.argv[1:]])
    if images is not None and (images / "job.json").is_file():
        if any((labels, voc, format, out, preset, config, changes, label_words)):
            raise InputError(
                f"{images} is a run folder and keeps its labels and settings; give the image folder instead."
            )
        run_job(Job.load(images, Console(quiet), command), until)
        return Run(images)
    if voc is not None:
        images, labels, format = _in_voc(voc, images, labels, format)
    if images is None:
        raise InputError("Expected a folder of images (or --voc FOLDER), but got none; see tagweave fit --help.")
    words = dict(_split_words(text) for text in label_words or [])
    sections: dict[str, Any] = {"model": {"label_words": words}} if words else {}
    if voc is not None and out is None:
        out = Path("runs") / voc.resolve().name
    return fit(
        images, labels, out=out, format=format, preset=preset or "fast", config=config, changes=changes, until=until,
        quiet=quiet, command=command, **sections,
    )  # fmt: skip


def _rewrite_report(folder: Path, quiet: bool) -> None:
    from tagweave.console import Console
    from tagweave.pipeline import rewrite_report
    from tagweave.steps.job import Job

    rewrite_report(Job.load(folder, Console(quiet), shlex.join(["tagweave", *sys.argv[1:]])))


def _split_words(text: str) -> tuple[str, str]:
    label, equals, words = text.partition("=")
    if not equals or not words.strip():
        raise InputError(f'Expected --label-words "label=other words", but got "{text}".')
    return label.strip(), words.strip()


def _show(folder: Path, until: str, as_json: bool, quiet: bool) -> None:
    from tagweave.runs import read_json
    from tagweave.summary import print_measures, print_step

    if os.environ.get("RANK", "0") != "0":
        return  # torchrun started several; one of them speaks
    if until in ("evaluate", "report"):
        metrics = read_json(folder / "metrics.json")
        if as_json:
            print_json({"run": str(folder), **{key: metrics[key] for key in _TOLD if key in metrics}})
        else:
            print_measures(metrics)
    else:
        record = read_json(folder / "steps" / f"{until}.json")
        if as_json:
            print_json({"run": str(folder), **record})
        else:
            print_step(until, folder, record)
    if not quiet and not as_json and until == "report":
        places = {"Report": "report.html", "Model": "model", "Labels": "labels.parquet"}
        found = [f"{title + ':':<8}{folder / name}" for title, name in places.items() if (folder / name).exists()]
        typer.echo("\n" + "\n".join(found))


_TOLD = ("main", "splits", "propagation", "review")  # of the measures, to machines


def main() -> None:
    """Run the command line; bad input ends with its problems, one per line, and exit code 2."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        app()
    except InputError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("\nStopped. Run the same command again: it continues where it stopped.", file=sys.stderr)
        raise
    except (FloatingPointError, MemoryError, OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        print(f"error: {str(error) or type(error).__name__}", file=sys.stderr)
        sys.exit(1)
