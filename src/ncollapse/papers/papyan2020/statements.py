"""Every criterion, figure, table and theorem of papyan2020, and the claims that stand for it."""

from __future__ import annotations

from ncollapse.claims import Statement

_MORE_TRAINING = "needs test images and attacks on seven data sets: not measured here"

STATEMENTS = (
    Statement(
        "terminal phase of training",
        "training goes on beyond zero error",
        ("papyan2020.curves.zero-error",),
    ),
    Statement(
        "(NC1), Figure 6",
        "variability within classes collapses",
        ("papyan2020.curves.variability",),
    ),
    Statement(
        "(NC2), Figure 2",
        "class means, and classifiers, become equally long",
        ("papyan2020.curves.norms",),
    ),
    Statement(
        "(NC2), Figures 3 and 4",
        "the angles between them become equal, and as large as they can be",
        ("papyan2020.curves.angles",),
    ),
    Statement(
        "(NC3), Figure 5",
        "the classifier converges to the class means, up to scale",
        ("papyan2020.curves.duality",),
    ),
    Statement(
        "(NC4), Figure 7",
        "the classifier decides as the nearest class mean does",
        ("papyan2020.curves.nearest-mean",),
    ),
    Statement("simplex ETF", "K unit vectors with cosines −1/(K−1)", reason="definition"),
    Statement("Figure 1", "collapse of one network, drawn", reason="an illustration"),
    Statement("Figure 8", "robustness grows beyond zero error", reason=_MORE_TRAINING),
    Statement("Table 1", "test accuracy grows beyond zero error", reason=_MORE_TRAINING),
    Statement(
        "theorem on (NC1) and (NC2)",
        "the least-squares classifier on collapsed features is self-dual and decides by the nearest "
        "mean",
        reason="a step from (NC1), (NC2) to (NC3), (NC4), quoted from Webb and Lowe",
    ),
    Statement(
        "theorem on the error exponent",
        "of self-dual classifiers in white noise the simplex ETF has the best",
        reason="large deviations of a noise model: nothing is trained in it",
    ),
)
