"""Which theory does a trained last layer follow, and are its assumptions met?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse._checks import check_matrix, check_positive
from ncollapse.data import open_features
from ncollapse.geometry import centring_matrix
from ncollapse.metrics import file_classes
from ncollapse.theory.imbalance import LastLayerObjective, LastLayerStats, layer_decays, seli
from ncollapse.theory.imbalance.arguments import check_one_of
from ncollapse.theory.imbalance.explanation import AssumptionCheck, Explanation, TheoryFit
from ncollapse.theory.imbalance.measured import (
    NONNEGATIVE,
    MeasuredLayer,
    distance,
    measure_layer,
)
from ncollapse.theory.predict import predict

TIGHT = 0.01
"""Classes are tight up to this variation within them, as a share of that between them."""
EQUAL_COUNTS = 1.1
"""Counts are equal up to this quotient of the largest and the smallest."""
SIGNED = 1e-2
"""Features have any sign from this share of Σh² in negative entries on."""
PROPORTIONAL = 0.1
STATIONARY = 0.1
"""Relative error of the decay that stationarity of W shows."""
SMALL_GAP = 0.05
SMALL_LOSS = 1e-2
"""The loss has vanished where a class's mean of 1 − p is below this."""
ORTHOGONAL = 0.25
"""Largest cosine between class means of the inputs; the law was measured to 0.24."""
EXPLAINS = 0.1
"""A theory whose largest distance exceeds this explains nothing."""
TIE = 0.01
"""Theories this close are equally good: the one that takes the fewest numbers from the network."""
FEWEST_NUMBERS = ("balanced", "orthogonal", "seli", "batch_norm", "depth", "peeled", "nonnegative")


def explain(
    features: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    weight_decay: float | Sequence[float] | None = None,
    feature_decay: float | None = None,
    depth: int | None = None,
    normalisation: str | None = None,
    inputs: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | np.ndarray | None = None,
) -> Explanation:
    """Compare a last layer trained with cross-entropy with every theory of where it is heading.

    Parameters
    ----------
    features, labels, weight, bias
        ``(N, D)``, rows of ``weight`` ``(N,)``, ``(K, D)`` and ``(K,)``.
    weight_decay
        λ_W of λ_W/2 ‖W‖² beside the mean loss; with ``depth`` also one a layer, the last layer last.
        Without it theories use −Σ⟨∂ℓ_i, Wh_i⟩/(N‖W‖²), which is right for a stationary W, and there
        is no gap.
    feature_decay
        With batch norm the decay of γ and β, by default that of the last layer; else measured.
    depth
        Number L of layers that are all decayed by λ_W; without it the depth law is not computed.
    normalisation
        "batch": batch norm before the last activation, γ and β decayed.
    inputs
        ``(N, d)`` inputs of the network, for the depth law: they give it the margin of each class.
        Without them classes get one input norm, the one that the law itself implies,
        r^p = (λ̄/λ_L) ‖Z‖_{S_p}^p/‖W‖², p = 2/L, λ̄ the geometric mean of the decays.
    label_smoothing, class_weights
        Those of the loss, as in `predict`.

    Raises
    ------
    ValueError, TypeError
        As `LastLayerStats.update`; a class without samples; weight or features all zero.
    """
    batches = [(features, labels)]
    state = LastLayerStats(
        np.shape(weight)[0], label_smoothing=label_smoothing, class_weights=class_weights
    )
    return explain_layer(
        measure_layer(batches, weight, bias, state),
        weight_decay=weight_decay,
        feature_decay=feature_decay,
        depth=depth,
        normalisation=normalisation,
        inputs=inputs,
        labels=labels,
    )


def explain_file(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    head: str | Path | None = None,
    weight_decay: float | None = None,
    depth: int | None = None,
    normalisation: str | None = None,
) -> Explanation:
    """`explain` for a file as `measure_file` takes it, with a classifier in it or in ``head``."""
    file = open_features(path, labels=labels, head=head)
    if file.weight is None:
        raise ValueError(f"{path} lacks weight: the classifier is needed, there or in head")
    classes = np.array(file_classes(file))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for features, values in file.batches():
            yield features, np.searchsorted(classes, values)

    layer = measure_layer(batches(), file.weight, file.bias)
    return explain_layer(layer, weight_decay=weight_decay, depth=depth, normalisation=normalisation)


def explain_layer(
    layer: MeasuredLayer,
    *,
    weight_decay: float | Sequence[float] | None = None,
    feature_decay: float | None = None,
    depth: int | None = None,
    normalisation: str | None = None,
    inputs: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    checks: Mapping[str, Sequence[AssumptionCheck]] | None = None,
    notes: Sequence[str] = (),
) -> Explanation:
    """`explain` for what was measured already.

    ``labels`` are those of ``inputs``; ``checks`` of each theory stand beside its own assumptions,
    and ``notes`` beside the notes.
    """
    check_one_of("normalisation", normalisation, (None, "batch"))
    decays = None
    if weight_decay is not None and depth is not None:
        decays = layer_decays(weight_decay, depth)
    elif weight_decay is not None:
        if not isinstance(weight_decay, (int, float)):
            raise ValueError("weight_decay must be one number without depth")
        decays = np.array([check_positive("weight_decay", weight_decay)])
    elif depth is not None:
        layer_decays(1.0, depth)
    if feature_decay is not None:
        check_positive("feature_decay", feature_decay)
        if normalisation is None:
            raise ValueError("feature_decay must be None without batch norm: it is measured")
    if inputs is not None:
        inputs = np.asarray(check_matrix("inputs", np.asarray(inputs)), dtype=float)
        if labels is None or len(inputs) != len(labels):
            given = "no" if labels is None else len(labels)
            raise ValueError(f"inputs has {len(inputs)} rows for {given} labels")
    table = _Table(layer, decays, feature_decay, normalisation, checks or {})
    theories = (
        *table.limits(),
        table.peeled(),
        table.nonnegative(),
        table.depth(depth, inputs, labels),
        table.batch_norm(),
    )
    return Explanation(
        theories=theories,
        best=_best(theories),
        gap=table.gap(nonnegative=layer.nonnegative, normalisation=normalisation),
        feature_decay=None if decays is None else table.feature_decay,
        decay_ratio=layer.decay_ratio,
        disproportion=layer.disproportion,
        weight_decay=table.decay,
        decay_given=decays is not None,
        layer=layer,
        remarks=tuple(notes),
    )


def _best(theories: Iterable[TheoryFit]) -> str | None:
    candidates = [row for row in theories if row.applies and row.largest <= EXPLAINS]
    if not candidates:
        return None
    least = min(row.largest for row in candidates)
    near = [row.name for row in candidates if row.largest <= least + TIE]
    return min(near, key=FEWEST_NUMBERS.index)


class _Table:
    """The rows, from what was measured."""

    def __init__(
        self,
        layer: MeasuredLayer,
        decays: np.ndarray | None,
        affine_decay: float | None,
        normalisation: str | None,
        checks: Mapping[str, Sequence[AssumptionCheck]],
    ) -> None:
        self.layer, self.normalisation, self.checks = layer, normalisation, checks
        self.decays = np.array([layer.stationary_decay]) if decays is None else decays
        self.decay_given = decays is not None
        self.decay = decay = float(self.decays[-1])
        self.affine_decay = affine_decay
        self.centring = centring_matrix(len(layer.counts))
        shown = layer.stationary_decay / decay if decay > 0 else None
        self.tight = _at_most("tight classes", layer.variation, TIGHT)
        self.no_bias = AssumptionCheck("no bias", layer.bias is None)
        self.stationary = (
            _between("stationary weight", shown, 1 - STATIONARY, 1 + STATIONARY)
            if self.decay_given
            else AssumptionCheck(
                "stationary weight", None if decay > 0 else False, layer.stationary_decay
            )
        )
        self.sign = "nonnegative" if layer.nonnegative else "signed"
        self.bias: bool | float = False
        if layer.bias is not None:
            self.bias = True if layer.bias_decay is None else layer.bias_decay

    def gap(self, *, nonnegative: bool, normalisation: str | None = None) -> float | None:
        """Proven gap among last layers with features of this sign; None without a decay."""
        if not self.decay_given:
            return None
        layer = self.layer
        objective = LastLayerObjective(
            self.decay,
            feature_decay=self.affine_decay if normalisation == "batch" else None,
            normalisation=normalisation,
            bias_decay=layer.bias_decay,
            nonnegative=nonnegative,
        )
        root = np.full((1, 1), math.sqrt(layer.weight_square))
        return objective.gap(layer.state, root, layer.bias).gap

    def limits(self) -> Iterator[TheoryFit]:
        """The shapes that need no decay: simplex, orthogonal frame and SELI."""
        layer, centring = self.layer, self.centring
        counts = layer.counts
        equal = _at_most("equal counts", float(counts.max() / counts.min()), EQUAL_COUNTS)
        centred = centring @ layer.means_gram @ centring
        simplex, frame = (centring, centring, centring), (centring, np.eye(len(counts)), centring)
        yield self.row("balanced", (equal, self.tight), simplex, means=centred)
        yield self.row("orthogonal", (equal, self.tight), frame)
        smoothing = layer.state.label_smoothing
        missed = smoothing * (1 - 1 / len(counts)) - np.diag(layer.state.residual_sums) / counts
        vanished = _at_most("vanishing loss", float(missed.max()), SMALL_LOSS)
        checks = self.tight, self.no_bias, self.signed(), vanished
        yield self.row("seli", checks, seli(counts))

    def peeled(self) -> TheoryFit:
        gap = _at_most("small proven gap", self.gap(nonnegative=False), SMALL_GAP)
        checks = self.tight, self.signed(), self.proportional(), self.stationary, gap
        return self.predicted("peeled", checks, feature_decay=self.feature_decay, bias=self.bias)

    def nonnegative(self) -> TheoryFit:
        share = _at_most("nonnegative features", self.layer.negative_share, NONNEGATIVE)
        gap = _at_most("small proven gap", self.gap(nonnegative=True), SMALL_GAP)
        checks = self.tight, share, self.no_bias, self.proportional(), self.stationary, gap
        return self.predicted(
            "nonnegative", checks, feature_decay=self.feature_decay, features="nonnegative"
        )

    def depth(
        self,
        depth: int | None,
        inputs: np.ndarray | None,
        labels: np.ndarray | None,
    ) -> TheoryFit:
        plain = AssumptionCheck(
            "no batch norm before the last activation", self.normalisation is None
        )
        if depth is None:
            known = AssumptionCheck("number of decayed layers known", None)
            return self.row("depth", (known, plain), None)
        checks = [plain, self.tight, self.no_bias, self.stationary]
        options: dict[str, Any] = {"depth": depth, "features": self.sign}
        options["weight_decay"] = self.decays.tolist() if len(self.decays) > 1 else self.decay
        if inputs is None:
            checks.append(AssumptionCheck("nearly orthogonal class inputs", None))
            options["input_norms"] = np.full(len(self.layer.counts), self.implied_norm(depth))
        else:
            options |= {"inputs": inputs, "labels": labels}
            checks.append(
                _at_most(
                    "nearly orthogonal class inputs", _largest_cosine(inputs, labels), ORTHOGONAL
                )
            )
        return self.predicted("depth", checks, **options)

    def batch_norm(self) -> TheoryFit:
        normalised = self.normalisation == "batch"
        used = AssumptionCheck("batch norm before the last activation", normalised)
        if not used.met:
            return self.row("batch_norm", (used,), None)
        affine_decay = self.decay if self.affine_decay is None else self.affine_decay
        shown = self.decay * self.layer.decay_ratio * float(self.layer.counts.sum())
        affine = _between(
            "feature decay times samples over decay of γ and β",
            shown / affine_decay if affine_decay > 0 else None,
            0.8,
            1.25,
        )
        checks = [used, self.tight, affine, self.stationary]
        bias = self.bias
        if self.sign == "nonnegative":
            checks, bias = [*checks, self.no_bias], False
        return self.predicted(
            "batch_norm",
            checks,
            normalisation="batch",
            feature_decay=self.affine_decay,
            features=self.sign,
            bias=bias,
        )

    @property
    def feature_decay(self) -> float:
        return self.decay * self.layer.decay_ratio

    def signed(self) -> AssumptionCheck:
        share = self.layer.negative_share
        return AssumptionCheck("signed features", share >= SIGNED, share, f"at least {SIGNED:g}")

    def proportional(self) -> AssumptionCheck:
        return _at_most("feature decay alone", self.layer.disproportion, PROPORTIONAL)

    def implied_norm(self, depth: int) -> float:
        """r with (λ̄/λ_L)‖Z/r‖_{S_p}^p = ‖W‖², which the law has."""
        power = 2.0 / depth
        mean = float(np.exp(np.mean(np.log(self.decays / self.decay))))
        values = np.linalg.svd(self.layer.logits, compute_uv=False)
        total = mean * float(np.sum(values**power))
        return (total / self.layer.weight_square) ** (1.0 / power)

    def predicted(self, name: str, checks: Iterable[AssumptionCheck], **options: Any) -> TheoryFit:
        """The row of a theory that `predict` computes; without a positive decay there is none."""
        checks = tuple(checks)
        if self.decay <= 0.0:
            return self.row(name, checks, None)
        state = self.layer.state
        options = {"weight_decay": self.decay, "label_smoothing": state.label_smoothing} | options
        try:
            found = predict(self.layer.counts, class_weights=state.class_weights, **options)
        except ValueError as error:
            if options.get("inputs") is None:
                raise
            margin = AssumptionCheck(f"inputs of a class in a half-space: {error}", False)
            return self.row(name, (*checks, margin), None)
        centring = self.centring
        matrices = (
            centring @ found.weight_gram @ centring,
            found.means_gram,
            centring @ found.logits,
        )
        return self.row(name, checks, matrices)

    def row(
        self,
        name: str,
        checks: Iterable[AssumptionCheck],
        matrices: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
        *,
        means: np.ndarray | None = None,
    ) -> TheoryFit:
        checks = (*checks, *self.checks.get(name, ()))
        if matrices is None:
            return TheoryFit(name, None, None, None, checks, None)
        layer = self.layer
        rank = int(np.linalg.matrix_rank(matrices[1], rtol=1e-8, hermitian=True))
        if rank > layer.dim:
            checks = (*checks, _at_most("dimensions of its class means", rank, layer.dim))
        return TheoryFit(
            name,
            distance(layer.weight_gram, matrices[0]),
            distance(layer.means_gram if means is None else means, matrices[1]),
            distance(layer.logits, matrices[2]),
            checks,
            matrices,
        )


def _at_most(name: str, measured: float | None, limit: float) -> AssumptionCheck:
    met = None if measured is None else measured <= limit
    return AssumptionCheck(name, met, measured, f"at most {limit:g}")


def _between(name: str, measured: float | None, low: float, high: float) -> AssumptionCheck:
    met = None if measured is None else low <= measured <= high
    return AssumptionCheck(name, met, measured, f"{low:g} to {high:g}")


def _largest_cosine(inputs: np.ndarray, labels: np.ndarray | None) -> float:
    """Between class means of the inputs."""
    labels = np.asarray(labels)
    means = np.array([inputs[labels == k].mean(axis=0) for k in np.unique(labels)])
    norms = np.linalg.norm(means, axis=1)
    scale = np.outer(norms, norms)
    cosines = np.divide(means @ means.T, scale, out=np.zeros_like(scale), where=scale > 0)
    return float(np.max(np.abs(cosines - np.diag(np.diag(cosines)))))
