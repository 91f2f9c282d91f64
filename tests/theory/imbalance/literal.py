"""The problems sample by sample and matrix by matrix, sharing no code with what they check."""

import numpy as np
from scipy.optimize import minimize


def cross_entropy(logits, targets):
    top = logits.max(axis=0)
    return top + np.log(np.exp(logits - top).sum(axis=0)) - (targets * logits).sum(axis=0)


def softmax(logits):
    odds = np.exp(logits - logits.max(axis=0))
    return odds / odds.sum(axis=0)


def targets_of(count, smoothing=0.0):
    return (1 - smoothing) * np.eye(count) + smoothing / count


def data_term(loss, logits, targets, shares):
    values = (
        cross_entropy(logits, targets)
        if loss == "cross_entropy"
        else 0.5 * ((logits - targets) ** 2).sum(axis=0)
    )
    return float(values @ shares)


def program_value(loss, logits, bias, targets, shares, counts, level, decay=0.0):
    """The objective of (P) for dense matrices."""
    norm = np.linalg.norm(logits * np.sqrt(counts), "nuc")
    data = data_term(loss, logits + bias[:, None], targets, shares)
    return data + level * norm + decay / 2 * bias @ bias


def proven_gap(logits, targets, shares, counts, level):
    """Relative gap of cross-entropy without bias, from a dual point that is checked to be one.

    The subgradient UVᵀ of the singular values that are not zero, and what lies off their spaces of
    the residual, cut to norm 1.
    """
    root = np.sqrt(counts)
    u, values, vt = np.linalg.svd(logits * root)
    residual = (targets - softmax(logits)) * shares / root / level
    best = -np.inf
    for share in (1e-1, 1e-2, 1e-3, 1e-5):
        rank = int(np.sum(values > share * values[0]))
        rest = u[:, rank:].T @ residual @ vt[rank:].T
        left, cut, right = np.linalg.svd(rest)
        turned = u[:, :rank] @ vt[:rank]
        turned += u[:, rank:] @ (left * np.minimum(cut, 1)) @ right @ vt[rank:]
        q = targets - level * turned * root / shares
        assert np.linalg.norm((q - targets) * shares / root, 2) <= level * (1 + 1e-12)
        np.testing.assert_allclose(q.sum(axis=0), 1.0, atol=1e-9)
        if q.min() > 0:
            best = max(best, float(-(q * np.log(q)).sum(axis=0) @ shares))
    value = program_value(
        "cross_entropy", logits, np.zeros(len(targets)), targets, shares, counts, level
    )
    return (value - best) / value


def descend(
    counts,
    weight_decay,
    feature_decay,
    *,
    loss="cross_entropy",
    bias=False,
    smoothing=0.0,
    class_weights=None,
    nonnegative=False,
    starts=3,
    seed=0,
):
    """Best of a few descents on (W, H, b), a feature vector a sample: risk, logits of class means.

    Returns (risk, W, class means as rows, b).
    """
    count, total = len(counts), sum(counts)
    labels = np.repeat(np.arange(count), counts)
    targets = targets_of(count, smoothing)[:, labels]
    weights = np.ones(count) if class_weights is None else np.asarray(class_weights)
    shares, dim = weights[labels] / total, count + 1
    decay = 0.0 if isinstance(bias, bool) else bias
    cut = count * dim, count * dim + total * dim

    def split(flat):
        return (
            flat[: cut[0]].reshape(count, dim),
            flat[cut[0] : cut[1]].reshape(total, dim),
            flat[cut[1] :] if bias is not False else np.zeros(count),
        )

    def value(flat):
        weight, features, shift = split(flat)
        logits = weight @ features.T + shift[:, None]
        result = data_term(loss, logits, targets, shares)
        result += weight_decay / 2 * (weight**2).sum() + feature_decay / 2 * (features**2).sum()
        result += decay / 2 * shift @ shift
        slope = (softmax(logits) if loss == "cross_entropy" else logits) - targets
        slope = slope * shares
        parts = [
            slope @ features + weight_decay * weight,
            slope.T @ weight + feature_decay * features,
        ]
        if bias is not False:
            parts.append(slope.sum(axis=1) + decay * shift)
        return result, np.concatenate([part.ravel() for part in parts])

    rng = np.random.default_rng(seed)
    size = cut[1] + (count if bias is not False else 0)
    bounds = [(None, None)] * cut[0] + [(0.0 if nonnegative else None, None)] * (cut[1] - cut[0])
    bounds += [(None, None)] * (size - cut[1])
    best = None
    for trial in range(starts):
        start = rng.uniform(0.0, 1.5, size) if nonnegative else rng.standard_normal(size)
        if nonnegative and trial % 2:  # random starts often lose a class that the optimum keeps
            frame = np.eye(count, dim)
            start = np.concatenate([frame.ravel(), frame[labels].ravel()]) + 0.3 * start
        result = minimize(
            value,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds if nonnegative else None,
            options={"maxiter": 20000, "maxfun": 40000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 40},
        )
        if best is None or result.fun < best.fun:
            best = result
    weight, features, shift = split(best.x)
    means = np.array([features[labels == k].mean(axis=0) for k in range(count)])
    return best.fun, weight, means, shift
