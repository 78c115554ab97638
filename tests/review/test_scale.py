"""Speed at 100,000 images and 1,000 labels; prints its figures (pytest -m bench -s tests/review/test_scale.py)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from fastapi.testclient import TestClient
from hand_made import ORIGIN, PORT
from PIL import Image

from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.graph.pseudo_labels import PseudoLabels
from tagweave.review.app import build_app
from tagweave.review.desk import Change, Desk
from tagweave.review.guard import Access
from tagweave.steps.stored import save_collection
from tagweave.tables import write_labels, write_predictions

IMAGES, LABELS, PICTURES = 100_000, 1_000, 60


def write_run(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    pictures, run = folder / "pictures", folder / "run"
    pictures.mkdir(parents=True)
    run.mkdir()
    paths = tuple(f"{number:06d}.jpg" for number in range(IMAGES))
    noise = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    for number in range(PICTURES):
        Image.fromarray(noise).resize((1600, 1200)).save(pictures / paths[number], quality=85)
    digests = tuple(f"{number:032x}" for number in range(IMAGES))
    sizes, splits = np.full((IMAGES, 2), 1200, dtype=np.int32), np.full(IMAGES, "train")
    manifest = Manifest(pictures, paths, digests, sizes, splits)
    names = tuple(f"label {number:04d}" for number in range(LABELS))
    known = np.zeros((IMAGES, LABELS), dtype=bool)
    known[::10] = True
    labels = LabelMatrix(rng.random((IMAGES, LABELS), dtype=np.float32) < 0.01, known, names)
    save_collection(run, manifest, labels)
    scores = rng.random((IMAGES, LABELS), dtype=np.float32) ** 6
    nothing = np.zeros((IMAGES, LABELS), dtype=bool)
    spread = PseudoLabels(scores > 0.9, nothing, np.full(LABELS, 0.9))
    write_labels(run / "labels.parquet", manifest, labels, spread, scores)
    write_predictions(run / "predictions.parquet", manifest, names, scores**1.2)
    points = rng.normal(size=(IMAGES, 64)).astype(np.float16)
    (run / "review").mkdir()
    np.save(run / "review" / "points.npy", points / np.linalg.norm(points, axis=1, keepdims=True))
    return run


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return round(time.perf_counter() - began, 3), result


def measure(run: Path) -> dict[str, float]:
    """Time what a person waits for, in a process of its own, so that its memory is the server's."""
    figures: dict[str, float] = {}
    figures["later start"], desk = timed(lambda: Desk(run, Console(quiet=True)))
    desk.cells = replace(desk.cells, points=np.load(run / "review" / "points.npy"))  # a run's own come from its records
    desk.points = desk.cells.points
    links: list[str] = []
    browser = TestClient(build_app(desk, Access(PORT, links.append)), base_url=ORIGIN)

    def first_page() -> Any:
        assert browser.get(links[0]).status_code == 200
        assert browser.get("/api/state").status_code == 200
        return browser.get("/api/tiles", params={"label": "label 0500", "queue": "uncertain"}).json()

    figures["first page"], page = timed(first_page)
    figures["60 thumbnails"], _ = timed(lambda: [browser.get(f"/thumb/{desk.ids[n]}") for n in range(PICTURES)])
    for queue in ("uncertain", "disagreement", "errors", "diverse", "audit"):
        question = {"label": "label 0007", "queue": queue}
        figures[queue], told = timed(lambda question=question: browser.get("/api/tiles", params=question).json())
        question |= {"snapshot": told["snapshot"], "offset": max(0, told["total"] - 60)}
        figures[f"{queue}, end"], _ = timed(lambda question=question: browser.get("/api/tiles", params=question))
    figures["image, all labels"], _ = timed(lambda: browser.get(f"/api/image/{desk.ids[5]}"))
    figures["whole images"], _ = timed(lambda: browser.get("/api/tiles", params={"queue": "uncertain"}))
    shown = tuple(tile["id"] for tile in page["tiles"])
    change = [Change("label 0500", "yes", shown, True)]
    figures["decide 60"], _ = timed(lambda: desk.decide("window", "gesture", "uncertain", "label 0500", change))
    figures["pulse"], _ = timed(lambda: desk.pulse("window", "label 0500"))
    figures["undo"], _ = timed(lambda: desk.undo("window", "gesture-2", "label 0500"))
    memory = psutil.Process().memory_info()
    figures["memory, GB"] = round((memory.rss - memory.shared) / 1e9, 2)  # mapped files are the system's to take back
    desk.close()
    return figures


@pytest.mark.bench
def test_first_page_within_a_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path)
    first, desk = timed(lambda: Desk(run, Console(quiet=True)))
    desk.close()
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        figures = {"first start": first, **process.submit(measure, run).result()}
    with capsys.disabled():
        print(json.dumps(figures, indent=1))
    assert figures["first page"] < 1.0
    assert figures["later start"] < 5.0
    assert figures["memory, GB"] < 1.0
