"""Seconds and memory of one forward pass of every head, folded, on random maps."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from measure import peak_mib, print_json, run_script, say

CHANNELS = (40, 112, 320)  # of the default encoder's stages
PARTS = (1280, 1280, 112, 112, 320, 320)
WORDS = 50  # width of a word vector
BATCH = 16


@dataclass(frozen=True)
class Size:
    """Say which numbers of labels and map sides are measured, and how often (the median counts)."""

    labels: tuple[int, ...] = (80, 1000)
    sides: tuple[int, ...] = (7, 14)
    repetitions: int = 5


FULL = Size()
QUICK = Size(labels=(80,), sides=(7,), repetitions=2)


def measure_head(head: str, labels: int, side: int, repetitions: int) -> dict[str, Any]:
    """Build a head with the default widths, fold it and score one batch again and again."""
    import torch

    from tagweave.config import ModelConfig
    from tagweave.encoders.backbones import Layout
    from tagweave.model.inputs import HeadInputs, LabelFacts
    from tagweave.peers.registry import build_head
    from tagweave.threads import limit_threads

    limit_threads()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layout = Layout(tuple((channels, side, side) for channels in CHANNELS), (8, 16, 32), PARTS)
    facts = LabelFacts(
        rng.random((labels, labels)), rng.uniform(0.01, 0.1, labels),
        rng.standard_normal((labels, WORDS), dtype=np.float32),
    )  # fmt: skip
    maps, feature = [torch.rand(BATCH, *shape) for shape in layout.maps], torch.rand(BATCH, layout.features)
    network = build_head(ModelConfig(head=head), HeadInputs.measure(layout, facts, [maps], feature.mean(dim=0)))
    network.eval().fold()
    parameters = sum(tensor.numel() for tensor in network.state_dict().values())
    before, seconds = peak_mib(), []
    with torch.inference_mode():
        network(maps, feature)
        for _ in range(repetitions):
            began = time.perf_counter()
            network(maps, feature)
            seconds.append(time.perf_counter() - began)
    return {
        "head": head, "labels": labels, "side": side, "batch": BATCH, "values": parameters,
        "forward_seconds": round(median(seconds), 5), "added_mib": round(peak_mib() - before, 1),
        "peak_mib": peak_mib(),
    }  # fmt: skip


def run_head(head: str, labels: int, side: int, repetitions: int) -> dict[str, Any]:
    """Measure one head in a new process, so that the peak is its own."""
    numbers = ("--labels", str(labels), "--side", str(side), "--repetitions", str(repetitions))
    return run_script("heads", "--head", head, *numbers)


def compare(size: Size) -> dict[str, Any]:
    """Measure every head of the registry at every size."""
    from tagweave.peers.registry import HEADS

    cases = []
    for head in HEADS:
        say(f"heads: {head}")
        cases += [run_head(head, labels, side, size.repetitions) for labels in size.labels for side in size.sides]
    return {"cases": cases}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="80 labels and maps of side 7 only")
    parser.add_argument("--head", help="measure this alone, in this process")
    parser.add_argument("--labels", type=int, default=80, help="with --head")
    parser.add_argument("--side", type=int, default=7, help="with --head")
    parser.add_argument("--repetitions", type=int, default=FULL.repetitions, help="with --head")
    given = parser.parse_args()
    if given.head:
        print_json(measure_head(given.head, given.labels, given.side, given.repetitions))
    else:
        print_json(compare(QUICK if given.quick else FULL))


if __name__ == "__main__":
    main()
