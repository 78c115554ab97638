from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hand_made import ORIGIN, PORT, write_run

from tagweave.console import Console
from tagweave.review.app import build_app
from tagweave.review.desk import Desk
from tagweave.review.guard import Access


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path)


@pytest.fixture
def desk(run: Path) -> Iterator[Desk]:
    opened = Desk(run, Console(quiet=True))
    yield opened
    opened.close()


@pytest.fixture
def links() -> list[str]:
    """The links that the server announced."""
    return []


@pytest.fixture
def stranger(desk: Desk, links: list[str]) -> httpx.Client:
    """A browser that was not given the link."""
    return TestClient(build_app(desk, Access(PORT, links.append)), base_url=ORIGIN)


@pytest.fixture
def browser(stranger: httpx.Client, links: list[str]) -> httpx.Client:
    """A browser that opened the link."""
    assert stranger.get(links[-1]).status_code == 200
    return stranger


@pytest.fixture
def post(browser: httpx.Client) -> Callable[..., Any]:
    """Send a change as the page does; return the answer's JSON, or its text where it was refused."""
    numbers = itertools.count()

    def send(path: str, window: str = "window-one", gesture: str | None = None, **body: Any) -> Any:
        content = {"window": window, "gesture": gesture or f"gesture-{next(numbers)}", **body}
        answer = browser.post(path, json=content, headers={"Origin": ORIGIN})
        return answer.json() if answer.status_code == 200 else (answer.status_code, answer.text)

    return send
