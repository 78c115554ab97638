"""Label propagation over a graph of similar images. NumPy, SciPy, faiss and numba; no torch.

The names below are what the package offers on its own: one call, ``propagate``, or its parts one after the other,
``neighbours``, ``affinity_graph``, ``link_strength`` and ``diffuse``; and ``LabelPropagator``, the same for those who
think in scikit-learn's terms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before anything imports the module of this name, which would otherwise take the function's place here.
from tagweave.graph.arrays import neighbours

if TYPE_CHECKING:
    from tagweave.graph.arrays import diffuse, propagate
    from tagweave.graph.image_graph import GraphSettings
    from tagweave.graph.label_propagator import LabelPropagator
    from tagweave.graph.propagation import Propagation
    from tagweave.graph.strength import affinity_graph, link_strength

__all__ = [
    "GraphSettings", "LabelPropagator", "Propagation", "affinity_graph", "diffuse", "link_strength", "neighbours",
    "propagate",
]  # fmt: skip

_HOMES = {
    "GraphSettings": "tagweave.graph.image_graph",
    "LabelPropagator": "tagweave.graph.label_propagator",
    "Propagation": "tagweave.graph.propagation",
    "affinity_graph": "tagweave.graph.strength",
    "diffuse": "tagweave.graph.arrays",
    "link_strength": "tagweave.graph.strength",
    "propagate": "tagweave.graph.arrays",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: some need scikit-learn."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tagweave.graph' has no attribute '{name}'")
