"""One data set seen as networks may see it: raw, centred, with a bias, through a random layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ncollapse.certify.certificate import FEASIBLE, INFEASIBLE, Certificate
from ncollapse.certify.classes import certify
from ncollapse.certify.limits import (
    CollapseLimit,
    RandomLayer,
    centre_exactly,
    collapse_limit,
    random_layer,
)
from ncollapse.data import Dataset, as_dataset

SEARCHED_SAMPLES = 1_000
"""Samples in all up to which the largest class size is searched for; it takes seconds."""
WHOLE_SAMPLES = 2_000
"""Samples up to which every class is decided, and the rank of a random layer computed."""


@dataclass(frozen=True, eq=False)
class View:
    """The inputs as a first layer sees them, and what is proven about them.

    ``limit`` is None where all samples can collapse.
    """

    name: str
    certificate: Certificate
    limit: CollapseLimit | None

    def to_dict(self) -> dict[str, Any]:
        record = self.certificate.to_dict()
        return {
            "name": self.name,
            "verdict": record["verdict"],
            "verified": record["verified"],
            "reason": record["reason"],
            "classes": record["classes"],
            "largest_class_size": None if self.limit is None else self.limit.size,
            "impossible_class_size": None if self.limit is None else self.limit.next_size,
        }


@dataclass(frozen=True, eq=False)
class Survey:
    """What is proven of a data set.

    Attributes
    ----------
    views
        Of two-layer networks: raw, centred, with a bias.
    twins
        Two equal samples of different classes, which no network of any depth tells apart.
    deeper
        The random first layer of three, on the distinct samples, each dimension standardised; None
        beyond ``WHOLE_SAMPLES`` samples.
    """

    data: Dataset
    views: tuple[View, ...]
    twins: tuple[int, int] | None
    deeper: RandomLayer | None

    @property
    def feasible(self) -> bool:
        """Whether all samples can collapse in some view."""
        return any(view.certificate.verdict == FEASIBLE for view in self.views)

    def sentences(self) -> list[str]:
        """The findings in plain words, the most important first."""
        said = [_sentence(view, self.data) for view in self.views]
        if self.twins is not None:
            one, other = (
                f"{i} (class {self.data.classes[self.data.labels[i]]})" for i in self.twins
            )
            said.append(f"Samples {one} and {other} are equal: no network of any depth collapses.")
        elif self.deeper is not None and self.deeper.proven:
            said.append(
                f"A third layer is another matter: behind a random first layer of "
                f"{self.deeper.width:,} neurons on standardised inputs, all distinct samples are "
                "linearly independent (proven), so that two more layers can collapse on them. "
                "Nothing said here limits deeper networks."
            )
        else:
            said.append("None of this limits deeper networks.")
        return said

    def advice(self) -> list[str]:
        """What to try next."""
        if self.feasible:
            return ["Train two layers to the optimum: ncollapse train relu2 --method optimum."]
        sizes = {view.name: view.limit.size for view in self.views if view.limit is not None}
        best = max(sizes, key=lambda name: sizes[name])
        return [
            f"Take at most {sizes[best]:,} samples a class ({best}), or more dimensions than samples a "
            "class: add features, or put a random or a trained layer in front.",
            "Train a deeper network and see how far it collapses: ncollapse measure on its last "
            "features.",
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.data.name,
            "num_samples": len(self.data.labels),
            "num_dimensions": self.data.inputs.shape[1],
            "counts": dict(
                zip(map(str, self.data.classes.tolist()), self.data.counts.tolist(), strict=True)
            ),
            "views": [view.to_dict() for view in self.views],
            "twins": self.twins,
            "deeper": None if self.deeper is None else self.deeper.to_dict(),
            "sentences": self.sentences(),
            "advice": self.advice(),
        }


def survey(
    inputs: Any,
    labels: Any = None,
    *,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Survey:
    """Certify a data set raw, centred and with a bias, and find how many samples a class could.

    Parameters
    ----------
    inputs, labels
        As in `certify`.
    seed
        Of the order in which samples are taken for the largest class size, and of the random layer.
    progress
        Called with (what is asked, questions done, questions in all).

    Notes
    -----
    A bias is a constant input: centring changes nothing beside it. Up to ``WHOLE_SAMPLES`` samples
    every class is decided; beyond it the first obstacle settles a view. The largest class size is
    searched for up to ``SEARCHED_SAMPLES`` samples in all.

    Raises
    ------
    ValueError, TypeError
        As `certify`.
    """
    data = as_dataset(inputs, labels)
    views = []
    names = {"raw": _raw, "centred": _centred, "with a bias": _with_bias}
    for done, (name, change) in enumerate(names.items()):
        if progress is not None:
            progress(f"certificate, {name}", done, len(names) + 1)
        views.append(_view(name, replace(data, inputs=change(data.inputs)), seed))
    if progress is not None:
        progress("random layer", len(names), len(names) + 1)
    _, first, places = np.unique(data.inputs, axis=0, return_index=True, return_inverse=True)
    differing = np.flatnonzero(data.labels != data.labels[first[places.ravel()]])
    twins = None
    if differing.size:
        twins = int(first[places.ravel()[differing[0]]]), int(differing[0])
    return Survey(data, tuple(views), twins, _deeper(data.inputs[first], seed))


def _deeper(inputs: np.ndarray, seed: int) -> RandomLayer | None:
    if len(inputs) > WHOLE_SAMPLES:
        return None
    spread = inputs.std(axis=0)
    standardised = (inputs - inputs.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return random_layer(standardised, 2 * len(inputs), seed)


def _view(name: str, data: Dataset, seed: int) -> View:
    size = len(data.labels)
    certificate = certify(data, stop_at_obstacle=size > WHOLE_SAMPLES)
    if certificate.verdict == FEASIBLE:
        return View(name, certificate, None)
    order = np.random.default_rng(seed).permutation(size)
    shuffled = replace(data, inputs=data.inputs[order], labels=data.labels[order])
    largest = max(1, SEARCHED_SAMPLES // data.num_classes)
    return View(name, certificate, collapse_limit(shuffled, largest=largest))


def _raw(inputs: np.ndarray) -> np.ndarray:
    return inputs


def _centred(inputs: np.ndarray) -> np.ndarray:
    try:
        return centre_exactly(inputs)
    except ValueError:  # no whole numbers: the mean is subtracted with a rounding
        return inputs - inputs.mean(axis=0)


def _with_bias(inputs: np.ndarray) -> np.ndarray:
    return np.column_stack([inputs, np.ones(len(inputs))])


_SEEN = {
    "raw": "Two layers without a bias",
    "centred": "Two layers without a bias, once the mean of all samples is subtracted,",
    "with a bias": "Two layers with a bias in the first",
}


def _sentence(view: View, data: Dataset) -> str:
    who, certificate = _SEEN[view.name], view.certificate
    if view.limit is None:
        return f"{who} collapse on all {len(data.labels):,} samples at their optimum (proven)."
    reach = _reach(view.limit)
    if certificate.verdict != INFEASIBLE:
        return f"{who}: whether they collapse on all samples is not settled. {reach}"
    obstacle = next(entry for entry in certificate.classes if entry.verdict == INFEASIBLE)
    size = f"{int(data.counts[obstacle.index]):,} samples in {data.inputs.shape[1]:,} dimensions"
    why = f" has {size}" if obstacle.theorem == "3c" else f": {obstacle.reason}"
    return (
        f"{who} do not collapse at their optimum, however wide (proven): class {obstacle.label}{why}. "
        f"{reach}"
    )


def _reach(limit: CollapseLimit) -> str:
    if limit.size == 0:
        return "Not even one sample a class could."
    could = f"{limit.size:,} sample{'s' if limit.size > 1 else ''} a class could"
    if limit.next_size is None:
        return f"At least {could}."
    between = "" if limit.next_size == limit.size + 1 else "; between them it is not settled"
    return f"{could}, {limit.next_size:,} could not{between}."
