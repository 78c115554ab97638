"""What strangers and damaged files may try: bodies, ids, names and images that no page of ours makes."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hand_made import NAMES, ORIGIN, PORT, write_run

from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.graph.pseudo_labels import PseudoLabels
from tagweave.review.app import build_app
from tagweave.review.desk import MOST_CELLS, Desk
from tagweave.review.guard import MAX_BODY, Access
from tagweave.steps.stored import save_collection
from tagweave.tables import write_labels

HEADERS = {"Origin": ORIGIN, "Content-Type": "application/json"}
SCRIPT = "<script>alert(1)</script>"
CHANGES = ("/api/decide", "/api/undo", "/api/redo", "/api/labels/create", "/api/labels/rename", "/api/labels/merge")


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"window": 3}', b'{"window": "window-one", "gesture": "g"}',
     b'{"window": "../../etc", "gesture": "gesture-1"}', b"[" * 5000, b'{"a":' * 5000,
     b'{"window": "window-one", "gesture": "gesture-1", "label": "cat", "extra": 1}'],
)  # fmt: skip
def test_malformed_bodies_are_refused_and_leave_nothing(
    browser: httpx.Client, desk: Desk, path: str, body: bytes
) -> None:
    answer = browser.post(path, content=body, headers=HEADERS)
    assert answer.status_code in (400, 422), answer.text  # 400: nested too deep to parse
    assert desk.log.since(0) == []


def test_bodies_over_the_limit_are_refused(browser: httpx.Client) -> None:
    answer = browser.post("/api/decide", content=b" " * (MAX_BODY + 1), headers=HEADERS)
    assert (answer.status_code, answer.text) == (413, f"Expected at most {MAX_BODY} bytes.")


def test_a_body_without_a_length_is_refused(desk: Desk) -> None:
    """As a stream sends it: its end cannot be known before it was read."""
    access = Access(PORT, lambda link: None)
    cookie = access.set_cookie.partition(";")[0].encode()
    headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"origin", ORIGIN.encode()), (b"cookie", cookie),
               (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]  # fmt: skip
    scope = {"type": "http", "method": "POST", "path": "/api/decide", "query_string": b"", "headers": headers}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(build_app(desk, access)(scope, receive, send))
    assert sent[0]["status"] == 411


def test_more_decisions_than_any_page_holds_are_refused(browser: httpx.Client, desk: Desk) -> None:
    images = [desk.ids[4]] * (MOST_CELLS + 1)
    changes = [{"label": "cat", "value": "yes", "images": images, "touched": True}]
    body = {"window": "window-one", "gesture": "gesture-1", "label": "cat", "changes": changes}
    answer = browser.post("/api/decide", json=body, headers={"Origin": ORIGIN})
    assert answer.status_code == 422
    assert answer.json()["error"] == f"Expected at most {MOST_CELLS:,} decisions at once."


@pytest.mark.parametrize("name", ["../given", "..%2F..%2Fgiven.npz", "/etc/passwd", "sub/0000.png", "\0", "a" * 5000])
@pytest.mark.parametrize("place", ["/thumb/{}", "/large/{}", "/api/image/{}", "/attention/{}/0"])
def test_ids_lead_to_no_file(browser: httpx.Client, place: str, name: str) -> None:
    answer = browser.get(place.format(name.replace("\0", "%00")))
    assert answer.status_code == 404
    assert b"root:" not in answer.content


def test_a_decision_about_a_path_is_refused(browser: httpx.Client, desk: Desk) -> None:
    for image in ("sub/0004.png", "../x", ""):
        changes = [{"label": "cat", "value": "yes", "images": [image], "touched": True}]
        body = {"window": "window-one", "gesture": "gesture-1", "label": "cat", "changes": changes}
        assert browser.post("/api/decide", json=body, headers={"Origin": ORIGIN}).status_code == 422
    assert desk.log.since(0) == []


def test_an_image_that_is_none_is_told_and_the_others_are_shown(browser: httpx.Client, desk: Desk) -> None:
    (desk.manifest.root / desk.manifest.paths[2]).write_bytes(b"<svg onload=alert(1)>" * 50)
    answer = browser.get(f"/thumb/{desk.ids[2]}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert browser.get(f"/thumb/{desk.ids[3]}").status_code == 200


def test_a_link_out_of_the_image_folder_is_not_followed(browser: httpx.Client, desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    inside = desk.manifest.root / desk.manifest.paths[2]
    inside.rename(outside)
    inside.symlink_to(outside)
    answer = browser.get(f"/thumb/{desk.ids[2]}")
    assert (answer.status_code, answer.json()["error"]) == (404, "The image lies outside the image folder.")


def hostile_run(folder: Path) -> Path:
    """Write a run whose label and file names are markup and formulas."""
    run = write_run(folder)
    manifest = Manifest.load(run / "manifest.parquet")
    root = folder / "pictures"
    paths = [*manifest.paths]
    paths[5] = f"sub/{SCRIPT.replace('/', '_')}.png"
    (root / manifest.paths[5]).rename(root / paths[5])
    manifest = Manifest(manifest.root, tuple(paths), manifest.digests, manifest.sizes, manifest.splits)
    with np.load(run / "given.npz") as stored:
        labels = LabelMatrix(stored["values"], stored["known"], ("<img src=x onerror=alert(1)>", NAMES[1]))
    save_collection(run, manifest, labels)
    nothing = np.zeros_like(labels.values)
    write_labels(
        run / "labels.parquet", manifest, labels, PseudoLabels(nothing, nothing, np.full(2, 0.5)), nothing.astype(float)
    )
    (run / "predictions.parquet").unlink()
    return run


def test_markup_in_names_stays_text_in_every_answer(tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    desk = Desk(run, Console(quiet=True))
    state, tile = desk.state(), desk.image(desk.ids[5])
    assert state["labels"][0]["name"] == "<img src=x onerror=alert(1)>"
    assert SCRIPT.replace("/", "_") in tile["name"]
    lines = list(csv.reader("".join(desk.lines("all")).splitlines()))
    assert lines[0] == ["image", "<img src=x onerror=alert(1)>", "dog", "split"]
    desk.close()
