from __future__ import annotations

import httpx
import pytest
from hand_made import ORIGIN, PORT

BODY = {"window": "window-one", "gesture": "gesture-1", "label": "cat"}


def test_a_link_is_good_for_one_browser(stranger: httpx.Client, links: list[str]) -> None:
    first = links[0]
    opened = stranger.get(first)
    assert opened.status_code == 200
    cookie = opened.headers["set-cookie"]
    assert cookie.startswith(f"tagweave_review_{PORT}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert stranger.get("/api/state").status_code == 200
    assert len(links) == 2
    stranger.cookies.clear()
    assert stranger.get(first).status_code == 401
    assert stranger.get(links[1]).status_code == 200


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/?token=", "/api/state", "/static/main.js", "/thumb/abc"])
def test_without_link_or_cookie_nothing_is_told(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert answer.text.startswith("Open the link that 'tagweave review' printed")


def test_a_wrong_cookie_is_refused(stranger: httpx.Client) -> None:
    for cookie in (f"tagweave_review_{PORT}=x", f"tagweave_review_{PORT}", "=;;", f'tagweave_review_{PORT}="\\'):
        assert stranger.get("/api/state", headers={"Cookie": cookie}).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "localhost", ""])
def test_another_host_name_is_refused(browser: httpx.Client, host: str) -> None:
    """A page of evil.example whose name was pointed to 127.0.0.1 after it was loaded."""
    answer = browser.get("/api/state", headers={"Host": host})
    assert (answer.status_code, answer.text) == (421, "This server answers to 127.0.0.1 and localhost only.")


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:8765"]
)
def test_changes_from_another_site_are_refused(browser: httpx.Client, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert browser.post("/api/undo", json=BODY, headers=headers).status_code == 403


def test_reads_from_another_site_are_refused(browser: httpx.Client) -> None:
    assert browser.get("/api/state", headers={"Origin": "http://evil.example"}).status_code == 403
    for path in ("/api/state", "/thumb/abc", "/static/main.js"):
        assert browser.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert browser.get(path, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),  # what a form of another site can send
        ({"Content-Type": "application/json", "Content-Length": "9999999999"}, 413),
        ({"Content-Type": "application/json", "Content-Length": "-1"}, 411),
    ],
)
def test_bodies_that_no_page_of_ours_sends_are_refused(
    browser: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = browser.post("/api/undo", content=b"{}", headers={"Origin": ORIGIN, **headers})
    assert answer.status_code == status


def test_every_answer_has_the_security_headers(stranger: httpx.Client, links: list[str]) -> None:
    refused = stranger.get("/")
    for answer in (refused, stranger.get(links[-1]), stranger.get("/static/page.css"), stranger.get("/nowhere")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
    assert refused.status_code == 401


def test_no_documentation_pages_are_served(browser: httpx.Client) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert browser.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/thumb/..%2f..%2frun",
     "/thumb/0", "/large/sub%2f0000.png", "/attention/0/0", "/api/image/0"],
)  # fmt: skip
def test_no_path_leads_out(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 404
