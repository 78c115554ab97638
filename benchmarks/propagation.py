"""Seconds and memory of label propagation by part, and of scikit-learn's LabelSpreading on the same data.

Every size runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import Laps, peak_mib, print_json, run_script, say, timed
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix

if TYPE_CHECKING:
    from tagweave.graph.image_graph import GraphSettings, ImageGraph
    from tagweave.graph.neighbours import Neighbours

LABELS = 20
WIDTH = 128
KNOWN = 0.1  # share of the images that are labelled
CLUSTER = 500  # images, on average
WARM_UP = 300  # nodes of the run that loads libraries and compiled code before the clock starts
CHECKED = 500  # rows whose neighbours are compared with those of an exhaustive search
GRAPH = ("unit_features", "neighbours", "affinity", "strength_wcn", "normalise")


@dataclass(frozen=True)
class Size:
    """Say how much is measured: pairs of nodes and neighbours, and the pair that scikit-learn gets (one of them)."""

    cases: tuple[tuple[int, int], ...] = ((10_000, 20), (10_000, 50), (50_000, 50), (100_000, 50))
    spreading: tuple[int, int] = (100_000, 50)


FULL = Size()
QUICK = Size(cases=((2_000, 20),), spreading=(2_000, 20))
MILLION = (1_000_000, 50)


def clustered_collection(
    nodes: int, width: int = WIDTH, labels: int = LABELS, seed: int = 0
) -> tuple[NDArray[np.float32], LabelMatrix]:
    """Draw features x (N, D) from a mixture of Gaussians, and labels that follow its clusters.

    x_i = (centre of its cluster + r e_i) / sqrt(1..D), centre and e_i standard normal, r of each cluster between 0.7
    and 1.5: features of photographs have a falling spectrum, too. Cluster sizes are log-normal around 500, so that
    clusters are tight and loose, large and small, and many images have neighbours beyond their own.
    Each cluster has each label with probability 0.15; 2 % of an image's cells are turned over. A tenth of the
    images, drawn at random, is labelled in full, the others not at all.
    """
    generator = np.random.default_rng(seed)
    clusters = max(2, nodes // CLUSTER)
    sizes = generator.lognormal(0.0, 1.0, clusters)
    cluster = generator.choice(clusters, nodes, p=sizes / sizes.sum())
    spectrum = np.arange(1, width + 1, dtype=np.float32) ** np.float32(-0.5)
    centres = generator.standard_normal((clusters, width), dtype=np.float32)
    spread = generator.uniform(0.7, 1.5, (clusters, 1)).astype(np.float32)
    features = generator.standard_normal((nodes, width), dtype=np.float32)
    for rows in np.array_split(np.arange(nodes), max(1, nodes // 50_000)):
        features[rows] = (features[rows] * spread[cluster[rows]] + centres[cluster[rows]]) * spectrum
    values = (generator.random((clusters, labels)) < 0.15)[cluster] ^ (generator.random((nodes, labels)) < 0.02)
    known = np.zeros((nodes, labels), dtype=bool)
    known[generator.permutation(nodes)[: max(1, round(KNOWN * nodes))]] = True
    return features, LabelMatrix(values, known, tuple(f"label{column}" for column in range(labels)))


def measure_size(nodes: int, k: int) -> dict[str, Any]:
    """Measure one size in this process: the graph with strength wcn, its label totals, and the whole propagation."""
    from tagweave.graph.image_graph import GraphSettings
    from tagweave.graph.memory import estimate_memory
    from tagweave.graph.propagation import propagate
    from tagweave.graph.totals import dynamic_totals

    settings, peaks = GraphSettings(k=k, strength="wcn"), {}
    _warm_up(settings)
    peaks["libraries"] = peak_mib()
    features, labels = clustered_collection(nodes)
    peaks["features"] = peak_mib()
    laps = Laps()
    graph, recall = build_in_parts(laps, features, settings)
    laps.time("totals", dynamic_totals, graph, labels)
    peaks["totals"] = peak_mib()
    laps.time("propagate", propagate, graph, labels)
    peaks["propagation"] = peak_mib()
    laps.add_up("features_to_totals", (*GRAPH, "totals"))
    laps.add_up("features_to_probabilities", (*GRAPH, "propagate"))
    estimate = estimate_memory(settings, nodes, WIDTH, LABELS)
    return {
        "nodes": nodes, "k": k, "recall": recall, "links_per_node": round(graph.weights.nnz / nodes, 1),
        "seconds": laps.seconds, "cpu_seconds": laps.cpu_seconds, "peak_mib": peaks,
        "estimated_mib": round(estimate.peak / 2**20, 1), "microseconds_per_node": per_node(laps, nodes),
    }  # fmt: skip


def _warm_up(settings: GraphSettings) -> None:
    """Load libraries and compiled code, also that of the approximate search."""
    from tagweave.graph.image_graph import build_graph
    from tagweave.graph.propagation import propagate

    features, labels = clustered_collection(WARM_UP)
    for exact_below in (1, WARM_UP + 1):
        propagate(build_graph(features, replace(settings, k=20, exact_below=exact_below)), labels)


def build_in_parts(laps: Laps, features: NDArray[np.float32], settings: GraphSettings) -> tuple[ImageGraph, float]:
    """Build a graph as ``build_graph`` does, part by part, and return it with the recall of its neighbours."""
    from tagweave.graph.image_graph import ImageGraph
    from tagweave.graph.neighbours import fit_projection, neighbours, pool_mean, unit_features
    from tagweave.graph.strength import affinity_graph, link_strength, normalise

    mean = pool_mean(features)
    unit = laps.time("unit_features", unit_features, features, mean)
    near = laps.time("neighbours", neighbours, unit, settings.k, settings.exact_below, settings.recall)
    dtype = np.float64 if len(unit) < settings.exact_below else np.float32
    weights = laps.time("affinity", affinity_graph, near, settings.affinity, settings.gamma, settings.tau, dtype)
    recall = found_share(unit, near)
    strength = laps.time("strength_wcn", link_strength, weights, "wcn")
    normalised = laps.time("normalise", normalise, strength)
    return ImageGraph(unit, mean, fit_projection(unit, 0), unit, weights, normalised, settings, near.recall), recall


def found_share(unit: NDArray[np.float32], near: Neighbours) -> float:
    """Return the share of places, over ``CHECKED`` rows, whose similarity is at least that of the exact K-th."""
    rows = np.random.default_rng(7).permutation(len(unit))[:CHECKED]
    k, found = near.index.shape[1], []
    for row in rows:
        every = unit @ unit[row]
        every[row] = -np.inf
        least = np.partition(every, len(every) - k)[len(every) - k]
        found.append(float((near.similarity[row] >= least - 2e-6).mean()))  # sums round differently
    return round(float(np.mean(found)), 4)


def per_node(laps: Laps, nodes: int) -> dict[str, float]:
    """Return the microseconds a node that features to totals take, by the wall's clock and by the processors'."""
    both = {"wall": laps.seconds, "cpu": laps.cpu_seconds}
    return {name: round(1e6 * times["features_to_totals"] / nodes, 2) for name, times in both.items()}


def measure_first_call(nodes: int, k: int) -> dict[str, float]:
    """Return the seconds of this process's first and second call of all compiled code, on a small graph."""
    from tagweave.graph.image_graph import GraphSettings, build_graph
    from tagweave.graph.totals import dynamic_totals

    def graph_and_totals() -> None:
        dynamic_totals(build_graph(features, GraphSettings(k=k, strength="wcn")), labels)

    features, labels = clustered_collection(nodes)
    laps: dict[str, float] = {}
    timed(laps, "first", graph_and_totals)
    timed(laps, "second", graph_and_totals)
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
    target, laps, count = np.where(labels.known[:, 0], labels.values[:, 0], -1), Laps(), len(labels.names)
    laps.time("one_label", _spread, unit, target, "knn", k)
    graph = laps.time("graph", kneighbors_graph, unit, k, mode="connectivity", include_self=True)
    laps.time("one_label_graph_given", _spread, unit, target, lambda x, y: graph, k)
    laps.add_up("all_labels", ["one_label"] * count)
    laps.add_up("all_labels_graph_kept", ["graph", *["one_label_graph_given"] * count])
    return {
        "nodes": nodes, "k": k, "labels": count, "peak_mib": peak_mib(),
        "seconds": laps.seconds, "cpu_seconds": laps.cpu_seconds,
    }  # fmt: skip


def _spread(unit: NDArray[np.float32], target: NDArray[np.int64], kernel: Any, k: int) -> None:
    from sklearn.semi_supervised import LabelSpreading

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop at its 30 steps before it converged: the less to its cost
        LabelSpreading(kernel=kernel, n_neighbors=k).fit(unit, target)


def compare(size: Size) -> dict[str, Any]:
    """Measure all sizes, each in a process of its own, and put scikit-learn beside the one it ran at."""
    nodes, k = size.spreading
    say(f"propagation: scikit-learn, {nodes:,} nodes, k {k}")
    spreading = run_part("spreading", nodes, k)
    sizes = []
    for nodes, k in reversed(size.cases):  # the compared one first, right after what it is compared with
        say(f"propagation: {nodes:,} nodes, k {k}")
        sizes.append(run_part("size", nodes, k))
    say("propagation: first call of compiled code")
    first = first_calls()
    same = next(case for case in sizes if (case["nodes"], case["k"]) == size.spreading)
    return {
        "width": WIDTH, "labels": LABELS, "known_share": KNOWN, "sizes": sizes[::-1],
        "numba_first_call_seconds": first, "label_spreading": {**spreading, "ratio": ratios(spreading, same)},
    }  # fmt: skip


def ratios(spreading: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    """Return how many times longer scikit-learn takes for all labels than features to totals take here."""
    return {
        f"{name}/{clock}": round(spreading[clock][name] / ours[clock]["features_to_totals"], 2)
        for clock in ("seconds", "cpu_seconds")
        for name in ("all_labels", "all_labels_graph_kept")
    }


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
    parser.add_argument("--million", action="store_true", help="also 1,000,000 nodes: about 4 GB and ten minutes")
    parser.add_argument("--part", choices=sorted(PARTS), help="measure this alone, in this process")
    parser.add_argument("--nodes", type=int, default=QUICK.spreading[0], help="with --part")
    parser.add_argument("--k", type=int, default=20, help="with --part")
    given = parser.parse_args()
    if given.part:
        print_json(PARTS[given.part](given.nodes, given.k))
    else:
        size = QUICK if given.quick else FULL
        print_json(compare(replace(size, cases=(*size.cases, *[MILLION] * given.million))))


if __name__ == "__main__":
    main()
