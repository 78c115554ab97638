"""The command as a process: the client's example, load, a stop in the middle that loses nothing."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from drawn import NAMES, Drawn
from serve.fakes import part
from tagweave.api import Run
from tagweave.errors import InputError
from tagweave.serve import commands
from tagweave.serve.commands import serve
from tagweave.serve.server import _listen

CLIENT = Path(__file__).parents[2] / "examples" / "serve_client.py"
COMMAND = "import sys, typer; from tagweave.serve.commands import serve; typer.run(serve)"


@contextmanager
def serving(run: Run) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command on a free port; yield the process and its address."""
    words = [sys.executable, "-c", COMMAND, str(run.folder), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert found, process.stderr.read()
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.slow
def test_the_example_client(drawn: Drawn, finished: Run) -> None:
    files = sorted(drawn.images.iterdir())[:5]
    with serving(finished) as (process, url):
        words = [sys.executable, str(CLIENT), *map(str, files), "--url", url]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    scored = finished.predict(files)
    told = [f"{file}\t{';'.join(labels)}" for file, labels in zip(scored.images, scored.labels(), strict=True)]
    assert done.stdout.splitlines() == told


@pytest.mark.slow
def test_a_stop_in_the_middle_loses_nothing(drawn: Drawn, finished: Run) -> None:
    files = sorted(drawn.images.iterdir())
    expected = finished.predict(files).probabilities
    body = [part(file.name, file.read_bytes()) for file in files]

    async def rush(process: subprocess.Popen[str], url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            posts = [asyncio.create_task(client.post("/predict", files=body)) for _ in range(4)]
            while (await client.get("/health")).json()["waiting_images"] < 4 * len(body) / 2:
                assert not all(post.done() for post in posts)
            process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*posts)

    with serving(finished) as (process, url):
        answers = asyncio.run(rush(process, url))
        assert process.wait(20) == 0
    for answer in answers:
        rows = [[result["probabilities"][name] for name in NAMES] for result in answer.json()["results"]]
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)


@pytest.mark.bench
def test_eight_clients(drawn: Drawn, finished: Run) -> None:
    files = [file for file in sorted(drawn.images.iterdir()) for _ in range(8)]
    seconds: list[float] = []

    async def client(http: httpx.AsyncClient, todo: list[Path]) -> None:
        while todo:
            file, began = todo.pop(), time.perf_counter()
            answer = await http.post("/predict", files=[part(file.name, file.read_bytes())])
            assert answer.status_code == 200
            seconds.append(time.perf_counter() - began)

    async def load(url: str, todo: list[Path]) -> float:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            began = time.perf_counter()
            await asyncio.gather(*(client(http, todo) for _ in range(8)))
            return time.perf_counter() - began

    began = time.perf_counter()
    for file in files[:100]:
        finished.predict(file)
    alone = 100 / (time.perf_counter() - began)
    with serving(finished) as (_, url):
        rate = len(files) / asyncio.run(load(url, list(files)))
    low, high = 1000 * np.percentile(seconds, [50, 95])
    print(f"one at a time {alone:.0f}/s; 8 clients {rate:.0f}/s, p50 {low:.0f} ms, p95 {high:.0f} ms")


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^Expected to listen on 127\.0\.0\.1:{port}, but got: .*in use; try "):
            _listen("127.0.0.1", port)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands, "NEEDED", ("fastapi", "no_such_module"))
    with pytest.raises(InputError, match=r"^Expected no_such_module to serve with, but not installed; pip install "):
        serve(tmp_path)
