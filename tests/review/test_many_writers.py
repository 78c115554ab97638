"""Several clients at once over HTTP, and a server that is killed while they write."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hand_made import write_run
from served import Served

EACH = 1000


def visitor(served: Served) -> httpx.Client:
    """Return a client with the cookie; the link's token is good once."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60)
    assert client.get(served.next_link()).status_code == 200
    client.headers["Origin"] = f"http://127.0.0.1:{served.port}"
    return client


def ids_of(client: httpx.Client) -> list[str]:
    told = client.get("/api/tiles", params={"label": "cat", "queue": "uncertain", "limit": 400}).json()
    return [tile["id"] for tile in told["tiles"]]


def decide(client: httpx.Client, window: str, number: int, image: str) -> httpx.Response:
    changes = [{"label": "cat", "value": ("yes", "no")[number % 2], "images": [image], "touched": True}]
    body = {"window": window, "gesture": f"{window}-{number:06d}", "label": "cat", "changes": changes}
    return client.post("/api/decide", json=body)


def gestures(run: Path) -> list[str]:
    with sqlite3.connect(run / "review.sqlite") as log:
        return [row[0] for row in log.execute("SELECT gesture FROM events ORDER BY number")]


@pytest.mark.slow
def test_two_clients_write_a_thousand_decisions_each(tmp_path: Path) -> None:
    run = write_run(tmp_path, images=200)
    served = Served(run)
    clients = {name: visitor(served) for name in ("window-left", "window-right")}
    faults: list[str] = []

    def work(name: str) -> None:
        images = ids_of(clients[name])
        for number in range(EACH):
            answer = decide(clients[name], name, number, images[number % len(images)])
            if answer.status_code != 200:
                faults.append(answer.text)

    workers = [threading.Thread(target=work, args=(name,)) for name in clients]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    served.end()
    assert faults == []
    found = gestures(run)
    assert len(found) == len(set(found)) == 2 * EACH
    with sqlite3.connect(run / "review.sqlite") as log:
        assert log.execute("SELECT count(*) FROM cells").fetchone()[0] == 2 * EACH
        assert log.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.slow
def test_a_killed_server_keeps_every_decision_that_it_acknowledged(tmp_path: Path) -> None:
    """Killed three times in the middle of commits; what was not answered is sent again, as the page does."""
    run = write_run(tmp_path, images=2000)  # more than are decided: the queue never runs dry
    acknowledged: list[str] = []
    unanswered = None
    number = 0
    for life in range(4):
        served = Served(run)
        client = visitor(served)
        images = ids_of(client)
        last = life == 3
        killer = threading.Timer(random.Random(life).uniform(0.2, 0.6), os.kill, (served.process.pid, signal.SIGKILL))
        if not last:
            killer.start()
        until = time.monotonic() + 5
        try:
            while time.monotonic() < until and not (last and unanswered is None and number > 400):
                wanted = number if unanswered is None else unanswered
                answer = decide(client, "window-one", wanted, images[wanted % len(images)])
                assert answer.status_code == 200
                acknowledged.append(f"window-one-{wanted:06d}")
                unanswered, number = None, max(number, wanted + 1)
        except httpx.TransportError:
            unanswered = number
        if last:
            served.end()
        else:
            served.process.wait(10)
            assert unanswered is not None
    found = Counter(gestures(run))
    assert set(acknowledged) == set(found)
    assert set(found.values()) == {1}
    assert len(found) > 20
