"""Reference versions of METHOD §1: graph, link strength, diffusion, label totals. Loops first, speed never."""

from __future__ import annotations

import math
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Vector = list[float]


def _pool_mean(features: Array) -> Vector:
    """Return the column means in exact rational arithmetic, so that a row equal to the mean centres to exactly 0."""
    return [float(mean(column)) for column in zip(*features.astype(np.float64).tolist(), strict=True)]


def _unit_rows(features: Array, centre: Vector) -> list[Vector]:
    """Return each row minus ``centre``, scaled to length 1; a row that is zero after centring stays zero."""
    rows = []
    for row in features.astype(np.float64).tolist():
        centred = [x - c for x, c in zip(row, centre, strict=True)]
        length = math.sqrt(_dot(centred, centred))
        rows.append([x / length if length > 0 else 0.0 for x in centred])
    return rows


def _dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _cosine(a: Vector, b: Vector) -> float:
    """Return the cosine of two vectors; 0 where one of them is zero."""
    lengths = math.sqrt(_dot(a, a)) * math.sqrt(_dot(b, b))
    return _dot(a, b) / lengths if lengths > 0 else 0.0


def _nearest(query: Vector, rows: list[Vector], candidates: list[int], k: int) -> list[int]:
    """Return the ``k`` candidates of highest inner product with ``query``, the lower index first among equals."""
    return sorted(candidates, key=lambda j: (-_dot(query, rows[j]), j))[:k]


def _affinity(a: Vector, b: Vector, kind: str, gamma: float, tau: float) -> float:
    """Return the affinity of two normalised vectors (METHOD §1.1): max(s, 0)^gamma, or exp(-||a - b||^2 / (4 tau))."""
    if kind == "cosine_power":
        return max(_dot(a, b), 0.0) ** gamma
    if kind == "heat":
        return math.exp(-math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / (4 * tau))
    raise ValueError(f"Expected kind to be cosine_power or heat, but got {kind}.")


def knn_reference(features: Array, k: int) -> tuple[NDArray[np.int64], Array]:
    """Find the K nearest rows by cosine of the centred rows (METHOD §1.1), never the row itself, ties by index.

    A row that is zero after centring has similarity 0 to all.

    Returns:
        index and similarity, both (N, K), most similar first; negative similarities are kept. K < N is expected.
    """
    unit = _unit_rows(features, _pool_mean(features))
    index, similarity = [], []
    for i in range(len(unit)):
        neighbours = _nearest(unit[i], unit, [j for j in range(len(unit)) if j != i], k)
        index.append(neighbours)
        similarity.append([_dot(unit[i], unit[j]) for j in neighbours])
    return np.array(index, dtype=np.int64), np.array(similarity, dtype=np.float64)


def affinity_reference(
    features: Array, k: int, kind: str = "cosine_power", gamma: float = 3.0, tau: float = 1.0
) -> Array:
    """Return the affinity W (N, N) of METHOD §1.1, symmetrised by maximum, with zero diagonal.

    ``heat`` measures ||x_i - x_j||^2 between the normalised rows themselves: 2 - 2 s_ij between two unit rows, but 1
    between a unit row and a row that is zero after centring, and 0 between two such zero rows.
    """
    unit = _unit_rows(features, _pool_mean(features))
    index, _ = knn_reference(features, k)
    affinity = np.zeros((len(unit), len(unit)))
    for i in range(len(unit)):
        for j in index[i]:
            weight = _affinity(unit[i], unit[j], kind, gamma, tau)
            affinity[i, j] = max(affinity[i, j], weight)
            affinity[j, i] = max(affinity[j, i], weight)
    return affinity


def wcn_reference(W: Array) -> Array:
    """Return the weighted-common-neighbour strength S (N, N) of METHOD §1.2, eq. 1.

    S_AB = sum over C in N(A) ∩ N(B) of w_AC + w_CB for linked A, B, else 0. A node whose whole row of S is zero keeps
    its affinity row, and its column with it: S_AB = W_AB where row A or row B of eq. 1 is entirely zero. So S is
    symmetric, and a link between two nodes that both have other strength may still become 0.
    """
    n = len(W)
    common = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            for c in range(n):
                if W[a, b] > 0 and W[a, c] > 0 and W[c, b] > 0:
                    common[a, b] += W[a, c] + W[c, b]
    strength = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            keeps_affinity = not common[a].any() or not common[b].any()
            strength[a, b] = W[a, b] if keeps_affinity else common[a, b]
    return strength


def normalise_reference(S: Array) -> Array:
    """Return Ŝ = Δ^(-1/2) S Δ^(-1/2) with Δ the row sums of S (METHOD §1.3); an isolated node has a zero row."""
    n = len(S)
    degree = [math.fsum(S[i]) for i in range(n)]
    normalised = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if degree[i] > 0 and degree[j] > 0:
                normalised[i, j] = S[i, j] / math.sqrt(degree[i] * degree[j])
    return normalised


def heat_reference(S_hat: Array, F0: Array, t: float) -> Array:
    """Return F(t) = exp(-t (I - Ŝ)) F(0) (METHOD §1.3) by the dense matrix exponential.

    An isolated node has Ŝ row 0, so the formula lets it decay by e^-t.
    """
    return np.asarray(expm(-t * (np.eye(len(S_hat)) - S_hat)) @ F0)


def spread_reference(S_hat: Array, F0: Array, alpha: float) -> Array:
    """Return F = (1 - alpha) (I - alpha Ŝ)^(-1) F(0) (METHOD §1.3) by the dense inverse."""
    return np.asarray((1 - alpha) * (np.linalg.inv(np.eye(len(S_hat)) - alpha * S_hat) @ F0))


def rates_reference(values: NDArray[np.generic], known: Mask) -> Array:
    """Return pi (C,), each label's rate among its known cells (METHOD §1.4); 0 where nothing is known."""
    rates = []
    for c in range(values.shape[1]):
        cells = [float(values[j, c]) for j in range(len(values)) if known[j, c]]
        rates.append(math.fsum(cells) / len(cells) if cells else 0.0)
    return np.array(rates)


def label_totals_reference(
    H: Array, values: NDArray[np.generic], known: Mask, kappa: float
) -> tuple[Array, Array, Array]:
    """Return the totals a, b and the scores f, each (N, C), of METHOD §1.4 for a dense diffusion operator H (N, N).

    a_ic = sum_j H_ij O_jc Y_jc, b_ic = sum_j H_ij O_jc, f_ic = (a_ic + kappa pi_c) / (b_ic + kappa). Known cells of f
    are then clamped to their values; a and b stay as summed. Where b_ic + kappa = 0 the score is pi_c, the limit of
    the formula as kappa goes to 0.
    """
    n, labels = values.shape
    pi = rates_reference(values, known)
    a, b, f = np.zeros((n, labels)), np.zeros((n, labels)), np.zeros((n, labels))
    for i in range(n):
        for c in range(labels):
            informed = [j for j in range(n) if known[j, c]]
            a[i, c] = math.fsum(H[i, j] * float(values[j, c]) for j in informed)
            b[i, c] = math.fsum(H[i, j] for j in informed)
            total = b[i, c] + kappa
            f[i, c] = (a[i, c] + kappa * pi[c]) / total if total > 0 else pi[c]
            if known[i, c]:
                f[i, c] = float(values[i, c])
    return a, b, f


def dynamic_reference(
    W: Array,
    values: NDArray[np.generic],
    known: Mask,
    t: float,
    kappa: float,
    rounds: int,
    eta: float,
) -> tuple[Array, Array, Array]:
    """Return a, b and f of METHOD §1.4 after ``rounds`` rounds of dynamic strength (METHOD §1.5), without early stop.

    Round 1 is static: S from W. Each later round takes w_ij^(r) = w_ij (1 + eta cos(f_i, f_j)), W always the first
    affinity and f the clamped scores of the round before, then strength, Ŝ, heat and totals anew. The cosine with a
    zero row is 0.
    """
    weights = W
    for _ in range(rounds):
        operator = heat_reference(normalise_reference(wcn_reference(weights)), np.eye(len(W)), t)
        a, b, f = label_totals_reference(operator, values, known, kappa)
        rows = f.tolist()
        weights = np.zeros_like(W)
        for i in range(len(W)):
            for j in range(len(W)):
                weights[i, j] = W[i, j] * (1 + eta * _cosine(rows[i], rows[j]))
    return a, b, f


def single_label_reference(a: Array) -> NDArray[np.int64]:
    """Return arg max over c of a_ic (METHOD §1.4), (N,); the lowest label index among equals."""
    chosen = []
    for row in a.tolist():
        best = 0
        for c in range(1, len(row)):
            if row[c] > row[best]:
                best = c
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def inductive_reference(
    features: Array,
    scores: Array,
    new_features: Array,
    pi: Array,
    k: int,
    kind: str = "cosine_power",
    gamma: float = 3.0,
    tau: float = 1.0,
) -> Array:
    """Return scores (Q, C) of images outside the graph (METHOD §1.7): f_new = sum_j w_j f_j / sum_j w_j.

    j runs over the K nearest graph nodes by cosine, ties by index; the new row is centred by the pool's mean and
    normalised like the pool, and w_j is the graph's affinity (METHOD §1.1). Where all weights are 0, f_new = pi.
    """
    centre = _pool_mean(features)
    pool = _unit_rows(features, centre)
    out = []
    for query in _unit_rows(new_features, centre):
        neighbours = _nearest(query, pool, list(range(len(pool))), k)
        weights = [_affinity(query, pool[j], kind, gamma, tau) for j in neighbours]
        total = math.fsum(weights)
        row = []
        for c in range(scores.shape[1]):
            weighted = math.fsum(w * scores[j, c] for w, j in zip(weights, neighbours, strict=True))
            row.append(weighted / total if total > 0 else float(pi[c]))
        out.append(row)
    return np.array(out)
