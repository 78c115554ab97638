from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tagweave.console import Console
from tagweave.review.desk import Desk


def tiles(browser: httpx.Client, label: str = "cat", queue: str = "uncertain", **question: Any) -> dict[str, Any]:
    answer = browser.get("/api/tiles", params={"label": label, "queue": queue, **question})
    assert answer.status_code == 200, answer.text
    return answer.json()


def places(answer: dict[str, Any]) -> list[int]:
    return [int(tile["name"][4:8]) for tile in answer["tiles"]]


def change(desk: Desk, value: str, *rows: int, label: str = "cat", touched: bool = True) -> dict[str, Any]:
    return {"label": label, "value": value, "images": [desk.ids[row] for row in rows], "touched": touched}


def test_state_names_labels_and_queues(browser: httpx.Client) -> None:
    told = browser.get("/api/state").json()
    assert told["labels"] == [{"key": n, "name": n, "decided": 0} for n in ("cat", "dog")]
    assert told["queues"] == ["uncertain", "disagreement", "errors", "diverse", "audit"]
    assert (told["images"], told["network"], told["points"]) == (10, True, False)


def test_queues_hold_the_images_that_the_scores_say(browser: httpx.Client) -> None:
    assert places(tiles(browser)) == [9, 6, 7, 5, 8, 4]
    assert places(tiles(browser, queue="disagreement"))[:4] == [8, 5, 6, 9]
    assert places(tiles(browser, queue="errors")) == [0, 3, 2, 1]
    assert sorted(places(tiles(browser, queue="audit"))) == [4, 6, 8]
    assert 3 in places(tiles(browser, label="dog"))  # the one label of the image that nobody gave


def test_a_tile_says_scores_source_and_proposal(browser: httpx.Client) -> None:
    by_place = {
        int(tile["name"][4:8]): tile for tile in tiles(browser)["tiles"] + tiles(browser, queue="errors")["tiles"]
    }
    four, three = by_place[4], by_place[3]
    assert (four["graph"], four["network"], four["source"], four["proposed"]) == (0.8999, 0.9502, "propagated", "yes")
    assert (three["graph"], three["network"], three["source"], three["proposed"]) == (None, 0.7998, "given", "no")


def test_a_queue_keeps_its_order_while_it_is_worked_through(browser: httpx.Client, post: Any, desk: Desk) -> None:
    first = tiles(browser, limit=2)
    post("/api/decide", label="cat", queue="uncertain", changes=[change(desk, "yes", *places(first))])
    second = tiles(browser, snapshot=first["snapshot"], offset=2, limit=2)
    assert places(first) + places(second) == [9, 6, 7, 5]
    again = tiles(browser, snapshot=first["snapshot"], limit=2)
    assert [tile["decided"] for tile in again["tiles"]] == ["yes", "yes"]
    assert places(tiles(browser)) == [7, 5, 8, 4]  # a new order leaves out what is decided


def test_an_unknown_label_queue_or_image_is_told(browser: httpx.Client, post: Any, desk: Desk) -> None:
    answer = browser.get("/api/tiles", params={"label": "cow", "queue": "uncertain"})
    assert (answer.status_code, answer.json()["error"]) == (422, "Expected one of the 2 labels, but got 'cow'.")
    answer = browser.get("/api/tiles", params={"label": "cat", "queue": "x"})
    assert "Expected a queue of uncertain, disagreement, errors, diverse, audit, but got 'x'." in answer.text
    bad = {"label": "cat", "value": "yes", "images": ["nothing"], "touched": True}
    status, text = post("/api/decide", label="cat", changes=[change(desk, "yes", 4), bad])
    assert status == 422
    assert "Expected images of this run" in text
    assert post("/api/decide", label="cat", changes=[{**bad, "value": "maybe"}])[0] == 422
    assert browser.get("/api/pulse", params={"window": "window-one"}).json()["decisions"] == 0


def test_an_untouched_accept_never_changes_what_another_window_decided(post: Any, desk: Desk) -> None:
    post("/api/decide", window="window-one", label="cat", changes=[change(desk, "no", 4)])
    told = post("/api/decide", window="window-two", label="cat", changes=[change(desk, "yes", 4, 5, touched=False)])
    assert told["cells"] == 1
    assert desk.ledger.column("cat", np.array([4, 5])).values.tolist() == [False, True]
    told = post("/api/decide", window="window-two", label="cat", changes=[change(desk, "yes", 4)])
    assert told["cells"] == 1
    assert desk.ledger.column("cat", np.array([4, 5])).values.tolist() == [True, True]


def test_a_decision_changes_no_other_label_of_the_image(post: Any, desk: Desk) -> None:
    post("/api/decide", label="cat", changes=[change(desk, "no", 0, 1)])
    dog = desk.ledger.column("dog", np.array([0, 1]))
    assert (dog.values.tolist(), dog.known.tolist(), dog.decided.any()) == ([False, True], [True, True], False)


def test_undo_goes_on_after_a_restart(post: Any, desk: Desk, run: Path) -> None:
    for row in (4, 5, 6):
        post("/api/decide", label="cat", changes=[change(desk, "yes", row)])
    again = Desk(run, Console(quiet=True))
    undone = again.undo("window-one", "after-restart", "cat")
    assert (undone["undone"]["label"], undone["cells"], undone["decisions"]) == ("cat", 1, 2)
    again.close()
    later = Desk(run, Console(quiet=True))
    assert later.undo("window-new", "another-one", "cat")["decisions"] == 1  # the old window is closed
    assert later.ledger.decided_rows("cat").tolist() == [4]
    later.close()


def test_undo_in_a_new_window_leaves_open_windows_alone(post: Any, desk: Desk) -> None:
    post("/api/decide", window="window-one", label="cat", changes=[change(desk, "yes", 4)])
    assert post("/api/undo", window="window-two")["undone"] is None
    assert post("/api/undo", window="window-one")["undone"]["kind"] == "decide"


def test_two_desks_see_each_others_decisions(desk: Desk, run: Path) -> None:
    other = Desk(run, Console(quiet=True))
    other.create("window-two", "gesture-a", "fox")
    other.close()
    assert [label["key"] for label in desk.state()["labels"]] == ["cat", "dog", "fox"]


def test_labels_are_made_renamed_merged_and_taken_back(post: Callable[..., Any], desk: Desk) -> None:
    assert post("/api/labels/create", name="fox ")["key"] == "fox"
    assert post("/api/labels/create", name="FOX")[0] == 422
    post("/api/decide", label="fox", changes=[change(desk, "yes", 5, label="fox")])
    post("/api/labels/rename", key="fox", name="red fox")
    assert desk.ledger.vocabulary.names == {"cat": "cat", "dog": "dog", "fox": "red fox"}
    assert post("/api/labels/merge", key="fox", into="fox") == (
        422, '{"error":"Expected two labels to merge, but both are the same."}',
    )  # fmt: skip
    post("/api/labels/merge", key="fox", into="dog")
    assert desk.ledger.column("dog", np.array([5])).values.tolist() == [True]
    kinds = [post("/api/undo")["undone"]["kind"] for _ in range(4)]
    assert kinds == ["merge", "rename", "decide", "create"]
    assert list(desk.ledger.vocabulary.names) == ["cat", "dog"]


def test_a_merged_label_has_the_higher_score_and_either_given_label(browser: httpx.Client, post: Any) -> None:
    post("/api/labels/merge", key="dog", into="cat")
    told = tiles(browser, queue="disagreement")["tiles"]
    assert {tile["name"][4:8]: tile["network"] for tile in told}["0008"] == pytest.approx(0.9, abs=1e-3)
    assert sorted(places(tiles(browser, queue="errors"))) == [0, 1, 2]  # of image 3 one half is unknown


def test_the_audit_tells_its_precision(browser: httpx.Client, post: Any, desk: Desk) -> None:
    order = places(tiles(browser, queue="audit"))
    decide = {"label": "cat", "queue": "audit"}
    post("/api/decide", **decide, changes=[change(desk, "yes", order[0])])
    told = post("/api/decide", **decide, changes=[change(desk, "no", order[1])])
    assert {k: told["audit"][k] for k in ("claims", "judged", "right")} == {"claims": 3, "judged": 2, "right": 1}
    assert told["audit"]["low"] == pytest.approx(1 - told["audit"]["high"])
    assert post("/api/undo", label="cat")["audit"]["judged"] == 1


def test_whole_images_are_judged_once(browser: httpx.Client, post: Any, desk: Desk) -> None:
    before = tiles(browser, label="")
    assert before["total"] == 7
    row = places(before)[0]
    changes = [change(desk, "yes", row), change(desk, "no", row, label="dog")]
    told = post("/api/decide", label="", queue="uncertain", changes=changes)
    assert (told["cells"], told["decided"]) == (2, 1)
    assert row not in places(tiles(browser, label=""))


def test_pictures_are_made_once_and_named_opaquely(browser: httpx.Client, desk: Desk, run: Path) -> None:
    name = desk.ids[3]
    first = browser.get(f"/thumb/{name}")
    assert first.headers["content-type"] == "image/jpeg"
    assert "immutable" in first.headers["cache-control"]
    (desk.manifest.root / desk.manifest.paths[3]).unlink()
    assert browser.get(f"/thumb/{name}").content == first.content
    answer = browser.get(f"/large/{name}")
    assert (answer.status_code, answer.json()["error"]) == (
        404, "The image could not be read: No such file or directory.",
    )  # fmt: skip


def test_the_label_file_is_offered(browser: httpx.Client, post: Any, desk: Desk) -> None:
    post("/api/decide", label="cat", changes=[change(desk, "yes", 5), change(desk, "unsure", 6)])
    answer = browser.get("/api/export/decisions.csv")
    assert answer.text == "image,cat,dog\nsub/0005.png,1,\n"
    assert answer.headers["content-disposition"] == 'attachment; filename="decisions.csv"'
    assert browser.get("/api/export/secrets.csv").status_code == 422


def test_errors_are_sought_by_what_never_saw_the_labels(desk: Desk, run: Path) -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.6], [0.7, 0.8], [0.3, 0.5]])
    np.savez(run / "unseen.npz", rows=np.arange(4), probabilities=probabilities, names=np.array(["cat", "dog"]))
    again = Desk(run, Console(quiet=True))
    told = again.tiles("cat", "errors", "", 0, 10)
    assert [(int(tile["name"][4:8]), tile["judge"]) for tile in told["tiles"]] == [
        (2, 0.7002), (1, 0.2), (3, 0.3), (0, 0.8999),
    ]  # fmt: skip
    assert again.tiles("cat", "uncertain", "", 0, 1)["tiles"][0]["judge"] is None
    again.close()


def test_redo_does_again_what_was_undone(post: Any, desk: Desk, run: Path) -> None:
    for row in (4, 5, 6):
        post("/api/decide", label="cat", changes=[change(desk, "yes", row)])
    for _ in range(2):
        post("/api/undo", label="cat")
    told = post("/api/redo", label="cat")
    assert (told["redone"]["kind"], told["cells"], told["decisions"]) == ("decide", 1, 2)
    assert desk.ledger.decided_rows("cat").tolist() == [4, 5]
    again = Desk(run, Console(quiet=True))  # a restart between
    assert again.redo("window-one", "gesture-x", "cat")["decisions"] == 3
    assert again.redo("window-one", "gesture-y", "cat")["redone"] is None
    assert again.undo("window-one", "gesture-z", "cat")["decisions"] == 2
    assert again.ledger.decided_rows("cat").tolist() == [4, 5]
    again.close()


def test_something_new_ends_what_can_be_redone(post: Any, desk: Desk) -> None:
    post("/api/decide", label="cat", changes=[change(desk, "yes", 4)])
    post("/api/undo", label="cat")
    post("/api/decide", label="cat", changes=[change(desk, "no", 5)])
    assert post("/api/redo", label="cat")["redone"] is None
    assert desk.ledger.decided_rows("cat").tolist() == [5]


def test_redo_leaves_open_windows_alone_and_follows_closed_ones(post: Any, desk: Desk, run: Path) -> None:
    post("/api/labels/create", name="fox")
    post("/api/undo")
    assert post("/api/redo", window="window-two")["redone"] is None
    later = Desk(run, Console(quiet=True))  # window-one is closed now
    assert later.redo("window-new", "gesture-x", "")["redone"] == {"kind": "create", "label": "fox", "detail": ""}
    assert "fox" in later.ledger.vocabulary.names
    later.close()
