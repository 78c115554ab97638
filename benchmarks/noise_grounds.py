"""Measure propagation where the graph carries nothing: demo scenes on grounds of noise beside the usual ones.

Likeness over all of an image then says nothing about its labels, and the default must not lose by having a graph: its
share is chosen by cross-fitting on the labelled images. One JSON document goes to stdout: for each ground and seed mAP
(in %, on held-out images outside the graph) of the default, of the closed-form teacher alone and of the graph alone,
and the share that was chosen.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from measure import print_json, say
from PIL import Image

from tagweave.benchmark.dataset import load_data
from tagweave.config import build_config
from tagweave.console import Console
from tagweave.data.demo import scenes, write_demo
from tagweave.data.demo.brush import Canvas, Ground
from tagweave.graph.image_graph import build_graph
from tagweave.graph.propagation import propagate
from tagweave.metrics import average_precisions
from tagweave.steps.outcome import graph_settings

LABELLED = 0.1


def noise(canvas: Canvas) -> Ground:
    """Cover a canvas with coloured noise; things stand anywhere in its lower half."""
    size = (canvas.image.height // 4 + 1, canvas.image.width // 4 + 1, 3)
    coarse = Image.fromarray(canvas.rng.integers(0, 256, size, dtype=np.uint8), "RGB")
    canvas.image.paste(coarse.resize(canvas.image.size, Image.Resampling.NEAREST))
    return Ground(feet=(0.55, 0.95))


def measure(images: Path, labels: Path, seed: int) -> dict[str, float]:
    """Return the measures of one drawing."""
    config = build_config(seed=seed)
    data = load_data(images, labels, None, None, config, Console(quiet=True))
    settings = graph_settings(config.graph, data.parts)
    data = data.pooled(settings.parts)
    pool, test = np.flatnonzero(~data.test), np.flatnonzero(data.test & data.labels.labelled)
    chosen = np.random.default_rng(seed).permutation(len(pool))[: round(LABELLED * len(pool))]
    known = data.labels.take(pool)
    known = known.hide(np.setdiff1d(np.arange(len(known)), chosen))
    graph = build_graph(data.features[pool], settings)
    found, truth = propagate(graph, known, seed), data.labels.take(test)
    alone = propagate(replace(graph, settings=replace(settings, teacher=False)), known, seed)
    assert found.teacher is not None
    scores = {
        "default": found.score_new(data.features[test]),
        "teacher": found.teacher.score(found.unit_of(data.features[test])),
        "graph": alone.score_new(data.features[test]),
    }
    areas = {name: 100 * float(np.nanmean(average_precisions(own, truth))) for name, own in scores.items()}
    return {**{name: round(area, 2) for name, area in areas.items()}, "share_of_the_graph": found.share}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1500, help="scenes of a drawing")
    parser.add_argument("--seeds", type=int, default=3, help="drawings of each ground")
    given = parser.parse_args()
    result: dict[str, Any] = {"images": given.images, "labelled": LABELLED}
    for ground, painter in (("noise", lambda rng, labels: noise), ("scenery", scenes.choose_ground)):
        result[ground] = []
        for seed in range(given.seeds):
            folder = Path(tempfile.gettempdir()) / f"tagweave-{ground}-{seed}-{given.images}"
            with mock.patch.object(scenes, "choose_ground", painter):
                files = write_demo(folder, images=given.images, seed=seed)
            result[ground].append(measure(files.images, files.truth, seed))
            say(f"{ground} {seed}: {result[ground][-1]}")
    print_json(result)


if __name__ == "__main__":
    main()
