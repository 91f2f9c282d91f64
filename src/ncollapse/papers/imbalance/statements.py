"""What the theory of unequal classes states, and the claims that stand for it: results of ours."""

from __future__ import annotations

from ncollapse.claims import Statement

STATEMENTS = (
    Statement(
        "Depth law (conjecture)",
        "with decay on every layer and tight classes, margins minimise "
        "π_k log(1 + (K−1)e^{−m}) + μ(m√((K−1)/K))^{2/L}, μ = λL/2 in units of the inputs",
        ("imbalance.depth.margins", "imbalance.depth.value", "imbalance.depth.geometry"),
    ),
    Statement(
        "Batch-norm theorem",
        "decay of the affine parameters of a last batch norm bounds the loss from below by the "
        "optimum of free features with λ_H = λ/N",
        (
            "imbalance.batch_norm.bound",
            "imbalance.batch_norm.margins",
            "imbalance.batch_norm.geometry",
        ),
    ),
)
