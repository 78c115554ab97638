"""Diffusion of label columns over the normalised graph Ŝ, by sparse products only."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from tagweave.errors import InputError
from tagweave.graph.blocks import Progress, row_blocks

log = logging.getLogger("tagweave")

Columns = NDArray[np.float64]
Diffusion = Callable[[sparse.csr_array, NDArray[np.generic]], Columns]
DIFFUSIONS = ("heat", "spread")
COLUMNS = 32  # diffused together: each link's row of numbers is four cache lines, and memory stays bounded


def heat(
    graph: sparse.csr_array,
    seeds: NDArray[np.generic],
    t: float,
    tol: float = 1e-6,
    progress: Progress | None = None,
) -> Columns:
    """Solve the heat equation dF/dt = -Lap F from F(0) = seeds (METHOD §1.3).

    F(t) = exp(-t (I - Ŝ)) F(0) = sum_k c_k T_k(Ŝ) F(0), a Chebyshev series: c_0 = e^-t I_0(t), c_k = 2 e^-t I_k(t),
    with I_k the modified Bessel functions. Since |T_k(Ŝ)| <= 1, the terms left out change a column by at most ``tol``
    times its length. The series is summed from its end (Clenshaw): B_k = c_k F(0) + 2 Ŝ B_(k+1) - B_(k+2) and
    F(t) = c_0 F(0) + Ŝ B_1 - B_2, ``COLUMNS`` columns at a time.

    Args:
        graph: Ŝ (N, N), symmetric, spectrum within [-1, 1].
        seeds: F(0) (N, C), of any type that turns into float64.
        t: diffusion time; 0 returns the seeds, long times near the stationary state of each connected part.
        progress: called with products by Ŝ done and of all.

    Raises:
        InputError: t is negative or not finite.
    """
    if not 0.0 <= t < np.inf:
        raise InputError(f"Expected a finite diffusion time t >= 0, but got {t}.")
    coefficients = _heat_coefficients(t, tol)
    blocks, done = -(-seeds.shape[1] // COLUMNS), itertools.count(1)

    def solve(start: Columns) -> Columns:
        later, following = np.zeros_like(start), np.zeros_like(start)
        for k in range(len(coefficients) - 1, -1, -1):
            # Two buffers for the whole series: what is written over is B_(k+2), which is not needed again.
            _combine(*_parts(graph), following, 2.0 if k else 1.0, start, coefficients[k], later)
            later, following = following, later
            if progress is not None:
                progress(next(done), blocks * len(coefficients))
        return following

    return _by_columns(solve, seeds)


def _by_columns(
    solve: Callable[[Columns], Columns], seeds: NDArray[np.generic], progress: Progress | None = None
) -> Columns:
    solution = np.empty(seeds.shape, dtype=np.float64)
    for block in row_blocks(seeds.shape[1], COLUMNS):
        solution[:, block] = solve(np.array(seeds[:, block], dtype=np.float64, order="C"))
        if progress is not None:
            progress(block.stop, seeds.shape[1])
    return solution


def _parts(graph: sparse.csr_array) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.floating]]:
    return graph.indptr, graph.indices, graph.data


@numba.njit(parallel=True, cache=True)
def _combine(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[np.floating],
    x: Columns,
    factor: float,
    seeds: Columns,
    share: float,
    out: Columns,
) -> None:  # pragma: no cover - compiled
    """Write share seeds + factor Ŝ x - out over ``out``, row by row in the order of its links."""
    for i in numba.prange(len(indptr) - 1):
        row = out[i]
        for c in range(len(row)):
            row[c] = share * seeds[i, c] - row[c]
        for link in range(indptr[i], indptr[i + 1]):
            weight, other = factor * data[link], x[indices[link]]
            for c in range(len(row)):
                row[c] += weight * other[c]


def _heat_coefficients(t: float, tol: float) -> NDArray[np.float64]:
    # So far out that nothing comes after: the sums from the end are all that would be left out.
    reach = int(np.ceil(t + 12.0 * np.sqrt(t + 1.0) + 24.0))
    coefficients = 2.0 * special.ive(np.arange(reach), t)
    coefficients[0] /= 2.0
    left_out = np.append(np.cumsum(coefficients[::-1])[::-1][1:], 0.0)
    return coefficients[: int(np.argmax(left_out <= tol)) + 1]


def spread(
    graph: sparse.csr_array,
    seeds: NDArray[np.generic],
    alpha: float,
    tol: float = 1e-6,
    iterations: int = 1000,
    progress: Progress | None = None,
) -> Columns:
    """Solve F = (1 - alpha)(I - alpha Ŝ)^(-1) F(0) by conjugate gradient, ``COLUMNS`` columns at once.

    Zhou et al. 2004; Iscen et al. 2019. Each column stops at a residual of ``tol`` times its right side.

    Args:
        graph: Ŝ (N, N), symmetric, spectrum within [-1, 1].
        seeds: F(0) (N, C), of any type that turns into float64.
        alpha: share taken from the neighbours, in [0, 1); 0 returns the seeds.
        progress: called with columns done and of all.

    Raises:
        InputError: alpha outside [0, 1).
    """
    if not 0.0 <= alpha < 1.0:
        raise InputError(f"Expected alpha in [0, 1), but got {alpha}.")
    met: list[bool] = []

    def solve(start: Columns) -> Columns:
        solution, solved = _conjugate_gradient(graph, (1.0 - alpha) * start, alpha, tol, iterations)
        met.append(solved)
        return solution

    solution = _by_columns(solve, seeds, progress)
    if not all(met):
        log.warning(
            "Spreading stopped after %d steps before its tolerance %g was met; raise iterations.", iterations, tol
        )
    return solution


def _conjugate_gradient(
    graph: sparse.csr_array, right: Columns, alpha: float, tol: float, iterations: int
) -> tuple[Columns, bool]:
    """Return F of (I - alpha Ŝ) F = right, and whether every column met its tolerance."""
    solution, direction, product = right.copy(), right.copy(), np.zeros_like(right)
    _combine(*_parts(graph), right, alpha, right, 0.0, product)
    residual = product.copy()  # right - (I - alpha Ŝ) right
    direction[:] = residual
    energy = _squares(residual, residual)
    bound = tol**2 * _squares(right, right)
    for _ in range(iterations):
        if (energy <= bound).all():
            break
        product[:] = 0.0
        _combine(*_parts(graph), direction, -alpha, direction, 1.0, product)
        curvature = _squares(direction, product)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        solution += step * direction
        residual -= np.multiply(step, product, out=product)
        following = _squares(residual, residual)
        direction *= np.divide(following, energy, out=np.zeros_like(energy), where=energy > 0)
        direction += residual
        energy = following
    return solution, bool((energy <= bound).all())


def _squares(left: Columns, right: Columns) -> NDArray[np.float64]:
    return np.einsum("nc,nc->c", left, right)


def build_diffusion(
    kind: str, t: float = 4.0, alpha: float = 0.9, tol: float = 1e-6, progress: Progress | None = None
) -> Diffusion:
    """Return the diffusion named ``kind`` with its parameters bound.

    Raises:
        InputError: unknown kind.
    """
    if kind == "heat":
        return lambda graph, seeds: heat(graph, seeds, t, tol, progress)
    if kind == "spread":
        return lambda graph, seeds: spread(graph, seeds, alpha, tol, progress=progress)
    raise InputError(f"Expected diffusion to be one of {', '.join(DIFFUSIONS)}, but got '{kind}'.")
