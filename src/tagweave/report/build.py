"""Build the page of a run from its artefacts."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tagweave.report import cards, choices, curves, numerals, plots, sections
from tagweave.report.artefacts import Artefacts, read_artefacts

FILE = "report.html"


def write_report(run: Path) -> Path:
    """Write ``report.html`` and ``plots/`` into a run folder. The page is one file that needs no network.

    Returns:
        The path of the page.

    Raises:
        InputError: the manifest or the measures are missing, there is no measured split, or a JSON file is damaged.
    """
    page, charts = render(read_artefacts(run), run.name)
    write_page(run / FILE, page)
    plots.write_plots(run / "plots", charts)
    return run / FILE


def write_page(path: Path, page: str) -> None:
    """Write a page; a reader never sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def render(artefacts: Artefacts, title: str) -> tuple[str, dict[str, str]]:
    """Return the page as text, and its charts by name.

    Names of labels and files are escaped, and no script runs but the page's own.
    """
    training, graph = sections.training(artefacts), sections.label_graph(artefacts)
    reliability, precision_recall = sections.reliability(artefacts), curves.precision_recall(artefacts)
    page = render_template(
        "page.html.j2",
        title=title,
        headline=sections.headline(artefacts),
        review=sections.review(artefacts),
        choices=choices.choices(artefacts),
        bars=sections.label_bars(artefacts),
        curves=precision_recall,
        training=training,
        graph=graph,
        reliability=reliability,
        thresholds=sections.thresholds(artefacts),
        counts=sections.label_counts(artefacts),
        propagation=sections.propagation(artefacts),
        examples=cards.examples(artefacts),
        graph_share=(artefacts.examples or {}).get("graph_share"),
        cards=cards.cards(artefacts),
        doubtful=cards.doubtful(artefacts),
        suspects=cards.suspects(artefacts),
        suspected=artefacts.suspected,
        quarantine=sections.quarantine(artefacts),
        provenance=artefacts.provenance,
        config=artefacts.config,
        repeat=artefacts.repeat,
    )
    return page, plots.charts_of(precision_recall, reliability, training, graph)


def render_template(name: str, **content: Any) -> str:
    """Return a page of this package's templates, with the one script that it may run."""
    script = resources.files("tagweave.report").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(name).render(script=Markup(script), script_digest=digest, **content)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tagweave", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=numerals.percent, interval=numerals.interval, count=numerals.count, duration=numerals.duration
    )
    return environment
