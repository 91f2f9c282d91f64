"""What trained networks must show of the theories of unequal classes, a row each."""

from __future__ import annotations

from ncollapse.claims import Claim, Missing, Relation, Wrong

_WITHIN = 0.02
_NEAR = 0.06

CLAIMS = (
    Claim(
        id="imbalance.depth.margins",
        experiment="imbalance.depth",
        statement="ours, conjecture",
        says="margin of every class over the one that the depth law predicts before training",
        source="depth law; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_WITHIN,
        measure=lambda result: result.ratios(),
        wrong=Wrong("the law at one layer less", measure=lambda r: r.ratios("wrong")),
    ),
    Claim(
        id="imbalance.depth.value",
        experiment="imbalance.depth",
        statement="ours, conjecture",
        says="objective at the end of training over the value of the law",
        source="depth law; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_WITHIN,
        measure=lambda result: result.values(),
        wrong=Wrong("the law at one layer less", measure=lambda r: r.values("wrong_value")),
    ),
    Claim(
        id="imbalance.depth.geometry",
        experiment="imbalance.depth",
        statement="ours, conjecture",
        says="largest distance of the unit matrices of W, means and logits to those of the law",
        source="depth law; 0.06 is ours",
        relation=Relation.AT_MOST,
        expected=_NEAR,
        measure=lambda result: result.distances("depth"),
        wrong=Wrong("the balanced simplex", measure=lambda r: r.distances("balanced")),
    ),
    Claim(
        id="imbalance.batch_norm.margins",
        experiment="imbalance.batch_norm",
        statement="batch-norm theorem",
        says="margin of every class over the one that is predicted before training",
        source="closed form and convex program; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_WITHIN,
        measure=lambda result: result.ratios(),
        wrong=Wrong("the depth law", measure=lambda r: r.ratios("wrong")),
    ),
    Claim(
        id="imbalance.batch_norm.bound",
        experiment="imbalance.batch_norm",
        statement="batch-norm theorem",
        says="loss plus decay of head, γ and β, over its proven bound",
        source="batch-norm theorem; rounding",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=1e-9,
        measure=lambda result: result.values(),
        wrong=Wrong("the depth law as a bound", measure=lambda r: r.values("wrong_value")),
    ),
    Claim(
        id="imbalance.batch_norm.geometry",
        experiment="imbalance.batch_norm",
        statement="batch-norm theorem",
        says="largest distance of the unit matrices of W, means and logits to the predicted ones",
        source="closed form and convex program; 0.06 is ours",
        relation=Relation.AT_MOST,
        expected=_NEAR,
        measure=lambda result: result.distances("batch_norm"),
        wrong=Wrong("the balanced simplex", measure=lambda r: r.distances("balanced")),
    ),
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
        says="the same distance at the least size, with class weights above the rescuing ones",
        source="convex program with class weights; 0.02 is ours",
        relation=Relation.EQUAL,
        expected=lambda result: result.rescued_predicted,
        tolerance=_WITHIN,
        measure=lambda result: result.rescued,
        wrong=Wrong("weights do not matter", expected=lambda result: result.predicted[0]),
    ),
)
