"""Data sets whose labels are all known, for benchmarks that hide or change some: demo scenes, or a folder."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tagweave.benchmark.dataset import BenchmarkData, load_data
from tagweave.config import build_config
from tagweave.console import Console
from tagweave.graph.image_graph import GraphSettings
from tagweave.steps.outcome import graph_settings


def add_data(parser: argparse.ArgumentParser) -> None:
    """Let a script take ``--data`` with ``--labels``, or ``--demo`` with ``--images``."""
    parser.add_argument("--data", type=Path, help="folder of images, with --labels; demo scenes when absent")
    parser.add_argument("--labels", type=Path, help="label file with a split column")
    parser.add_argument("--demo", type=int, default=11, help="seed of the demo scenes")
    parser.add_argument("--images", type=int, default=1000, help="number of demo scenes")


def places(given: argparse.Namespace) -> tuple[Path, Path]:
    """Return image folder and label file; demo scenes are drawn where they are not there yet."""
    from tagweave.data.demo import write_demo

    if given.data is not None:
        return given.data, given.labels
    folder = Path(tempfile.gettempdir()) / f"tagweave-demo-{given.demo}-{given.images}"
    files = write_demo(folder, images=given.images, seed=given.demo)
    return files.images, files.truth


def open_data(given: argparse.Namespace) -> tuple[BenchmarkData, GraphSettings]:
    """Return the data with the features that the default graph reads, and its settings."""
    images, labels = places(given)
    config = build_config()
    data = load_data(images, labels, None, None, config, Console(quiet=True))
    settings = graph_settings(config.graph, data.parts)
    return data.pooled(settings.parts), settings
