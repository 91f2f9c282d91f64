"""What networks with batch norm must show of the batch-norm theorem."""

from __future__ import annotations

from ncollapse.claims import Claim, Relation, Wrong

_ROUNDING = 1e-9

CLAIMS = (
    Claim(
        id="imbalance.batch_norm.margins",
        experiment="imbalance.batch_norm",
        statement="batch-norm theorem",
        says="margin of every class over the one that is predicted before training",
        source="closed form and convex program; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=0.02,
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
        tolerance=_ROUNDING,
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
        expected=0.06,
        measure=lambda result: result.distances("batch_norm"),
        wrong=Wrong("the balanced simplex", measure=lambda r: r.distances("balanced")),
    ),
    Claim(
        id="imbalance.batch_norm_kinds.bound",
        experiment="imbalance.batch_norm_kinds",
        statement="batch-norm theorem",
        says="loss plus decay of head, γ and β over its proven bound, of every network, trained on all "
        "samples or in batches",
        source="batch-norm theorem; rounding",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=_ROUNDING,
        measure=lambda result: result.values("full"),
        wrong=Wrong("a bound of loss and head alone", measure=lambda r: r.values("bare")),
    ),
    Claim(
        id="imbalance.batch_norm_kinds.batches",
        experiment="imbalance.batch_norm_kinds",
        statement="batch-norm theorem in batches",
        says="the same with the statistics of each batch of a partition, loss averaged over samples",
        source="batch-norm theorem, batch by batch; rounding",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=_ROUNDING,
        measure=lambda result: result.values("batched"),
        wrong=Wrong("a bound of loss and head alone", measure=lambda r: r.values("bare")),
    ),
    Claim(
        id="imbalance.batch_norm_kinds.running",
        experiment="imbalance.batch_norm_kinds",
        statement="batch-norm theorem, running statistics",
        says="the same with running statistics, over the bound at λ(‖γ‖² + ‖β‖²)/Σ‖h‖²",
        source="convex program and closed form at the measured decay of features; rounding",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=_ROUNDING,
        measure=lambda result: result.values("running"),
        wrong=Wrong("a bound of loss and head alone", measure=lambda r: r.values("bare")),
    ),
    Claim(
        id="imbalance.batch_norm_kinds.margins",
        experiment="imbalance.batch_norm_kinds",
        statement="batch-norm theorem",
        says="margin farthest from its prediction, over it, of every network on tight classes that was "
        "trained on all samples",
        source="closed form and convex program; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=0.02,
        measure=lambda result: result.values(
            "margins", data="tight", batch_size=0, affine_decayed=True
        ),
        wrong=Wrong(
            "γ and β need no decay", measure=lambda r: r.values("margins", affine_decayed=False)
        ),
    ),
    Claim(
        id="imbalance.batch_norm_training.bound",
        experiment="imbalance.batch_norm_training",
        statement="batch-norm theorem",
        says="loss plus decay of head, γ and β over its proven bound, at every epoch, with the "
        "statistics of all samples and of batches",
        source="batch-norm theorem; rounding",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=_ROUNDING,
        measure=lambda result: result.stacked("values", "batched"),
        wrong=Wrong("a bound of loss and head alone", measure=lambda r: r.stacked("bare")),
    ),
    Claim(
        id="imbalance.batch_norm_training.gap",
        experiment="imbalance.batch_norm_training",
        statement="ours, measured",
        says="bound over value after each of the epochs, its largest fall",
        source="momentum descent; 2 % is ours",
        relation=Relation.MONOTONE,
        tolerance=0.02,
        measure=lambda result: (1.0 - result.stacked("gaps")).min(axis=0),
        wrong=Wrong("the gap grows", measure=lambda result: result.stacked("gaps").max(axis=0)),
    ),
)
