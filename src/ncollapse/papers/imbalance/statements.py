"""What the theory of unequal classes states, and the claims that stand for it: results of ours."""

from __future__ import annotations

from ncollapse.claims import Statement

STATEMENTS = (
    Statement(
        "Convex program (P)",
        "with decay on W and the features alone, the last layer minimises a convex program, whatever "
        "the loss and the counts",
        (
            "imbalance.peeled.geometry",
            "imbalance.peeled.margins",
            "imbalance.losses.geometry",
            "imbalance.losses.norms",
        ),
    ),
    Statement(
        "One geometry where counts are equal",
        "cross-entropy, smoothed and squared loss with a bias lead to the simplex; with unequal counts "
        "to different geometries",
        ("imbalance.losses.balanced",),
    ),
    Statement(
        "SELI in the limit",
        "as λ → 0 the optimum approaches SELI like c/log(1/λ), with constants derived from the counts",
        ("imbalance.seli.law",),
    ),
    Statement(
        "Minority collapse and its rescue",
        "classes that share a count n coincide iff √n ≤ Nλ; class weights above Nλ/√n keep them apart",
        (
            "imbalance.minority.merging",
            "imbalance.minority.threshold",
            "imbalance.minority.rescue",
        ),
    ),
    Statement(
        "Depth law (conjecture)",
        "with decay on every layer and tight classes, margins minimise "
        "π_k log(1 + (K−1)e^{−m}) + μ(m√((K−1)/K))^{2/L}, μ = λL/2 in units of the inputs; for classes "
        "that are not tight the margin γ_k of each class is the unit",
        (
            "imbalance.depth.margins",
            "imbalance.depth.value",
            "imbalance.depth.geometry",
            "imbalance.depth_digits.loss",
            "imbalance.depth_digits.margins",
            "imbalance.depth_limits.decays",
            "imbalance.depth_limits.below",
        ),
    ),
    Statement(
        "Collapsed network",
        "one path a class along β_k attains a proven upper bound of the optimum of the decayed network",
        (
            "imbalance.depth_digits.explicit",
            "imbalance.depth_digits.bound",
            "imbalance.depth_digits.onwards",
        ),
    ),
    Statement(
        "Where the depth law ends",
        "biases, correlated class means, batch norm and convolutions are outside of it, and in deep "
        "networks classes that share directions of hidden layers end below it",
        (
            "imbalance.depth_limits.sharing",
            "imbalance.depth_limits.biases",
            "imbalance.depth_limits.correlated",
            "imbalance.depth_limits.normalisation",
            "imbalance.depth_limits.convolutions",
        ),
    ),
    Statement(
        "Batch-norm theorem",
        "decay of the affine parameters of a last batch norm bounds the loss from below by the "
        "optimum of free features with λ_H = λ/N; in batches, with the statistics of each, too",
        (
            "imbalance.batch_norm.bound",
            "imbalance.batch_norm.margins",
            "imbalance.batch_norm.geometry",
            "imbalance.batch_norm_kinds.bound",
            "imbalance.batch_norm_kinds.batches",
            "imbalance.batch_norm_kinds.running",
            "imbalance.batch_norm_kinds.margins",
            "imbalance.batch_norm_training.bound",
        ),
    ),
    Statement(
        "Ordinary training stops short",
        "momentum descent in batches ends above the bound of the batch-norm theorem; the gap falls "
        "over the epochs",
        ("imbalance.batch_norm_training.gap",),
    ),
)
