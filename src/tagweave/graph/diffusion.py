"""Diffusion of label columns over the normalised graph Ŝ, by sparse products only."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from tagweave.errors import InputError

log = logging.getLogger("tagweave")

Diffusion = Callable[[sparse.csr_array, NDArray[np.float64]], NDArray[np.float64]]
DIFFUSIONS = ("heat", "spread")


def heat(graph: sparse.csr_array, seeds: NDArray[np.float64], t: float, tol: float = 1e-6) -> NDArray[np.float64]:
    """Solve the heat equation dF/dt = -Lap F from F(0) = seeds (METHOD §1.3).

    F(t) = exp(-t (I - Ŝ)) F(0) = sum_k c_k T_k(Ŝ) F(0), a Chebyshev series: c_0 = e^-t I_0(t), c_k = 2 e^-t I_k(t),
    with I_k the modified Bessel functions. Since |T_k(Ŝ)| <= 1, the terms left out change a column by at most ``tol``
    times its length.

    Args:
        graph: Ŝ (N, N), symmetric, spectrum within [-1, 1].
        seeds: F(0) (N, C).
        t: diffusion time; 0 returns the seeds, long times near the stationary state of each connected part.

    Raises:
        InputError: t is negative or not finite.
    """
    if not 0.0 <= t < np.inf:
        raise InputError(f"Expected a finite diffusion time t >= 0, but got {t}.")
    coefficients = _heat_coefficients(t, tol)
    previous, current = np.zeros_like(seeds), seeds
    total = coefficients[0] * seeds
    for k, coefficient in enumerate(coefficients[1:], start=1):
        following = graph @ current if k == 1 else 2.0 * (graph @ current) - previous
        previous, current = current, following
        total += coefficient * current
    return total


def _heat_coefficients(t: float, tol: float) -> NDArray[np.float64]:
    reach = int(np.ceil(t + 12.0 * np.sqrt(t + 1.0) + 24.0))
    coefficients = 2.0 * special.ive(np.arange(reach), t)
    coefficients[0] /= 2.0
    left_out = np.append(np.cumsum(coefficients[::-1])[::-1][1:], 0.0)
    return coefficients[: int(np.argmax(left_out <= tol)) + 1]


def spread(
    graph: sparse.csr_array, seeds: NDArray[np.float64], alpha: float, tol: float = 1e-6, iterations: int = 1000
) -> NDArray[np.float64]:
    """Solve F = (1 - alpha)(I - alpha Ŝ)^(-1) F(0) by conjugate gradient, all columns at once.

    Zhou et al. 2004; Iscen et al. 2019. Each column stops at a residual of ``tol`` times its right side.

    Args:
        graph: Ŝ (N, N), symmetric, spectrum within [-1, 1].
        seeds: F(0) (N, C).
        alpha: share taken from the neighbours, in [0, 1); 0 returns the seeds.

    Raises:
        InputError: alpha outside [0, 1).
    """
    if not 0.0 <= alpha < 1.0:
        raise InputError(f"Expected alpha in [0, 1), but got {alpha}.")
    right = (1.0 - alpha) * seeds
    solution = right.copy()
    residual = right - (solution - alpha * (graph @ solution))
    direction = residual.copy()
    energy = np.einsum("nc,nc->c", residual, residual)
    bound = tol**2 * np.einsum("nc,nc->c", right, right)
    for _ in range(iterations):
        if (energy <= bound).all():
            break
        product = direction - alpha * (graph @ direction)
        curvature = np.einsum("nc,nc->c", direction, product)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        solution += step * direction
        residual -= step * product
        following = np.einsum("nc,nc->c", residual, residual)
        direction = residual + np.divide(following, energy, out=np.zeros_like(energy), where=energy > 0) * direction
        energy = following
    if not (energy <= bound).all():
        log.warning(
            "Spreading stopped after %d steps before its tolerance %g was met; raise iterations.", iterations, tol
        )
    return solution


def build_diffusion(kind: str, t: float = 4.0, alpha: float = 0.9, tol: float = 1e-6) -> Diffusion:
    """Return the diffusion named ``kind`` with its parameters bound.

    Raises:
        InputError: unknown kind.
    """
    if kind == "heat":
        return lambda graph, seeds: heat(graph, seeds, t, tol)
    if kind == "spread":
        return lambda graph, seeds: spread(graph, seeds, alpha, tol)
    raise InputError(f"Expected diffusion to be one of {', '.join(DIFFUSIONS)}, but got '{kind}'.")
