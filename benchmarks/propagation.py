"""Seconds and memory of label propagation by part, and of scikit-learn's LabelSpreading on the same data.

Every size runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import peak_mib, print_json, run_script, say, timed
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix

if TYPE_CHECKING:
    from tagweave.graph.image_graph import GraphSettings

LABELS = 20
WIDTH = 128
KNOWN = 0.1  # share of the images that are labelled
SPREADING_K = 20
WARM_UP = 300  # nodes of the run that loads libraries and compiled code before the clock starts


@dataclass(frozen=True)
class Size:
    """Say how much is measured: numbers of nodes, of neighbours, and the nodes that scikit-learn gets (one of them)."""

    nodes: tuple[int, ...] = (10_000, 50_000)
    k: tuple[int, ...] = (20, 50)
    spreading: int = 10_000


FULL = Size()
QUICK = Size(nodes=(2_000,), k=(20,), spreading=2_000)


def clustered_collection(
    nodes: int, width: int = WIDTH, labels: int = LABELS, seed: int = 0
) -> tuple[NDArray[np.float32], LabelMatrix]:
    """Draw features x (N, D) in clusters of about 100, and labels that follow the clusters.

    x_i = centre of its cluster + 1.2 e_i, all standard normal: cosines are about 0.4 within and 0 between clusters.
    Each cluster has each label with probability 0.15; 2 % of an image's cells are turned over. A tenth of the
    images, drawn at random, is labelled in full, the others not at all.
    """
    generator = np.random.default_rng(seed)
    clusters = max(2, nodes // 100)
    cluster = generator.integers(clusters, size=nodes)
    centres = generator.standard_normal((clusters, width), dtype=np.float32)
    features = centres[cluster] + np.float32(1.2) * generator.standard_normal((nodes, width), dtype=np.float32)
    values = (generator.random((clusters, labels)) < 0.15)[cluster] ^ (generator.random((nodes, labels)) < 0.02)
    known = np.zeros((nodes, labels), dtype=bool)
    known[generator.permutation(nodes)[: max(1, round(KNOWN * nodes))]] = True
    return features, LabelMatrix(values, known, tuple(f"label{column}" for column in range(labels)))


def propagate_in_parts(nodes: int, k: int) -> dict[str, float]:
    """Run label propagation with strength wcn, the parts of its graph first, and return the seconds of each."""
    from tagweave.graph.image_graph import GraphSettings, build_graph
    from tagweave.graph.propagation import propagate

    features, labels = clustered_collection(nodes)
    settings = GraphSettings(k=k, strength="wcn")
    parts, laps = graph_parts(features, labels, settings), dict[str, float]()
    graph = timed(laps, "build_graph", build_graph, features, settings)
    whole = timed(laps, "propagate", propagate, graph, labels)
    laps["features_to_probabilities"] = round(laps["build_graph"] + laps["propagate"], 4)
    return {**parts, **laps, **{f"propagate: {name}": seconds for name, seconds in whole.seconds.items()}}


def graph_parts(features: NDArray[np.float32], labels: LabelMatrix, settings: GraphSettings) -> dict[str, float]:
    """Return the seconds of each part of building the graph, and of one diffusion of all label columns over it."""
    from tagweave.graph.diffusion import heat
    from tagweave.graph.neighbours import neighbours, pool_mean, unit_features
    from tagweave.graph.strength import affinity_graph, link_strength, normalise

    laps: dict[str, float] = {}
    unit = timed(laps, "unit_features", unit_features, features, pool_mean(features))
    near = timed(laps, "neighbours", neighbours, unit, settings.k)
    weights = timed(laps, "affinity", affinity_graph, near, settings.affinity, settings.gamma)
    strength = timed(laps, "strength_wcn", link_strength, weights, "wcn")
    normalised = timed(laps, "normalise", normalise, strength)
    timed(laps, "heat", heat, normalised, labels.values.astype(np.float64), settings.t)
    return laps


def measure_size(nodes: int, k: int) -> dict[str, Any]:
    """Measure one size in this process."""
    propagate_in_parts(WARM_UP, k)
    before = peak_mib()
    seconds = propagate_in_parts(nodes, k)
    return {"nodes": nodes, "k": k, "seconds": seconds, "peak_mib": {"libraries": before, "propagation": peak_mib()}}


def measure_first_call(nodes: int, k: int) -> dict[str, float]:
    """Return the seconds of this process's first and second call of the compiled link strength on a small graph."""
    from tagweave.graph.neighbours import neighbours, pool_mean, unit_features
    from tagweave.graph.strength import affinity_graph, link_strength

    features, _ = clustered_collection(nodes)
    graph = affinity_graph(neighbours(unit_features(features, pool_mean(features)), k))
    laps: dict[str, float] = {}
    timed(laps, "first", link_strength, graph)
    timed(laps, "second", link_strength, graph)
    return laps


def measure_spreading(nodes: int, k: int) -> dict[str, Any]:
    """Measure scikit-learn's LabelSpreading for one label, with its own graph and with one that is given to it.

    One label against the rest is one fit; C labels are C fits, estimated as C times one. With the graph kept by the
    caller between fits, which scikit-learn takes as a callable kernel, C labels cost one graph and C spreadings.
    """
    from sklearn.neighbors import kneighbors_graph

    from tagweave.graph.neighbours import pool_mean, unit_features

    features, labels = clustered_collection(nodes)
    unit = unit_features(features, pool_mean(features))
    target = np.where(labels.known[:, 0], labels.values[:, 0], -1)
    laps: dict[str, float] = {}
    timed(laps, "one_label", _spread, unit, target, "knn", k)
    graph = timed(laps, "graph", kneighbors_graph, unit, k, mode="connectivity", include_self=True)
    timed(laps, "one_label_graph_given", _spread, unit, target, lambda x, y: graph, k)
    count = len(labels.names)
    laps["all_labels"] = round(count * laps["one_label"], 4)
    laps["all_labels_graph_kept"] = round(laps["graph"] + count * laps["one_label_graph_given"], 4)
    return {"nodes": nodes, "k": k, "labels": count, "seconds": laps, "peak_mib": peak_mib()}


def _spread(unit: NDArray[np.float32], target: NDArray[np.int64], kernel: Any, k: int) -> None:
    from sklearn.semi_supervised import LabelSpreading

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop at its 30 steps before it converged: the less to its cost
        LabelSpreading(kernel=kernel, n_neighbors=k).fit(unit, target)


def compare(size: Size) -> dict[str, Any]:
    """Measure all sizes, each in a process of its own, and put scikit-learn beside the one it ran at."""
    say(f"propagation: scikit-learn, {size.spreading:,} nodes")
    spreading = run_part("spreading", size.spreading, SPREADING_K)  # right before the size it is compared with
    sizes = []
    for nodes in size.nodes:
        for k in size.k:
            say(f"propagation: {nodes:,} nodes, k {k}")
            sizes.append(run_part("size", nodes, k))
    say("propagation: first call of compiled code")
    first = first_calls()
    same = next(s for s in sizes if (s["nodes"], s["k"]) == (size.spreading, SPREADING_K))
    return {
        "width": WIDTH, "labels": LABELS, "known_share": KNOWN, "sizes": sizes,
        "numba_first_call_seconds": first, "label_spreading": {**spreading, "ratio": ratios(spreading, same)},
    }  # fmt: skip


def ratios(spreading: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    """Return how many times longer scikit-learn takes for all labels than features to probabilities take here."""
    whole = ours["seconds"]["features_to_probabilities"]
    return {name: round(spreading["seconds"][name] / whole, 2) for name in ("all_labels", "all_labels_graph_kept")}


def first_calls() -> dict[str, float]:
    """Call compiled code in two new processes: with an empty cache, then with what the first one left there."""
    with TemporaryDirectory() as folder:
        cold, warm = (run_part("first-call", WARM_UP, 20, {"NUMBA_CACHE_DIR": folder}) for _ in range(2))
    return {"empty_cache": cold["first"], "filled_cache": warm["first"], "second_call": warm["second"]}


def run_part(part: str, nodes: int, k: int, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Measure one part in a new process."""
    return run_script("propagation", "--part", part, "--nodes", str(nodes), "--k", str(k), environment=environment)


PARTS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "size": measure_size, "first-call": measure_first_call, "spreading": measure_spreading,
}  # fmt: skip


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small size")
    parser.add_argument("--part", choices=sorted(PARTS), help="measure this alone, in this process")
    parser.add_argument("--nodes", type=int, default=QUICK.nodes[0], help="with --part")
    parser.add_argument("--k", type=int, default=20, help="with --part")
    given = parser.parse_args()
    if given.part:
        print_json(PARTS[given.part](given.nodes, given.k))
    else:
        print_json(compare(QUICK if given.quick else FULL))


if __name__ == "__main__":
    main()
