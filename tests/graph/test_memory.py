"""The memory estimate against hand-counted bytes and against what a run really takes; limits of made-up systems."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from graph_cases import clustered_features, random_labels

from tagweave.errors import InputError
from tagweave.graph import exact, memory
from tagweave.graph.image_graph import GraphSettings, build_graph
from tagweave.graph.memory import available_memory, check_memory, estimate_memory
from tagweave.graph.totals import dynamic_totals


class TestEstimate:
    def test_by_hand_of_an_exact_graph(self) -> None:
        found = estimate_memory(GraphSettings(k=10), images=1000, width=64, labels=3)
        assert found.features == 1000 * 64 * 4
        assert found.search == 1000 * 10 * (4 + 4 + 4)  # index, key and similarity of a place
        assert found.links == 1000 * 10 * 8 + 3 * 1000 * 10 * 12 + 2 * 1000 * 10 * 12
        assert found.labels == 2 * 1000 * 10 * (4 + 3 * 8) + 1000 * 8 * (3 * 6 + 10 * 3)
        assert found.peak == found.features + found.labels

    def test_components_are_held_beside_the_features(self) -> None:
        plain, projected = (estimate_memory(GraphSettings(pca=pca), 1000, 64, 3) for pca in (0, 16))
        assert projected.features - plain.features == 1000 * 16 * 4

    def test_an_approximate_graph_halves_its_weights_and_copies_the_features(self) -> None:
        exact_graph, approximate = (
            estimate_memory(GraphSettings(k=10, exact_below=below), 1000, 64, 0) for below in (1001, 1000)
        )
        assert exact_graph.labels - approximate.labels == 2 * 1000 * 10 * 3 * 4
        assert approximate.search == 1000 * 10 * 16 + 1000 * 64 * 4

    @pytest.mark.parametrize("strength", ["affinity", "wcn"])
    def test_a_run_takes_no_more_and_not_much_less(self, strength: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exact, "TILE", 64)
        settings = GraphSettings(k=30, strength=strength)
        features = clustered_features(0, 40, 100, 32)[0].astype(np.float32)
        labels = random_labels(0, len(features), 5)
        dynamic_totals(build_graph(features[:200], settings), random_labels(0, 200, 5))  # compiles
        tracemalloc.start()
        dynamic_totals(build_graph(features, settings), labels)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 0.4 < peak / estimate_memory(settings, len(features), 32, 5).peak <= 1.0


class TestCheck:
    def test_refuses_with_numbers_and_ways_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda: 2_000_000_000)
        with pytest.raises(InputError) as refusal:
            check_memory(GraphSettings(k=50), images=1_000_000, width=128, labels=20)
        assert str(refusal.value) == (
            "Expected the graph of 1,000,000 images with 128 columns, k 50 and 20 labels to fit in the 2 GB of memory "
            "available, but it needs about 4.5 GB (features 0.51, search 1.3, links 2.4, labels 4): choose a smaller "
            "k, set pca to compare fewer columns, propagate fewer labels at once, or use a machine with more memory."
        )

    @pytest.mark.parametrize("available", [10_000_000_000, None])
    def test_is_silent_where_there_is_enough_or_nothing_is_known(self, available: int | None, monkeypatch) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda: available)
        check_memory(GraphSettings(k=50), 1_000_000, 128, 20)

    def test_comes_before_any_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda: 1000)
        not_finite = np.full((50, 3), np.nan)  # would be refused for another reason by the first pass over it
        with pytest.raises(InputError, match="k 20 and 7 labels to fit"):
            build_graph(not_finite, labels=7)


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


class TestAvailableMemory:
    def test_is_what_the_system_can_give(self, tmp_path: Path) -> None:
        assert available_memory(system(tmp_path, {})) == 8000 * 1024

    def test_is_lowered_by_the_groups_above_as_by_the_own(self, tmp_path: Path) -> None:
        group = "sys/fs/cgroup/box"
        files = {
            "proc/self/cgroup": "0::/box/job\n",
            f"{group}/job/memory.max": "max\n",
            f"{group}/memory.max": "5000000\n",
            f"{group}/memory.current": "3000000\n",
            f"{group}/memory.stat": "anon 1\ninactive_file 400000\n",
        }
        assert available_memory(system(tmp_path, files)) == 5_000_000 - 3_000_000 + 400_000

    def test_reads_the_older_groups_too(self, tmp_path: Path) -> None:
        group = "sys/fs/cgroup/memory/job"
        files = {
            "proc/self/cgroup": "5:cpu:/other\n4:memory:/job\n",
            f"{group}/memory.limit_in_bytes": "4000000\n",
            f"{group}/memory.usage_in_bytes": "3500000\n",
            f"{group}/memory.stat": "inactive_file 1\ntotal_inactive_file 0\n",
        }
        assert available_memory(system(tmp_path, files)) == 500_000

    def test_is_never_below_nothing(self, tmp_path: Path) -> None:
        group = "sys/fs/cgroup"
        files = {
            "proc/self/cgroup": "0::/\n", f"{group}/memory.max": "10\n", f"{group}/memory.current": "20\n",
            f"{group}/memory.stat": "inactive_file 0\n",
        }  # fmt: skip
        assert available_memory(system(tmp_path, files)) == 0

    def test_elsewhere_it_is_the_memory_of_the_machine(self, tmp_path: Path) -> None:
        found = available_memory(tmp_path)
        assert found is None or found > 2**28

    def test_of_this_system_is_plausible(self) -> None:
        found = available_memory()
        assert found is None or 2**20 < found < 2**50
