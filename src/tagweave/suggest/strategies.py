"""The ways to choose images, by name."""

from __future__ import annotations

from collections.abc import Callable

from tagweave.errors import InputError
from tagweave.suggest.picks import Picks, pick, reaching
from tagweave.suggest.pool import Pool
from tagweave.suggest.worth import disagreement, doubt, rare_doubt

DEFAULT = "mixed"


def by_uncertainty(pool: Pool, count: int) -> Picks:
    """Choose images with much doubt, unlike each other."""
    return pick(pool, count, doubt(pool), unlike=True)


def by_disagreement(pool: Pool, count: int) -> Picks:
    """Choose images that graph and model see differently, unlike each other."""
    return pick(pool, count, disagreement(pool), unlike=True)


def by_coverage(pool: Pool, count: int) -> Picks:
    """Choose images that together reach as much as can be of what no label reaches; probabilities are not read."""
    return reaching(pool, count, pool.unknown, unlike=False)


def by_expected_gain(pool: Pool, count: int) -> Picks:
    """Choose images that together are expected to take most doubt from themselves and their neighbours."""
    return reaching(pool, count, doubt(pool), unlike=False)


def mixed(pool: Pool, count: int) -> Picks:
    """Choose by expected gain, where a doubt counts more the fewer examples its label has, unlike each other."""
    return reaching(pool, count, rare_doubt(pool), unlike=True)


STRATEGIES: dict[str, Callable[[Pool, int], Picks]] = {
    "mixed": mixed,
    "uncertainty": by_uncertainty,
    "disagreement": by_disagreement,
    "coverage": by_coverage,
    "expected": by_expected_gain,
}


def suggest(pool: Pool, count: int, strategy: str = DEFAULT) -> Picks:
    """Choose up to ``count`` images to label next; fewer where the open ones run out or are near-duplicates.

    Raises:
        InputError: an unknown strategy, a count below 1, or nothing is open.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"Expected a strategy of {', '.join(STRATEGIES)}, but got '{strategy}'.")
    if count < 1:
        raise InputError(f"Expected to suggest at least 1 image, but got {count}.")
    if not pool.open.any():
        raise InputError(
            "Expected an image with unknown labels to suggest, but all outside the test are fully labelled; add "
            "unlabelled images to the folder and run 'tagweave fit' again."
        )
    return STRATEGIES[strategy](pool, count)
