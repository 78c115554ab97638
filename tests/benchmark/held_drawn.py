"""The drawn pictures as a collection for benchmarks, with a fast configuration."""

from __future__ import annotations

from pathlib import Path

from drawn import Drawn, write_list
from tagweave.benchmark.dataset import Held, hold
from tagweave.benchmark.trials import Bench
from tagweave.config import Config, build_config
from tagweave.console import Console

CONFIG = build_config(
    "tiny",
    encoder={"name": "efficientnet_lite0", "size": 64, "map_side": 4},
    graph={"features": "average", "k": 5},
    train={"epochs": 2, "batch": 16, "patience": 2},
)
SPLITS = ["train"] * 40 + ["test"] * 20


def all_labels(drawn: Drawn, place: Path) -> Path:
    """Write labels of all pictures, the last twenty as test."""
    return write_list(place / "all.csv", [f"{number:03d}.png" for number in range(60)], drawn.values, SPLITS)


def held_pictures(drawn: Drawn, place: Path) -> Held:
    """Hold the drawn pictures, a third of them as test."""
    return hold(drawn.images, all_labels(drawn, place), None, None, CONFIG, Console(quiet=True))


def bench_of(held: Held, folder: Path) -> Bench:
    """Return a bench that says nothing."""
    return Bench(held, folder, Console(quiet=True))


def config(**sections: dict[str, object]) -> Config:
    """Return ``CONFIG`` with other values."""
    content = CONFIG.model_dump()
    return Config.model_validate({**content, **{name: content[name] | new for name, new in sections.items()}})
