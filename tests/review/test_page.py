"""The page in a real browser: a person works by keyboard, the server is restarted, nothing is lost."""

from __future__ import annotations

import csv
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made import write_run
from served import Served

from chromium import MARKS, launched, sync_api
from drawn import NAMES, quick_fit, write_collection
from tagweave.review.export import write_labels
from tagweave.runs import read_json
from tagweave.steps.stored import load_collection

pytestmark = MARKS
IN_VIEW = """() => {
  const box = document.getElementById("scroller").getBoundingClientRect();
  return [...document.querySelectorAll(".tile")].filter((tile) => {
    const { top, bottom } = tile.getBoundingClientRect();
    return top >= box.top - 1 && bottom <= box.bottom + 1;
  }).map((tile) => [tile.getAttribute("aria-label").split(":")[0], tile.dataset.value]);
}"""


@contextmanager
def opened_page(width: int = 420, height: int = 560, scheme: str = "light") -> Iterator[Any]:
    with launched() as chromium:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda said: page.faults.append(said.text) if "Content Security" in said.text else None)
        yield page
        assert page.faults == []


def wait_for_decisions(page: Any, count: int) -> None:
    sync_api.expect(page.locator("#figures")).to_have_text(re.compile(f"^{count} decisions"))


def take_back(page: Any, gestures: list[dict[str, str]], times: int) -> None:
    """Undo by key, here as on the page."""
    for _ in range(times):
        page.keyboard.press("z")
        gestures.pop()
        wait_for_decisions(page, sum(map(len, gestures)))


def accept_page(page: Any, flips: int) -> dict[str, str]:
    """Flip the first images in view, accept what is in view, and return what was accepted."""
    page.wait_for_selector(".tile")
    page.wait_for_timeout(100)  # the sheet scrolls
    for number in range(flips):
        page.keyboard.press(str(number + 1))
    shown = dict(page.evaluate(IN_VIEW))
    page.keyboard.press("Enter")
    return shown


def read_cells(path: Path, label: str = "cat") -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["image"]: {"1": "yes", "0": "no", "": "unsure"}[row[label]] for row in csv.DictReader(file)}


def test_thirty_images_by_keyboard_three_undone_over_a_restart(tmp_path: Path) -> None:
    run, gestures = write_run(tmp_path, images=90), []
    served = Served(run)
    with opened_page() as page:
        page.goto(served.link)
        page.wait_for_selector(".tile")
        assert "token" not in page.url
        while sum(map(len, gestures)) < 30:
            gestures.append(accept_page(page, flips=len(gestures) % 3))
            wait_for_decisions(page, sum(map(len, gestures)))
        assert len({image for gesture in gestures for image in gesture}) == sum(map(len, gestures)) >= 30
        take_back(page, gestures, 3)
        served.end(signal.SIGKILL)

        served = Served(run, served.port)
        page.goto(served.link)
        page.wait_for_selector(".tile")
        wait_for_decisions(page, sum(map(len, gestures)))
        take_back(page, gestures, 1)  # undo is kept
        page.reload()
        for flips in (2, 0, 1):
            gestures.append(accept_page(page, flips))
            wait_for_decisions(page, sum(map(len, gestures)))
        with page.expect_download() as download:
            page.get_by_role("button", name="Export").click()
            page.get_by_role("link", name=re.compile("^Decisions")).click()
        download.value.save_as(tmp_path / "page.csv")
    served.end()
    assert served.process.returncode == 0
    expected = {image: value for gesture in gestures for image, value in gesture.items()}
    assert "yes" in expected.values()
    assert read_cells(tmp_path / "page.csv") == expected
    write_labels(run, tmp_path / "command.csv", "decisions")
    assert (tmp_path / "command.csv").read_bytes() == (tmp_path / "page.csv").read_bytes()


def answer_page(page: Any, truth: dict[str, bool]) -> dict[str, str]:
    """Flip by number what is shown wrongly, accept, and return what was accepted."""
    page.wait_for_selector(".tile")
    page.wait_for_timeout(150)
    for number, (image, value) in enumerate(page.evaluate(IN_VIEW)):
        if (value == "yes") != truth[image]:
            page.keyboard.press(str((number + 1) % 10))
    shown = dict(page.evaluate(IN_VIEW))
    page.keyboard.press("Enter")
    return shown


def test_corrections_go_into_the_next_fit_and_tell_their_effect(tmp_path: Path, tagweave: Any) -> None:
    """The whole loop: fit, correct 30 images by keyboard, undo 3 gestures, restart, go on, fit again."""
    drawn = write_collection(tmp_path / "drawn", images=120, labelled=40)
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run").folder
    truth = {f"{number:03d}.png": bool(row[NAMES.index("house")]) for number, row in enumerate(drawn.values)}
    gestures: list[dict[str, str]] = []
    served = Served(run)
    with opened_page() as page:
        page.goto(served.link)
        while sum(map(len, gestures)) < 30:
            gestures.append(answer_page(page, truth))
            wait_for_decisions(page, sum(map(len, gestures)))
        take_back(page, gestures, 3)
        served.end(signal.SIGKILL)
        served = Served(run, served.port)
        page.goto(served.link)
        page.reload()
        while sum(map(len, gestures)) < 30:
            gestures.append(answer_page(page, truth))
            wait_for_decisions(page, sum(map(len, gestures)))
        undone = gestures[-1]
        page.keyboard.press("z")
        wait_for_decisions(page, sum(map(len, gestures)) - len(undone))
        page.keyboard.press("y")
        wait_for_decisions(page, sum(map(len, gestures)))
    served.end()

    expected = {image: value for gesture in gestures for image, value in gesture.items()}
    assert all((value == "yes") == truth[image] for image, value in expected.items())
    write_labels(run, tmp_path / "decisions.csv", "decisions")
    assert read_cells(tmp_path / "decisions.csv", "house") == expected

    said = tagweave("fit", "--resume-labels", run, "-o", tmp_path / "next", "-q")
    assert said.code == 0, said.err
    assert f"review: {len(expected)} review decisions applied" in said.err
    told = re.search(
        r"review of run: mAP on (\d+) held-out images over 4 labels ([\d.]+) before, ([\d.]+) after", said.out
    )
    assert told is not None, said.out
    effect = read_json(tmp_path / "next" / "metrics.json")["review"]
    assert int(told[1]) == effect["images"] > 0
    assert [f"{100 * effect[when]:.1f}" for when in ("before", "after")] == [told[2], told[3]]
    assert (
        f"{100 * effect['after']:.1f}\u00a0%</b> after, on the same" in (tmp_path / "next" / "report.html").read_text()
    )

    (manifest, before), (_, after) = load_collection(run), load_collection(tmp_path / "next")
    row, house = {path: n for n, path in enumerate(manifest.paths)}, NAMES.index("house")
    known = before.known.copy()
    known[[row[image] for image in expected], house] = True
    np.testing.assert_array_equal(after.known, known)  # nothing else changed
    assert all(after.values[row[image], house] == (value == "yes") for image, value in expected.items())
    np.testing.assert_array_equal(after.values & before.known, before.values)


def test_decisions_wait_while_the_server_is_away(tmp_path: Path) -> None:
    run = write_run(tmp_path, images=40)
    served = Served(run)
    with opened_page() as page:
        page.goto(served.link)
        accept_page(page, 0)
        sync_api.expect(page.locator("#live")).to_have_text(re.compile("decisions saved"))
        served.end()
        page.keyboard.press("a")
        shown = accept_page(page, 0)
        sync_api.expect(page.locator("#alarm")).to_have_text(re.compile("1 unsent"))
        served = Served(run, served.port)
        other = page.context.new_page()  # the new link leaves its cookie in the same browser
        other.goto(served.link)
        sync_api.expect(page.locator("#alarm")).to_be_hidden(timeout=10_000)
    served.end()
    write_labels(run, tmp_path / "out.csv", "decisions")
    assert shown.items() <= read_cells(tmp_path / "out.csv").items()
    assert set(shown.values()) == {"yes"}


def test_one_image_at_a_time_by_keyboard(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    served = Served(run)
    with opened_page(1440, 900) as page:
        page.goto(served.link)
        page.wait_for_selector(".tile")
        page.keyboard.press("m")
        page.wait_for_selector(".chip")
        name = page.locator(".file").text_content()
        page.keyboard.press("/")
        page.keyboard.type("dog")
        assert page.locator(".chip").count() == 1
        page.keyboard.press("Tab")
        page.keyboard.press("u")
        page.keyboard.press("n")
        page.keyboard.press("Enter")
        wait_for_decisions(page, 2)
        assert page.locator(".file").text_content() != name
    served.end()
    write_labels(run, tmp_path / "out.csv", "decisions")
    assert read_cells(tmp_path / "out.csv") == {name: "no"}
    assert read_cells(tmp_path / "out.csv", "dog") == {name: "unsure"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (1440, 900)])
def test_nothing_overlaps_and_every_control_has_a_name(tmp_path: Path, width: int, height: int, scheme: str) -> None:
    served = Served(write_run(tmp_path, images=40))
    with opened_page(width, height, scheme) as page:
        page.goto(served.link)
        page.wait_for_selector(".tile")
        for key in ("", "i", "m"):
            if key:
                page.keyboard.press(key)
            page.wait_for_timeout(300)
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert page.evaluate(OVERLAPS) == []
            assert page.evaluate(UNNAMED) == []
        assert page.evaluate("document.documentElement.lang") == "en"
    served.end()


OVERLAPS = """() => {
  const parts = "header button, header .run, header .figures, footer button, footer p, main, aside";
  const seen = [...document.querySelectorAll(parts)].filter((one) => one.offsetParent && !one.closest(".queues"));
  const boxes = seen.map((one) => [one.id || one.textContent, one.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  return boxes.flatMap(([name, a], n) =>
    boxes.slice(n + 1).filter(([, b]) => meet(a, b)).map(([other]) => `${name} x ${other}`));
}"""
UNNAMED = """() => [...document.querySelectorAll("button, input, select, a")].filter((one) => one.offsetParent &&
  !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML)"""
