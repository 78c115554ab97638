"""The methods that a comparison can run, by name, each with the few values that a search may choose among."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any

from tagweave.benchmark.problem import Floats
from tagweave.benchmark.rivals import dynamic, iscen, linear, ours, poisson, spreading, voting
from tagweave.data.annotations import did_you_mean
from tagweave.errors import InputError

Choice = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """Name one method.

    Attributes:
        score: from a problem and the values of a choice to scores (I + Q, C), higher is more likely.
        tries: the choices, at most ``MOST_TRIES``; a single one leaves nothing to search.
        requires: a package that is not installed with this one.
    """

    score: Callable[..., Floats]
    tries: tuple[Choice, ...] = ({},)
    requires: str | None = None


MOST_TRIES = 6  # the same for all


def _grid(**values: Sequence[Any]) -> tuple[Choice, ...]:
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


METHODS: dict[str, Method] = {
    "label-spreading": Method(spreading.label_spreading, _grid(k=(10, 20, 50), alpha=(0.2, 0.9))),
    "label-propagation": Method(spreading.label_propagation, _grid(k=(5, 10, 15, 20, 30, 50))),
    "iscen": Method(iscen.iscen, _grid(k=(20, 50), alpha=(0.8, 0.9, 0.99))),
    "dynamic": Method(dynamic.dynamic, _grid(k=(10, 20, 50), steps=(2, 3))),
    "laplace": Method(poisson.laplace, _grid(k=(10, 20, 50), tau=(0.0, 0.1)), "graphlearning"),
    "poisson": Method(poisson.poisson, _grid(k=(5, 10, 15, 20, 30, 50)), "graphlearning"),
    "knn": Method(voting.nearest_vote, _grid(k=(5, 10, 20, 50, 100, 200))),
    "bce": Method(linear.logistic, _grid(c=(1.0, 3.0, 10.0, 30.0, 100.0, 300.0))),
    "asl": Method(linear.asymmetric, _grid(scale=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0))),
    "ridge": Method(linear.ridge),
    "graph": Method(ours.graph_alone),
    "default": Method(ours.default),
}
"""Ridge and ours choose for themselves, among five penalties and five blends."""


def parse_methods(text: str) -> tuple[str, ...]:
    """Return the methods of a list with commas, in the order of ``METHODS``; ``all`` is all of them.

    Raises:
        InputError: a name that is not there, or none at all; the choices are listed.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS and name != "all"]
    if unknown or not names:
        got = f"'{unknown[0]}'{did_you_mean(unknown[0], METHODS)}" if unknown else "none"
        raise InputError(f"Expected methods among all, {', '.join(METHODS)}, but got {got}.")
    return tuple(name for name in METHODS if name in names or "all" in names)


def missing_package(method: Method) -> str | None:
    """Return the package that a method needs and that is not installed, if there is one."""
    return method.requires if method.requires and find_spec(method.requires) is None else None
