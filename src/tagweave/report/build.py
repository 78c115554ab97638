"""Build the page of a run from its artefacts."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tagweave.report import numerals, sections
from tagweave.report.artefacts import Artefacts, read_artefacts
from tagweave.report.cards import cards

FILE = "report.html"


def write_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder: one file that needs no network. A reader never sees half of it.

    Returns:
        The path of the page.

    Raises:
        InputError: the manifest or the measures are missing, there is no measured split, or a JSON file is damaged.
    """
    page = render(read_artefacts(run), run.name)
    handle, temporary = tempfile.mkstemp(dir=run, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(run / FILE)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return run / FILE


def render(artefacts: Artefacts, title: str) -> str:
    """Return the page as text; names of labels and files are escaped, and no script runs but the page's own."""
    script = resources.files("tagweave.report").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            script=Markup(script),
            script_digest=digest,
            headline=sections.headline(artefacts),
            bars=sections.label_bars(artefacts),
            training=sections.training(artefacts),
            graph=sections.label_graph(artefacts),
            reliability=sections.reliability(artefacts),
            counts=sections.label_counts(artefacts),
            propagation=sections.propagation(artefacts),
            cards=cards(artefacts),
            quarantine=sections.quarantine(artefacts),
            provenance=artefacts.provenance,
            config=artefacts.config,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tagweave", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=numerals.percent, count=numerals.count, duration=numerals.duration)
    return environment
