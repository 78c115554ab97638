"""Take the pictures of these pages from a run: python docs/pictures.py runs/demo (needs playwright and Chromium)."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
COMMAND = "from tagweave.cli import main; main()"
SECTIONS = ("calibration", "label-graph", "label-by-label", "propagation")
WIDTH, COLOURS = 1100, 128


def save(picture: bytes, name: str) -> None:
    """Keep a screenshot small: few colours suffice."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


@contextmanager
def page_of(address: str, height: int) -> Iterator[Any]:
    """Open an address in a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": height})
        page.goto(address)
        yield page
        browser.close()


def picture_report(run: Path) -> None:
    """Take the first screen of the report and the sections that the pages show."""
    with page_of((run / "report.html").resolve().as_uri(), 900) as page:
        save(page.screenshot(), "report")
        for section in page.query_selector_all("section"):
            title = section.query_selector("h2")
            name = title.inner_text().lower().replace(" ", "-") if title else ""
            if name in SECTIONS:
                save(section.screenshot(), f"report-{name}")


def picture_review(run: Path) -> None:
    """Take the review page as it opens."""
    words = [sys.executable, "-c", COMMAND, "review", str(run)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        link = server.stdout.readline().split()[-1]
        with page_of(link, 760) as page:
            page.wait_for_selector(".tile img")
            page.wait_for_timeout(1500)
            save(page.screenshot(), "review")
        server.terminate()


def picture_places(run: Path) -> None:
    """Show a held-out image beside where its labels are seen, and where one is that it does not have."""
    from tagweave.api import Run
    from tagweave.seeing.attention import write_attention
    from tagweave.steps.stored import load_collection

    manifest, labels = load_collection(run)
    held_out = (manifest.splits == "test") & (labels.values.sum(axis=1) == 2)
    row = int(np.flatnonzero(held_out)[0])
    shown = [labels.names[column] for column in np.argsort(~labels.values[row], kind="stable")[:3]]
    with tempfile.TemporaryDirectory() as folder:
        ((_, written, _),) = write_attention(
            Run(run).classifier, ["scene"], [manifest.file(row)], Path(folder), shown
        )  # fmt: skip
        pictures = [Image.open(path).convert("RGB") for path in (manifest.file(row), *written)]
    pictures = [picture.resize((WIDTH // 4, WIDTH // 4 * picture.height // picture.width)) for picture in pictures]
    strip = Image.new("RGB", (WIDTH, pictures[0].height))
    for place, picture in enumerate(pictures):
        strip.paste(picture, (place * WIDTH // 4, 0))
    buffer = io.BytesIO()
    strip.save(buffer, "PNG")
    save(buffer.getvalue(), "places")
    print(f"places: {', '.join(shown)}")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    picture_places(Path(sys.argv[1]))
    picture_report(Path(sys.argv[1]))
    picture_review(Path(sys.argv[1]))
