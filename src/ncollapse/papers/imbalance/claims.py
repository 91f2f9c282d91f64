"""What the theory of unequal classes must show, a row each."""

from __future__ import annotations

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong
from ncollapse.papers.imbalance import batch_norm_claims, depth_claims

_WITHIN = 0.02
_NEAR = 0.01

_LIMIT = (
    Claim(
        id="imbalance.seli.law",
        experiment="imbalance.seli",
        statement="SELI in the limit",
        says="limit of distance to SELI times log(1/λ) over the derived one, extrapolated from the "
        "smaller half of the decays",
        source="derived constants; 5 % is ours, terms of order 1/log²(1/λ)",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=0.05,
        measure=lambda result: np.array([one.limits for one in result.approaches]),
        wrong=Wrong(
            "the limit is reached at the second decay",
            measure=lambda r: np.array([one.scaled[1] for one in r.approaches]),
        ),
    ),
)

_LOSSES = (
    Claim(
        id="imbalance.losses.balanced",
        experiment="imbalance.losses",
        statement="one geometry where counts are equal",
        says="distance of unit W, means and logits to the simplex, all losses, equal counts",
        source="convex program; 0.01 is ours",
        relation=Relation.AT_MOST,
        expected=_NEAR,
        measure=lambda result: result.stacked("to_simplex", balanced=True),
        wrong=Wrong(
            "unequal counts too", measure=lambda r: r.stacked("to_simplex", balanced=False)
        ),
    ),
    Claim(
        id="imbalance.losses.geometry",
        experiment="imbalance.losses",
        statement="convex program",
        says="distance of unit W, means and logits to each loss's own prediction",
        source="convex program; 0.01 is ours",
        relation=Relation.AT_MOST,
        expected=_NEAR,
        measure=lambda result: result.stacked("distances"),
        wrong=Wrong("SELI for every loss", measure=lambda r: r.stacked("to_seli")),
    ),
    Claim(
        id="imbalance.losses.norms",
        experiment="imbalance.losses",
        statement="convex program",
        says="‖W‖² and Σ‖h‖² over the predicted ones",
        source="convex program; 1 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_NEAR,
        measure=lambda result: result.stacked("norms"),
        wrong=Wrong("those of cross-entropy", measure=lambda r: r.stacked("plain_norms")),
    ),
)

_PEELED = (
    Claim(
        id="imbalance.peeled.geometry",
        experiment="imbalance.peeled",
        statement="convex program",
        says="largest distance of the unit matrices of W, means and logits to the predicted ones",
        source="convex program and closed form; 0.01 is ours",
        relation=Relation.AT_MOST,
        expected=_NEAR,
        measure=lambda result: np.concatenate(
            [
                result.of(features="signed").distances("peeled"),
                result.of(features="nonnegative").distances("nonnegative"),
            ]
        ),
        wrong=Wrong("the balanced simplex", measure=lambda r: r.distances("balanced")),
    ),
    Claim(
        id="imbalance.peeled.margins",
        experiment="imbalance.peeled",
        statement="convex program",
        says="margin of every class over the one that is predicted before training",
        source="convex program and closed form; 1 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_NEAR,
        measure=lambda result: result.ratios(),
        wrong=Wrong("ten times the decay of the features", measure=lambda r: r.ratios("wrong")),
    ),
)

_MINORITY = (
    Claim(
        id="imbalance.minority.merging",
        experiment="imbalance.minority",
        statement="minority collapse",
        says="distance of the two smallest classes' means over the largest norm of a mean, at each "
        "size",
        source="convex program; 0.02 is ours",
        relation=Relation.EQUAL,
        expected=lambda result: result.predicted,
        tolerance=_WITHIN,
        measure=lambda result: result.distances,
        wrong=Wrong("the program at half the decay", expected=lambda result: result.wrong),
    ),
    Claim(
        id="imbalance.minority.threshold",
        experiment="imbalance.minority",
        statement="minority collapse",
        says="largest distance among sizes that the threshold √n ≤ Nλ calls merging",
        source="threshold; 0.02 is ours",
        relation=Relation.AT_MOST,
        expected=_WITHIN,
        measure=lambda result: (
            result.distances[result.merging].max()
            if result.merging.any()
            else Missing("no size is below the threshold")
        ),
        wrong=Wrong("every size merges", measure=lambda result: result.distances.max()),
    ),
    Claim(
        id="imbalance.minority.rescue",
        experiment="imbalance.minority",
        statement="rescue weights",
        says="the same distance at the sizes that merge, with class weights above the rescuing ones",
        source="convex program with class weights; 0.02 is ours",
        relation=Relation.EQUAL,
        expected=lambda result: result.rescued_predicted,
        tolerance=_WITHIN,
        measure=lambda result: (
            result.rescued if result.merging.any() else Missing("no size is below the threshold")
        ),
        wrong=Wrong(
            "weights do not matter", expected=lambda result: result.predicted[result.merging]
        ),
    ),
)

CLAIMS = (
    *_LIMIT,
    *_LOSSES,
    *_PEELED,
    *depth_claims.CLAIMS,
    *batch_norm_claims.CLAIMS,
    *_MINORITY,
)
