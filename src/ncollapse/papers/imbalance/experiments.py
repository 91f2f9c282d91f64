"""Trained networks on unequal classes against predictions made before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncollapse.papers import experiment

if TYPE_CHECKING:
    from ncollapse.papers.imbalance.bounds import Bounds
    from ncollapse.papers.imbalance.comparisons import Comparison
    from ncollapse.papers.imbalance.criteria import Criteria
    from ncollapse.papers.imbalance.departures import Departures
    from ncollapse.papers.imbalance.digits import Digits
    from ncollapse.papers.imbalance.merging import Minority
    from ncollapse.papers.imbalance.training import Curves
    from ncollapse.papers.imbalance.vanishing import Vanishing

COUNTS = (48, 24, 10, 3)
LONGER = {"width": 64, "epochs": 1_000, "steps": 600}
KINDS: tuple[dict[str, Any], ...] = (
    *({"data": "tight", "depth": d, "relu": relu} for d in (2, 3, 4) for relu in (True, False)),
    *({"data": "digits", "depth": depth} for depth in (2, 3, 4)),
    {"data": "digits", "depth": 3, "relu": False},
    {"data": "clothing", "depth": 3},
    {"data": "clothing", "depth": 4, "relu": False},
    {"data": "digits", "depth": 3, "conv": True},
    {"data": "clothing", "depth": 3, "conv": True},
    {"data": "tight", "depth": 3, "batch_size": 16},
    {"data": "digits", "depth": 3, "batch_size": 32},
    {"data": "clothing", "depth": 3, "batch_size": 32},
    {"data": "digits", "depth": 3, "conv": True, "batch_size": 32},
    {"data": "tight", "depth": 3, "affine_decayed": False},
    {"data": "digits", "depth": 3, "affine_decayed": False},
)
FEW_KINDS = tuple(KINDS[place] for place in (0, 3, 7, 12, 14, 15, 18))
DIGITS = (
    ((0, 1), (60, 20)),
    ((3, 5), (60, 20)),
    ((4, 9), (80, 12)),
    ((1, 7), (50, 10)),
    ((0, 1, 2), (100, 30, 10)),
    ((3, 5, 8), (80, 40, 20)),
    ((4, 7, 9), (60, 20, 20)),
)
"""Digits and how many images of each."""
BODIES: dict[str, dict[str, Any]] = {
    "three layers": {"depth": 3, "width": 64},
    "four convolutions": {"depth": 5, "width": 24, "conv": True},
}


def _powers(last: int) -> tuple[float, ...]:
    return tuple(10.0**-power for power in range(2, last + 1))


@experiment(
    "The limit of vanishing decay",
    "distance of the optimum to SELI over twelve decades of decay, against a derived law",
    quick={},
    paper={"counts": ((100,) * 3 + (10,) * 3, COUNTS, (100, 50, 20, 10, 5, 2), (1000, 100, 10))},
)
def seli(
    *,
    counts: tuple[tuple[int, ...], ...] = ((100,) * 3 + (10,) * 3, COUNTS),
    decays: tuple[float, ...] = _powers(12),
) -> Vanishing:
    """The convex program at each decay, from 1e-2 to 1e-12."""
    from ncollapse.papers.imbalance import vanishing

    return vanishing.compute(counts, decays)


@experiment(
    "Three losses",
    "geometry and norms of cross-entropy, smoothed and squared loss, by descent and in networks",
    quick={},
    paper={"counts": ((20,) * 4, COUNTS, (40, 30, 20, 10, 5)), "width": 64, "epochs": 1_000},
)
def losses(
    *,
    counts: tuple[tuple[int, ...], ...] = ((20,) * 4, COUNTS),
    decay: float = 1e-3,
    seed: int = 0,
    width: int = 32,
    epochs: int = 400,
    steps: int = 300,
) -> Criteria:
    """Decay on W and the features alone; the squared loss has a free bias."""
    from ncollapse.papers.imbalance import criteria

    return criteria.compute(counts, decay=decay, seed=seed, width=width, epochs=epochs, steps=steps)


@experiment(
    "Decay on the last layer and its features alone",
    "distances of trained networks to the convex program and its closed form",
    quick={"seeds": (0, 1)},
    paper={"depths": (3, 4), "seeds": (0, 1, 2, 3), **LONGER},
)
def peeled(
    *,
    counts: tuple[int, ...] = COUNTS,
    depths: tuple[int, ...] = (3,),
    seeds: tuple[int, ...] = (0, 1, 2),
    spread: float = 0.3,
    weight_decay: float = 2e-3,
    feature_decay: float = 1e-3,
    width: int = 48,
    epochs: int = 600,
    steps: int = 400,
) -> Comparison:
    """Classes that are not tight, on which the body is free to collapse. ReLU features and linear ones.

    The wrong theory knows ten times the decay of the features.
    """
    from ncollapse.papers.imbalance import comparisons

    return comparisons.of_peeled(
        counts,
        depths,
        seeds,
        spread=spread,
        feature_decay=feature_decay,
        weight_decay=weight_decay,
        width=width,
        epochs=epochs,
        steps=steps,
    )


@experiment(
    "Decay on every layer",
    "margins and geometry of networks against the depth law, predicted before training",
    quick={"seeds": (0, 1)},
    paper={"depths": (2, 3, 4, 5, 6), "seeds": (0, 1, 2), **LONGER},
)
def depth(
    *,
    counts: tuple[int, ...] = COUNTS,
    depths: tuple[int, ...] = (3, 4),
    seeds: tuple[int, ...] = (0, 1, 2),
    weight_decay: float = 1e-3,
    width: int = 48,
    epochs: int = 600,
    steps: int = 400,
) -> Comparison:
    """Tight classes around nearly orthogonal means, predicted from the counts, the decay, the depth
    and the norms of the class inputs. ReLU features and linear ones.

    The wrong theory is the same law at one layer less (one more at depth 2), as if the first layer
    were not decayed.
    """
    from ncollapse.papers.imbalance import comparisons

    return comparisons.of_depth_law(
        counts,
        depths,
        seeds,
        weight_decay=weight_decay,
        width=width,
        epochs=epochs,
        steps=steps,
    )


@experiment(
    "Decay on every layer, on real digits",
    "cross-entropy of pairs and triples of digits against the depth law with the classes' margins, "
    "and the network that attains a proven bound",
    quick={"sets": (DIGITS[1], DIGITS[4])},
    paper={"seeds": (0, 1), **LONGER},
)
def depth_digits(
    *,
    sets: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = DIGITS,
    depths: tuple[int, ...] = (3, 4),
    seeds: tuple[int, ...] = (0,),
    weight_decay: float = 1e-3,
    width: int = 32,
    epochs: int = 600,
    steps: int = 400,
) -> Digits:
    """ReLU networks on digits less the mean of their class means, the counts of each set unequal."""
    from ncollapse.papers.imbalance import digits

    return digits.compute(
        sets,
        depths,
        seeds,
        weight_decay=weight_decay,
        width=width,
        epochs=epochs,
        steps=steps,
    )


@experiment(
    "Where the depth law ends",
    "margins and values of networks that break one of its assumptions each",
    quick={},
    paper={
        "depths": (3, 4),
        "deep": (5, 6, 7, 8),
        "seeds": (0, 1),
        "many": 6,
        "spreads": (0.3, 1.0, 2.0),
        "cosines": (0.2, 0.4, 0.8),
    },
)
def depth_limits(
    *,
    counts: tuple[int, ...] = COUNTS,
    depths: tuple[int, ...] = (3,),
    deep: tuple[int, ...] = (5, 8),
    seeds: tuple[int, ...] = (0,),
    many: int = 2,
    spreads: tuple[float, ...] = (1.0,),
    cosines: tuple[float, ...] = (0.4, 0.8),
    decays: tuple[tuple[float, ...], ...] = ((4.0, 1.0, 0.25), (1.0, 1.0, 8.0)),
    digits: tuple[int, ...] = (0, 1, 2),
    weight_decay: float = 1e-3,
    width: int = 48,
    epochs: int = 500,
    steps: int = 250,
) -> Departures:
    """ReLU networks: wide classes, correlated means, biases, a decay for each layer, batch norm,
    convolutions, and several starts of deep networks, whose classes may share neurons.
    """
    from ncollapse.papers.imbalance import departures

    return departures.compute(
        counts=counts,
        depths=depths,
        deep=deep,
        seeds=seeds,
        many=many,
        spreads=spreads,
        cosines=cosines,
        decays=decays,
        digits=digits,
        weight_decay=weight_decay,
        width=width,
        epochs=epochs,
        steps=steps,
    )


@experiment(
    "Batch norm before the last activation",
    "margins and value of networks with batch norm against the proven bound, predicted before "
    "training",
    quick={"seeds": (0,)},
    paper={"depths": (3, 4, 5), "seeds": (0, 1, 2), **LONGER},
)
def batch_norm(
    *,
    counts: tuple[int, ...] = COUNTS,
    depths: tuple[int, ...] = (3, 4),
    seeds: tuple[int, ...] = (0, 1, 2),
    weight_decay: float = 1e-3,
    width: int = 48,
    epochs: int = 600,
    steps: int = 400,
) -> Comparison:
    """Tight classes; decay on the head and on γ and β. ReLU features and linear ones.

    The wrong theory is the depth law, which knows the depth and not the normalisation.
    """
    from ncollapse.papers.imbalance import comparisons

    return comparisons.of_batch_norm(
        counts,
        depths,
        seeds,
        weight_decay=weight_decay,
        width=width,
        epochs=epochs,
        steps=steps,
    )


@experiment(
    "Batch norm of every kind",
    "objectives of networks with batch norm over their proven bound: bodies, data, batches and "
    "statistics, with counts drawn at random",
    quick={"kinds": FEW_KINDS, "networks": 2},
    paper={},
)
def batch_norm_kinds(
    *,
    kinds: tuple[dict[str, Any], ...] = KINDS,
    networks: int = 12,
    weight_decay: float = 2e-3,
    width: int = 32,
    epochs: int = 300,
    steps: int = 200,
    batch_epochs: int = 100,
    rate: float = 0.05,
) -> Bounds:
    """``networks`` of each kind (see `bounds.Kind`), of clothing where Fashion-MNIST is on the disk:
    in $NCOLLAPSE_DATA/fashion-mnist or where Debian's dataset-fashion-mnist puts it.
    """
    from ncollapse.papers.imbalance import bounds

    return bounds.compute(
        tuple(bounds.Kind(**kind) for kind in kinds),
        networks,
        weight_decay=weight_decay,
        width=width,
        epochs=epochs,
        steps=steps,
        batch_epochs=batch_epochs,
        rate=rate,
    )


@experiment(
    "How far ordinary training stops",
    "proven gap over the epochs of momentum descent in batches, on real digits with batch norm",
    quick={"at": (1, 3, 10, 30, 100), "batch_sizes": (32,)},
    paper={},
)
def batch_norm_training(
    *,
    classes: tuple[int, ...] = (0, 1, 2, 3),
    counts: tuple[int, ...] = (120, 60, 30, 15),
    at: tuple[int, ...] = (1, 3, 10, 30, 100, 200, 400),
    bodies: dict[str, dict[str, Any]] = BODIES,
    batch_sizes: tuple[int, ...] = (32, 225),
    rate: float = 0.1,
    weight_decay: float = 1e-3,
    seed: int = 0,
) -> Curves:
    """Decay on the head, γ and β; the rate falls to zero along a cosine."""
    from ncollapse.papers.imbalance import training

    return training.compute(
        classes=classes,
        counts=counts,
        at=at,
        bodies=bodies,
        batch_sizes=batch_sizes,
        rate=rate,
        weight_decay=weight_decay,
        seed=seed,
    )


@experiment(
    "Minority collapse",
    "distance of the two smallest classes' means across the predicted merging threshold, and "
    "with rescuing class weights, on real digits",
    quick={},
    paper={"sizes": (4, 5, 6, 7, 8, 10, 14), **LONGER},
)
def minority(
    *,
    classes: tuple[int, ...] = (0, 1, 2, 3),
    largest: tuple[int, ...] = (60, 40),
    sizes: tuple[int, ...] = (4, 5, 8, 12),
    decay: float = 0.022,
    surplus: float = 1.3,
    depth: int = 3,
    width: int = 32,
    seed: int = 0,
    epochs: int = 600,
    steps: int = 300,
) -> Minority:
    """Networks with linear last features and decay on the head and these features alone.

    The two smallest classes merge iff √n ≤ Nλ. ``surplus`` is what the rescuing weights are
    multiplied with.
    """
    from ncollapse.papers.imbalance import merging

    return merging.compute(
        classes=classes,
        largest=largest,
        sizes=sizes,
        decay=decay,
        surplus=surplus,
        seed=seed,
        depth=depth,
        width=width,
        epochs=epochs,
        steps=steps,
    )
