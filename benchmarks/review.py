"""Latency and memory of the review page's server on a large collection, over HTTP as a browser asks.

The images are small JPEG files under 100,000 names; every thumbnail is made when it is asked for the first time.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from measure import print_json, say, timed
from PIL import Image

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.graph.pseudo_labels import PseudoLabels
from tagweave.steps.stored import save_collection
from tagweave.tables import write_labels, write_predictions

LABELS = 20
PICTURES = 200  # distinct ones; each lies under many names
SIDE = 96
KNOWN = 0.1  # share of the images with given labels
PAGE = 60  # tiles of one answer, as the page asks
QUEUES = ("uncertain", "disagreement", "errors", "audit")
COMMAND = "from tagweave.cli import main; main()"


def write_run(folder: Path, images: int) -> Path:
    """Write a run folder of ``images`` with random scores, as ``fit`` leaves it."""
    generator = np.random.default_rng(0)
    pictures, run = folder / "pictures", folder / "run"
    run.mkdir(parents=True)
    paths = tuple(f"{number // 1000:04d}/{number % 1000:03d}.jpg" for number in range(images))
    _write_pictures(pictures, paths, generator)
    manifest = Manifest(
        pictures, paths, tuple(f"{number:032x}" for number in range(images)),
        np.full((images, 2), SIDE, dtype=np.int32), np.full(images, "train"),
    )  # fmt: skip
    names = tuple(f"label {number:02d}" for number in range(LABELS))
    known = np.repeat(generator.random((images, 1)) < KNOWN, LABELS, axis=1)
    truth = generator.random((images, LABELS)) < 0.1
    labels = LabelMatrix(truth, known, names)
    scores = np.clip(0.7 * truth + 0.3 * generator.random((images, LABELS)), 0, 1)
    accepted = PseudoLabels((scores > 0.8) & ~known, np.zeros_like(known), np.full(LABELS, 0.8))
    save_collection(run, manifest, labels)
    write_labels(run / "labels.parquet", manifest, labels, accepted, scores)
    write_predictions(run / "predictions.parquet", manifest, names, scores**1.1)
    rows = np.flatnonzero(known.any(axis=1))
    np.savez(run / "unseen.npz", rows=rows, probabilities=scores[rows].astype(np.float16), names=np.array(names))
    return run


def _write_pictures(root: Path, paths: tuple[str, ...], generator: np.random.Generator) -> None:
    (root / "source").mkdir(parents=True)
    for number in range(min(PICTURES, len(paths))):
        noise = generator.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((SIDE, SIDE)).save(root / "source" / f"{number}.jpg")
    for folder in sorted({path.split("/")[0] for path in paths}):
        (root / folder).mkdir()
    for number, path in enumerate(paths):
        os.link(root / "source" / f"{number % PICTURES}.jpg", root / path)


class Server:
    """Run ``tagweave review`` in a process of its own and talk to it."""

    def __init__(self, run: Path) -> None:
        words = [sys.executable, "-c", COMMAND, "review", str(run), "--port", "0", "--quiet", "--no-browser"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        link = self.process.stdout.readline().split()[-1]
        origin = link.partition("/?")[0]
        self.client = httpx.Client(base_url=origin, headers={"Origin": origin}, timeout=60)
        self.client.get(link).raise_for_status()

    def memory_mib(self) -> dict[str, float]:
        """Return what is resident now and was at most, mapped files of the run included, and what is not shared."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = {
            line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM", "VmRSS", "Rss"))
        }
        return {
            "resident": round(found["VmRSS"] / 1024, 1), "peak": round(found["VmHWM"] / 1024, 1),
            "own": round(found["RssAnon"] / 1024, 1),
        }  # fmt: skip

    def end(self) -> None:
        """Stop as control-C does."""
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


def latencies(ask: Callable[[int], httpx.Response], times: int) -> dict[str, float]:
    """Return milliseconds at the median, at the 99th percentile and at most of ``times`` requests."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        answer = ask(number)
        taken.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
    p50, p99 = np.percentile(taken, [50, 99])
    return {"requests": times, "p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "most_ms": round(max(taken), 2)}


def measure(client: httpx.Client, times: int) -> dict[str, Any]:
    """Return latencies of what a person waits for."""
    generator = np.random.default_rng(1)
    question = {"label": "label 03", "queue": "uncertain", "limit": str(PAGE)}
    first = client.get("/api/tiles", params=question).json()

    def new_queue(number: int) -> httpx.Response:
        label, queue = f"label {number % LABELS:02d}", QUEUES[number % len(QUEUES)]
        return client.get("/api/tiles", params={"label": label, "queue": queue, "limit": str(PAGE)})

    def next_page(number: int) -> httpx.Response:
        offset = int(generator.integers(0, max(1, first["total"] - PAGE)))
        return client.get("/api/tiles", params={**question, "snapshot": first["snapshot"], "offset": str(offset)})

    pages = [next_page(number).json()["tiles"] for number in range(max(8, times // PAGE + 1))]
    shown = list(dict.fromkeys(tile["id"] for page in pages for tile in page))
    made = latencies(lambda n: client.get(f"/thumb/{shown[n]}"), min(times, len(shown)))
    kept = latencies(lambda n: client.get(f"/thumb/{shown[n]}"), min(times, len(shown)))

    def decide(number: int) -> httpx.Response:
        images = [tile["id"] for tile in pages[number % len(pages)]]
        changes = [{"label": "label 03", "value": ("yes", "no")[number % 2], "images": images, "touched": True}]
        body = {"window": "bench-window", "gesture": f"bench-{number:08d}", "label": "label 03", "changes": changes}
        return client.post("/api/decide", json=body)

    return {
        "new queue, first page": latencies(new_queue, times), "next page": latencies(next_page, times),
        "thumbnail, made": made, "thumbnail, kept": kept,
        f"decision on {PAGE} images": latencies(decide, times),
        "whole image": latencies(lambda n: client.get(f"/api/image/{shown[n % len(shown)]}"), times),
        "state": latencies(lambda n: client.get("/api/state"), times // 4),
    }  # fmt: skip


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--quick", action="store_true", help="2,000 images and 20 requests, to try the script")
    words = parser.parse_args()
    images, times = (2_000, 20) if words.quick else (words.images, words.requests)
    seconds: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        say(f"writing a run of {images:,} images")
        run = write_run(Path(folder), images)
        timed(seconds, "first start", lambda: Server(run).end())
        server = timed(seconds, "later start", Server, run)
        try:
            before = server.memory_mib()
            found = measure(server.client, times)
            after = server.memory_mib()
        finally:
            server.end()
    print_json(
        {"images": images, "labels": LABELS, "seconds": seconds, "latency": found,
         "memory_mib": {"at the start": before, "at the end": after}}
    )  # fmt: skip


if __name__ == "__main__":
    main()
