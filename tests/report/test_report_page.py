"""The report in a real browser: nothing sticks out or overlaps, nothing is fetched, the keyboard reaches everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from PIL import Image
from synthetic import make_run

from chromium import MARKS, launched
from tagweave.report import write_comparison, write_report

pytestmark = MARKS
# Blocks of text and pictures, of which no two may cover each other; what scrolls in its own frame counts as the frame.
OVERLAPS = """() => {
  const parts = "main h1, main h2, main h3, main h4, main p, main figure, main .wide, main li, nav, main details";
  const seen = [...document.querySelectorAll(parts)].filter((one) => one.offsetParent && one.getClientRects().length);
  const boxes = seen.map((one) => [one, one.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right - 2 && b.left < a.right - 2 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  return boxes.flatMap(([one, a], n) => boxes.slice(n + 1).filter(([other, b]) =>
    !one.contains(other) && !other.contains(one) && !one.closest(".wide") && !other.closest(".wide") && meet(a, b))
    .map(([other]) => `${one.textContent.slice(0, 40)} x ${other.textContent.slice(0, 40)}`));
}"""
OUTSIDE = """() => [...document.querySelectorAll("main *")].filter((one) =>
  one.getBoundingClientRect().right > innerWidth + 1 && one.offsetParent && !one.closest(".wide, .circle, svg")
).map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = [make_run(folder / str(labels), labels, images=48) for labels in (20, 260)]
    write_comparison(runs, folder / "comparison.html")
    return {"20": write_report(runs[0]), "260": write_report(runs[1]), "comparison": folder / "comparison.html"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("name", ["20", "260", "comparison"])
def test_nothing_overlaps_sticks_out_or_is_fetched(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.wait_for_timeout(200)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    context.close()


def test_the_keyboard_reaches_sections_filter_and_tables(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["260"].as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName + ' ' + document.activeElement.className"))
    assert {"A ", "DIV wide", "SUMMARY ", "INPUT ", "DIV circle"} <= reached
    page.locator("#filter").fill("potted")
    assert page.locator("#bars li:visible").count() == 1
    assert page.locator("#filtered").text_content() == "1 of 260 labels"
    page.close()


def test_it_prints_whole(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(pages["20"].as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") > 0
    assert len(page.pdf(format="A4")) > 100_000
    page.close()


def test_a_page_of_noise_stays_under_eight_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst a JPEG can be, with 260 labels."""

    def noise(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
        return Image.fromarray(rng.integers(0, 255, (600, 800, 3), dtype=np.uint8))

    monkeypatch.setattr(synthetic, "_scene", noise)
    size = write_report(make_run(tmp_path, 260)).stat().st_size
    assert 1_000_000 < size < 8_000_000
