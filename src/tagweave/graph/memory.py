"""How much memory a graph needs, known before it is built, and how much there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagweave.errors import InputError
from tagweave.graph.diffusion import COLUMNS

if TYPE_CHECKING:
    from tagweave.graph.image_graph import GraphSettings

GB = 1e9
# Limit and usage of a control group, by the controller named in /proc/self/cgroup: version 2 names none.
GROUP_FILES = {
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}


@dataclass(frozen=True)
class MemoryEstimate:
    """Hold bytes at most: ``features`` are held throughout, the other three follow one another.

    Attributes:
        search: while neighbours are sought. links: while they become W and Ŝ. labels: W and Ŝ, what a diffusion works
        on, and the (N, C) numbers of a propagation.
    """

    features: int
    search: int
    links: int
    labels: int

    @property
    def peak(self) -> int:
        """Bytes held at once at most."""
        return self.features + max(self.search, self.links, self.labels)


def estimate_memory(settings: GraphSettings, images: int, width: int, labels: int) -> MemoryEstimate:
    """Estimate what ``build_graph`` and ``propagate`` hold beside the features given to them, in bytes.

    Links are counted as 2 N K, which symmetrising reaches only where no two images choose each other.

    Args:
        images: N. width: D. labels: C.
    """
    exact = images < settings.exact_below
    weight = 8 if exact else 4
    compared = min(settings.pca, width) if settings.pca else width
    near, links = images * settings.k * 8, 2 * images * settings.k
    columns = min(2 * labels, COLUMNS)
    return MemoryEstimate(
        features=4 * images * (width + (compared if settings.pca else 0)),
        search=images * settings.k * 12 if exact else images * (settings.k * 16 + compared * 4),
        links=near + 3 * images * settings.k * (4 + weight) + links * (4 + weight),
        labels=links * (4 + 3 * weight) + 8 * images * (3 * columns + 10 * labels),
    )


def check_memory(settings: GraphSettings, images: int, width: int, labels: int) -> None:
    """Refuse a graph that would not fit.

    Raises:
        InputError: the estimate is above what is available; it says by how much and what to change.
    """
    need, available = estimate_memory(settings, images, width, labels), available_memory()
    if available is None or need.peak <= available:
        return
    parts = ", ".join(f"{name} {getattr(need, name) / GB:.2g}" for name in ("features", "search", "links", "labels"))
    raise InputError(
        f"Expected the graph of {images:,} images with {width:,} columns, k {settings.k} and {labels:,} labels to fit "
        f"in the {available / GB:.2g} GB of memory available, but it needs about {need.peak / GB:.2g} GB ({parts}): "
        "choose a smaller k, set pca to compare fewer columns, propagate fewer labels at once, or use a machine with "
        "more memory."
    )


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process may still take, the least that the system and its control groups allow.

    Outside Linux the whole of the machine's memory; None where the system does not say.
    """
    meminfo = root / "proc" / "meminfo"
    if not meminfo.exists():
        names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else None
    kib = next(line.split()[1] for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
    return min([int(kib) * 1024, *_allowed_by_groups(root)])


def _allowed_by_groups(root: Path) -> list[int]:
    """Return what each control group of this process still allows: its limit less what cannot be given back."""
    lists, left = root / "proc" / "self" / "cgroup", []
    for line in lists.read_text().splitlines() if lists.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers not in GROUP_FILES:
            continue
        top = root / "sys" / "fs" / "cgroup" / controllers
        own = top / path.lstrip("/")
        above = [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
        left += [_left(folder, *GROUP_FILES[controllers]) for folder in above if _is_limited(folder, controllers)]
    return left


def _is_limited(folder: Path, controllers: str) -> bool:
    limit = folder / GROUP_FILES[controllers][0]
    return limit.exists() and limit.read_text().strip() != "max"


def _left(folder: Path, limit: str, usage: str) -> int:
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
    return max(0, int((folder / limit).read_text()) - int((folder / usage).read_text()) + cached)
