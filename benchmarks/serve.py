"""Measure ``tagweave serve`` on loopback: many clients against a plain loop, bad input, hostile images, memory.

The loop scores the same bytes one image at a time in one process, with neither HTTP nor batches.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from measure import print_json, say

CLIENTS, REQUESTS, QUICK_REQUESTS = 32, 2000, 200
BOUNDARY = "tagweave-benchmark"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
COMMAND = "import sys; from tagweave.cli import main; main()"


def make_run(folder: Path) -> Path:
    """Return a run with the default encoder over drawn scenes, trained for one epoch: speed does not ask for more."""
    from tagweave import fit
    from tagweave.data.demo import write_demo

    files = write_demo(folder / "data", images=160)
    return fit(files.images, files.labels, out=folder / "run", quiet=True, train={"epochs": 1}).folder


def photographs(run: Path, number: int = 64) -> list[bytes]:
    """Return images of the run as files."""
    from tagweave.data.manifest import Manifest

    manifest = Manifest.load(run / "manifest.parquet")
    return [manifest.file(row).read_bytes() for row in range(min(number, len(manifest)))]


@contextmanager
def serving(run: Path) -> Iterator[tuple[int, int]]:
    """Start the command on a free port; yield its port and process number."""
    words = [sys.executable, "-c", COMMAND, "serve", str(run), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert found, "the server said nothing of its address"
            yield int(found[1]), process.pid
        finally:
            process.terminate()
            process.wait(30)


def form(content: bytes, name: str = "image.jpg") -> bytes:
    """Return a form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n'
    return (
        f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    )


def ask(connection: http.client.HTTPConnection, body: bytes, kind: str = FORM) -> int:
    """Send one request over a kept connection; return the status."""
    connection.request("POST", "/predict", body, {"Content-Type": kind})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def load(port: int, bodies: Sequence[bytes], requests: int, clients: int) -> dict[str, Any]:
    """Send ``requests`` from ``clients`` at once, each as soon as its last one was answered."""
    numbers, seconds, statuses = count(), [], Counter[int]()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (number := next(numbers)) < requests:
            began = time.perf_counter()
            status = ask(connection, bodies[number % len(bodies)])
            seconds.append(time.perf_counter() - began)
            statuses[status] += 1
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
    wall = time.perf_counter() - began
    middle, high = 1000 * np.percentile(seconds, [50, 99])
    return {
        "clients": clients, "requests": requests, "statuses": {str(key): n for key, n in sorted(statuses.items())},
        "images_per_s": round(requests / wall, 1), "p50_ms": round(middle, 1), "p99_ms": round(high, 1),
    }  # fmt: skip


def plain_loop(run: Path, contents: Sequence[bytes], images: int) -> dict[str, Any]:
    """Score image after image, each on its own."""
    from tagweave.predict import Classifier
    from tagweave.serve.pictures import read_picture
    from tagweave.serve.scorer import Scorer

    scorer = Scorer(Classifier.load(run / "model"))
    seconds = []
    for number in range(images):
        began = time.perf_counter()
        scorer(read_picture(contents[number % len(contents)], scorer.size, 10**8).pixels[None])
        seconds.append(time.perf_counter() - began)
    middle, high = 1000 * np.percentile(seconds, [50, 99])
    rate = images / sum(seconds)
    return {
        "images": images, "images_per_s": round(rate, 1), "p50_ms": round(middle, 1), "p99_ms": round(high, 1),
    }  # fmt: skip


def bomb() -> bytes:
    """Return a small PNG that announces 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1_000_000)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def hostile(good: bytes) -> list[bytes]:
    """Return files that are no usable images."""
    random = np.random.default_rng(0).bytes(50_000)
    archive = b"PK\x03\x04" + random
    return [b"", b"no picture", random, good[: len(good) // 2], good[:40] + random, bomb(), archive, b"GIF89a" * 9]


def refusals(port: int) -> dict[str, int]:
    """Return the status of each kind of bad request."""
    connect: Callable[[], http.client.HTTPConnection] = lambda: http.client.HTTPConnection("127.0.0.1", port)  # noqa: E731
    large = connect()
    large.putrequest("POST", "/predict")
    for key, value in (("Content-Type", FORM), ("Content-Length", str(10**9))):
        large.putheader(key, value)
    large.endheaders()
    return {
        "announced a gigabyte": large.getresponse().status,
        "plain text": ask(connect(), b"hello", "text/plain"),
        "no image in the file": ask(connect(), form(b"no picture")),
        "no form": ask(connect(), b"hello"),
        "not JSON": ask(connect(), b"{", "application/json"),
    }


def resident_mib(process: int) -> float | None:
    """Return a process's resident memory; None where the system does not say."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return None
    return round(int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0]) / 1024, 1)


def measure(run: Path, requests: int, clients: int) -> dict[str, Any]:
    """Run all parts against one server."""
    contents = photographs(run)
    bodies = [form(content) for content in contents]
    say("plain loop")
    alone = plain_loop(run, contents, max(50, requests // 10))
    with serving(run) as (port, process):
        say("warm-up")
        load(port, bodies, requests // 4, clients)
        memory = {"after_warm_up": resident_mib(process)}
        say(f"{clients} clients, {requests} requests")
        served = load(port, bodies, requests, clients)
        memory["after_load"] = resident_mib(process)
        say("bad requests, hostile images")
        refused = refusals(port)
        bad = load(port, [form(content) for content in hostile(contents[0])], requests // 4, clients)
        memory["after_hostile"] = resident_mib(process)
        again = load(port, bodies, requests // 4, clients)
        memory["at_the_end"] = resident_mib(process)
    return {
        "cores": os.cpu_count(), "plain_loop": alone, "served": served, "refusals": refused, "hostile": bad,
        "served_after_hostile": again, "resident_mib": memory,
        "times_the_loop": round(served["images_per_s"] / alone["images_per_s"], 2),
    }  # fmt: skip


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run folder; one is made of drawn scenes when absent")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = given.run or make_run(Path(folder))
        print_json(measure(run, QUICK_REQUESTS if given.quick else given.requests, given.clients))


if __name__ == "__main__":
    main()
