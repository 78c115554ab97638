"""Reference versions of METHOD §2 to §5: attention, co-occurrence, label GCN, fusion, losses; ridge by refitting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Vector = list[float]


def _dot(a: Sequence[float] | Array, b: Sequence[float] | Array) -> float:
    return math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    """Return log(1 + e^x), which is -log sigmoid(-x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _compatibility(local: Vector, g: Array, u: Array | None, rule: str) -> float:
    """Return u·(l + g) for ``additive``, <l, g> for ``dot`` (METHOD §2, eq. 3)."""
    if rule == "dot":
        return _dot(local, g)
    if rule == "additive" and u is not None:
        return math.fsum(float(u[e]) * (local[e] + float(g[e])) for e in range(len(local)))
    raise ValueError(f"Expected compatibility to be dot, or additive with u given, but got {rule}.")


def _position_weights(scores: Vector, normalisation: str) -> Vector:
    """Return softmax over all positions (METHOD §2, eq. 4), or the sigmoid of each position by itself."""
    if normalisation == "softmax":
        top = max(scores)
        return [math.exp(c - top) / math.fsum(math.exp(d - top) for d in scores) for c in scores]
    if normalisation == "sigmoid":
        return [_sigmoid(c) for c in scores]
    raise ValueError(f"Expected normalisation to be softmax or sigmoid, but got {normalisation}.")


def attention_reference(
    maps: Array,
    projection: Array,
    bias: Array,
    g: Array,
    u: Array | None = None,
    compatibility: str = "additive",
    normalisation: str = "softmax",
) -> tuple[Array, Array]:
    """Return the attention map a (B, H, W) and the attended vector g_a (B, E) of one stage (METHOD §2, eq. 3-5).

    l_i = P x_i + bias with x_i (Ch,) the map's vector at position i; c_i = u·(l_i + g) or <l_i, g>; a = softmax or
    sigmoid of c over positions; g_a = sum_i a_i l_i, also for ``sigmoid`` without division by sum_i a_i.

    maps (B, Ch, H, W), projection (E, Ch), bias (E,), g (B, E), u (E,), needed for ``additive`` only.
    """
    batch, _, height, width = maps.shape
    attention = np.zeros((batch, height, width))
    attended = np.zeros((batch, len(projection)))
    for b in range(batch):
        positions = [(y, x) for y in range(height) for x in range(width)]
        local = [
            [_dot(projection[e], maps[b, :, y, x]) + float(bias[e]) for e in range(len(projection))]
            for y, x in positions
        ]
        weights = _position_weights([_compatibility(v, g[b], u, compatibility) for v in local], normalisation)
        for weight, vector, (y, x) in zip(weights, local, positions, strict=True):
            attention[b, y, x] = weight
            attended[b] += [weight * v for v in vector]
    return attention, attended


def convolution_block_reference(
    x: Array, kernel: Array, scale: Array, shift: Array, mean: Array, variance: Array, eps: float
) -> Array:
    """Return 2x2 max-pooling of relu(batch norm of the 3x3 convolution of x), by fixed statistics (METHOD §2).

    Zeros stand around x; the last window of an odd side holds what is left. x (B, Ch, H, W), kernel (E, Ch, 3, 3), the
    other four (E,). Returns (B, E, ceil(H / 2), ceil(W / 2)).
    """
    batch, channels, height, width = x.shape
    out = np.full((batch, len(kernel), -(-height // 2), -(-width // 2)), -np.inf)
    for b, e, row, column in np.ndindex(batch, len(kernel), height, width):
        total = math.fsum(
            float(kernel[e, c, dy + 1, dx + 1] * x[b, c, row + dy, column + dx])
            for c in range(channels)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if 0 <= row + dy < height and 0 <= column + dx < width
        )
        value = max(0.0, scale[e] * (total - mean[e]) / math.sqrt(variance[e] + eps) + shift[e])
        out[b, e, row // 2, column // 2] = max(out[b, e, row // 2, column // 2], value)
    return out


def ml_gcn_reference(conditional: Array, phi: float, lam: float, theta: float = 1e-6) -> Array:
    """Return M (C, C) normalised as ML-GCN does (Chen et al. 2019): links into a label sum to lam at most.

    M_ij = lam P'_ij / (sum over i' ≠ j of P'_i'j + theta) where P'_ij >= phi, else 0; M_ii = 1.
    """
    labels = range(len(conditional))
    graph = np.eye(len(conditional))
    for i in labels:
        for j in labels:
            if i != j and conditional[i, j] >= phi:
                column = math.fsum(conditional[k, j] for k in labels if k != j)
                graph[i, j] = lam * conditional[i, j] / (column + theta)
    return graph


def expected_reference(probabilities: Array, known: Mask) -> Array:
    """Return P' (C, C), the ratio of expected counts over all draws of the labels, each independent given its image.

    E[images with i and j] / E[images with i in which j counts], both cells counting; 0 without any.
    """
    images, labels = probabilities.shape
    found = np.zeros((labels, labels))
    for i in range(labels):
        for j in range(labels):
            both, some = [], []
            for n in range(images):
                if known[n, i] and known[n, j]:
                    p, q = float(probabilities[n, i]), float(probabilities[n, j])
                    both.append(p if i == j else p * q)
                    some.append(p)
            found[i, j] = math.fsum(both) / math.fsum(some) if math.fsum(some) else 0.0
    return found


def cooccurrence_reference(
    values: NDArray[np.generic], known: Mask, phi: float = 0.1, lam: float = 0.25, theta: float = 1e-6
) -> tuple[Array, Array, Array]:
    """Return the counts P, the conditional rates P' and the label graph M, each (C, C) (METHOD §3, eq. 6-8).

    P_ij = images in which labels i and j are both known and positive; P_ii = N_i.
    P'_ij = P_ij / N_ij estimates P(j | i); N_ij = images in which i is positive and j is *known*, so that an unknown j
    never counts as absent. With every cell known N_ij = N_i, as in eq. 7. N_ij = 0 gives 0; P'_ii = 1 for a label seen.
    M_ij = 0 where P'_ij < phi, else lam P'_ij / (sum over j' ≠ i of P'_ij' + theta); M_ii = 1, for labels never seen
    too. The sum leaves out the diagonal, as ML-GCN's does (else a row's links could not reach lam), and takes in what
    lies under phi.
    """
    images, labels = values.shape
    positive = np.logical_and(values, known)
    counts, conditional, graph = (np.zeros((labels, labels)) for _ in range(3))
    for i in range(labels):
        for j in range(labels):
            counts[i, j] = sum(1 for n in range(images) if positive[n, i] and positive[n, j])
            informed = sum(1 for n in range(images) if positive[n, i] and known[n, j])
            conditional[i, j] = counts[i, j] / informed if informed else 0.0
    for i in range(labels):
        others = math.fsum(conditional[i, j] for j in range(labels) if j != i)
        for j in range(labels):
            if i == j:
                graph[i, j] = 1.0
            elif conditional[i, j] > 0 and conditional[i, j] >= phi:
                graph[i, j] = lam * conditional[i, j] / (others + theta)
    return counts, conditional, graph


def a_hat_reference(M: Array) -> Array:
    """Return Â = Δ^(-1/2) M Δ^(-1/2) with Δ the row sums of M (METHOD §3); M need not be symmetric."""
    scale = [1 / math.sqrt(math.fsum(row)) for row in M]
    return np.array([[scale[i] * M[i, j] * scale[j] for j in range(len(M))] for i in range(len(M))])


def _product(a: list[Vector], b: list[Vector]) -> list[Vector]:
    columns = list(zip(*b, strict=True))
    return [[_dot(row, column) for column in columns] for row in a]


def gcn_reference(A_hat: Array, Z: Array, weights: Sequence[Array]) -> Array:
    """Return W_lab, H^(l+1) = leaky_relu(Â H^(l) W^(l), 0.2) from H^(0) = Z, the last layer linear (METHOD §3)."""
    hidden = Z.tolist()
    for layer, weight in enumerate(weights):
        hidden = _product(_product(A_hat.tolist(), hidden), weight.tolist())
        if layer < len(weights) - 1:
            hidden = [[x if x > 0 else 0.2 * x for x in row] for row in hidden]
    return np.array(hidden)


def mfb_reference(
    F: Array, W_lab: Array, U: Array, V: Array, g: int, signed_sqrt: bool = True, l2: bool = True
) -> Array:
    """Return the fused vectors M (B, C, m / g) of images F (B, dF) and labels W_lab (C, dL) (METHOD §4), no dropout.

    M1 = U F, M2 = V w_i, M_k = sum of M1 ∘ M2 over the k-th run of g consecutive entries; then sign(x) sqrt(|x|) and
    division by max(||M||, 1e-12) for each image and label, where switched on. U (m, dF), V (m, dL), g divides m.
    """
    groups = len(U) // g
    fused = np.zeros((len(F), len(W_lab), groups))
    for b in range(len(F)):
        for c in range(len(W_lab)):
            joint = [_dot(U[k], F[b]) * _dot(V[k], W_lab[c]) for k in range(len(U))]
            pooled = [math.fsum(joint[k * g + r] for r in range(g)) for k in range(groups)]
            if signed_sqrt:
                pooled = [math.copysign(math.sqrt(abs(x)), x) for x in pooled]
            if l2:
                length = max(math.sqrt(_dot(pooled, pooled)), 1e-12)
                pooled = [x / length for x in pooled]
            fused[b, c] = pooled
    return fused


def _mean_over_known(
    cell_loss: Callable[[float, float], float], logits: Array, targets: Array, known: Mask, weights: Array | None
) -> float:
    """Return the sum of weight x cell_loss(logit, target) over known cells, divided by their number; 0 without any."""
    terms = [
        (1.0 if weights is None else float(weights[cell])) * cell_loss(float(logits[cell]), float(targets[cell]))
        for cell in np.ndindex(logits.shape)
        if known[cell]
    ]
    return math.fsum(terms) / len(terms) if terms else 0.0


def weighted_bce_reference(logits: Array, targets: Array, known: Mask, weights: Array | None = None) -> float:
    """Return the weighted cross entropy of METHOD §5, eq. 9, as the mean over known cells.

    wt_p = (|Po| + |Ne| + 1) / (|Po| + 1), wt_n = (|Po| + |Ne| + 1) / (|Ne| + 1), with |Po| the sum of the targets t and
    |Ne| the sum of 1 - t over known cells, which are counts when t is hard. A cell costs
    weight (-wt_p t log sigmoid(x) - wt_n (1 - t) log sigmoid(-x)). Cell weights enter neither the counts nor the
    divisor. All of shape (B, C).
    """
    cells = [float(targets[cell]) for cell in np.ndindex(targets.shape) if known[cell]]
    positive = math.fsum(cells)
    negative = math.fsum(1 - t for t in cells)
    wt_p = (positive + negative + 1) / (positive + 1)
    wt_n = (positive + negative + 1) / (negative + 1)

    def cell_loss(x: float, t: float) -> float:
        return wt_p * t * _softplus(-x) + wt_n * (1 - t) * _softplus(x)

    return _mean_over_known(cell_loss, logits, targets, known, weights)


def asymmetric_reference(
    logits: Array,
    targets: Array,
    known: Mask,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    weights: Array | None = None,
) -> float:
    """Return the asymmetric loss of METHOD §5 (Ridnik et al. 2021, eq. 7), as the mean over known cells.

    With p = sigmoid(x) and p_m = max(p - clip, 0), a cell costs
    -t (1 - p)^gamma_pos log p - (1 - t) p_m^gamma_neg log(1 - p_m).
    """

    def cell_loss(x: float, t: float) -> float:
        positive = _sigmoid(-x) ** gamma_pos * _softplus(-x)
        negative = max(_sigmoid(x) - clip, 0.0) ** gamma_neg * -math.log(min(_sigmoid(-x) + clip, 1.0))
        return t * positive + (1 - t) * negative

    return _mean_over_known(cell_loss, logits, targets, known, weights)


def focal_reference(
    logits: Array, targets: Array, known: Mask, gamma: float = 2.0, weights: Array | None = None
) -> float:
    """Return the focal loss of METHOD §5 without class balance (Lin et al. 2017, eq. 4), as the mean over known cells.

    With p = sigmoid(x), a cell costs -t (1 - p)^gamma log p - (1 - t) p^gamma log(1 - p).
    """

    def cell_loss(x: float, t: float) -> float:
        return t * _sigmoid(-x) ** gamma * _softplus(-x) + (1 - t) * _sigmoid(x) ** gamma * _softplus(x)

    return _mean_over_known(cell_loss, logits, targets, known, weights)


def soft_margin_reference(logits: Array, targets: Array, known: Mask, weights: Array | None = None) -> float:
    """Return the multi-label soft margin loss of METHOD §5 (ML-GCN), as the mean over known cells.

    A cell costs t log(1 + e^-x) + (1 - t) log(1 + e^x): with one mean over known cells this is also the plain ``bce``.
    """

    def cell_loss(x: float, t: float) -> float:
        return t * _softplus(-x) + (1 - t) * _softplus(x)

    return _mean_over_known(cell_loss, logits, targets, known, weights)


def ridge_loo_reference(X: Array, Y: Array, lam: float) -> Array:
    """Return leave-one-out predictions (N, C) of ridge regression from X (N, D) on Y (N, C), by refitting N times.

    Each refit minimises ||Y - X B - 1 c||^2 + lam ||B||^2 over the other rows, the intercept c unpenalised, as ordinary
    least squares on rows extended by sqrt(lam) I. Kernel ridge with the linear kernel of centred X gives the same.
    """
    width = X.shape[1]
    penalty = np.hstack([math.sqrt(lam) * np.eye(width), np.zeros((width, 1))])
    predictions = []
    for i in range(len(X)):
        rest = [j for j in range(len(X)) if j != i]
        design = np.vstack([np.hstack([X[rest], np.ones((len(rest), 1))]), penalty])
        target = np.vstack([Y[rest], np.zeros((width, Y.shape[1]))])
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        predictions.append(X[i] @ solution[:-1] + solution[-1])
    return np.array(predictions)
