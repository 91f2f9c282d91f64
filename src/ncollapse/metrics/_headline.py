"""The few sentences that a measurement starts with, for someone who has not met the metrics."""

from __future__ import annotations

import math

import numpy as np

from ncollapse.metrics._compute import compute_or_explain
from ncollapse.metrics._measure import Measurement
from ncollapse.metrics.geometry import closest_pair
from ncollapse.metrics.variability import breakdown
from ncollapse.stats import UndefinedMetricError

_SHAPES = {
    "nc2_etf_means": "a simplex",
    "nc2_orthogonal_means": "an orthogonal frame",
}


def headline(measured: Measurement) -> list[str]:
    """How collapsed, which class least, which two classes closest, and which shape the means have.

    - within and between: √(tr Σ_W / tr Σ_B), the size of a class beside that of the set of means;
    - least collapsed: the class with the largest √(variance)/‖μ_k − μ_G‖;
    - closest: the largest cosine of two centred means, −1/(K−1) in a simplex;
    - shape: the smaller of ``nc2_etf_means`` and ``nc2_orthogonal_means``.

    A sentence is left out where its numbers are not defined.
    """
    summary = measured.summary
    values, _ = compute_or_explain(summary, preset=["nc1_quotient", *_SHAPES])
    lines = []
    if "nc1_quotient" in values:
        share = math.sqrt(values["nc1_quotient"])
        lines.append(
            f"Samples lie {_percent(share)} as far from their class mean as class means from their centre "
            "(0: collapsed)."
        )
    classes = breakdown(summary)
    spreads = [
        math.sqrt(row["variance"]) / row["mean_norm"] if row["mean_norm"] > 0 else math.inf
        for row in classes
    ]
    if len(classes) > 1 and np.isfinite(spreads).all():
        worst = int(np.argmax(spreads))
        lines.append(
            f"Least collapsed: class {classes[worst]['class']}, whose samples lie "
            f"{_percent(spreads[worst])} as far from its mean as its mean from the centre."
        )
    try:
        (one, other), cosine = closest_pair(summary)
    except UndefinedMetricError:
        return lines
    lines.append(
        f"Closest means: classes {summary.classes[one]} and {summary.classes[other]}, cosine {cosine:.3g} "
        f"(all pairs {-1 / (summary.centred.count - 1):.3g} in a simplex)."
    )
    distances = {name: values[name] for name in _SHAPES if name in values}
    if len(distances) == len(_SHAPES):
        near, far = sorted(distances, key=lambda name: distances[name])
        lines.append(
            f"Shape: nearer to {_SHAPES[near]} ({distances[near]:.2g}) than to {_SHAPES[far]} "
            f"({distances[far]:.2g})."
        )
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 1 else f"{share:.2g} times"
