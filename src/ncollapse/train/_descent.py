"""Gradient descent on the two-layer risk, in batches or not, at a cost that does not depend on d."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ncollapse._checks import check_positive
from ncollapse.runs import End, Run
from ncollapse.setup import Setup
from ncollapse.train._problem import Parameters, TwoLayer, risk_and_gradient
from ncollapse.train._recorder import hidden_square, lifted, record, run_of

Progress = Callable[[float, float], None]
Pair = tuple[np.ndarray, np.ndarray]
_ENDS = ("epochs", "records")
_LOST = 1e30
"""A risk from which descent does not come back, and that is still finite enough to measure."""


def descend(
    problem: TwoLayer,
    *,
    width: int | None = None,
    epochs: int,
    seed: int = 0,
    init: float = 1.0,
    start: Mapping[str, np.ndarray] | None = None,
    learning_rate: float = 0.1,
    drops: tuple[int, int] | None = None,
    batch: int | None = None,
    records: int = 40,
    resume: Run | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """Gradient descent on R for ``epochs`` steps, in Gram form: Z ← Z − η G ∂R/∂Z, W ← W − η ∂R/∂W.

    W₁ ← W₁ − η (∂R/∂Z)ᵀX moves Z = XW₁ᵀ by −η G ∂R/∂Z with G = XXᵀ, so an epoch is one product
    with G, whatever d. What is iterated are the coefficients A of the change W₁ − W₁(0) = AᵀX and
    Z = Z(0) + GA: plain descent on (W₁, W) to rounding, without drift.

    Parameters
    ----------
    width, seed, init
        D and the start, as in `TwoLayer.start`; ``width`` is not asked where a start is given.
    start
        Parameters to start from instead, ``{"hidden", "weight"}`` or ``{"preactivations", "weight"}``.
    learning_rate, drops
        η, divided by 10 after each of the two epochs ``drops``: by default a third and two thirds
        of ``epochs`` (hong2025 §3.2, whose text says "of the first epoch").
    batch
        Samples of a step; all by default. An epoch is one step for each part of a permutation that its
        number fixes; the features' decay is multiplied by N over the samples of the step, so that
        the steps' mean is ∇R. ``log_time`` is the log of all steps summed.
    records
        About how many epochs to record, spread evenly in log(epoch); the last one always is.
    resume
        A run with the same settings to go on with, bit for bit; ``epochs`` and ``records`` may
        differ where ``drops`` are given.
    on_progress
        Called with the epoch and log(1/R) at each record.

    Returns
    -------
    Run
        ``s`` are epochs, ``log_time`` log of the steps summed; observations are `METRIC_NAMES`,
        NaN where undefined, and ``dead_share``; ``parameters`` are those of `TwoLayer`. An interrupt
        ends it at the last record; so does a risk that is NaN or above 10³⁰ (`End.DIVERGED`).

    Raises
    ------
    ValueError
        As `TwoLayer.start` and `TwoLayer.held`; a rate that is not positive, a batch that is not of 1 to
        N samples, no epochs beyond those of
        the resumed run, a resumed run of another set-up, a risk lost like this before the first
        record.
    """
    seeds = None if start is not None else [seed]
    starts = None if start is None else [start]
    return descend_all(
        [problem],
        width=width,
        epochs=epochs,
        seeds=seeds,
        init=init,
        starts=starts,
        learning_rate=learning_rate,
        drops=drops,
        batch=batch,
        records=records,
        resume=None if resume is None else [resume],
        on_progress=on_progress,
    )[0]


def descend_all(
    problems: Sequence[TwoLayer],
    *,
    epochs: int,
    width: int | None = None,
    seeds: Sequence[int] | None = None,
    init: float = 1.0,
    starts: Sequence[Mapping[str, np.ndarray]] | None = None,
    learning_rate: float = 0.1,
    drops: tuple[int, int] | None = None,
    batch: int | None = None,
    records: int = 40,
    resume: Sequence[Run] | None = None,
    on_progress: Progress | None = None,
) -> list[Run]:
    """`descend` for several problems of one shape and one decay at once, a seed or a start for each.

    Repeat a problem for several seeds of it. Each run is what `descend` gives, to rounding.
    """
    if (seeds is None) == (starts is None):
        raise ValueError("give one of seeds and starts, one a problem")
    rate = check_positive("learning_rate", learning_rate)
    first, second = (-(-epochs // 3), -(-2 * epochs // 3)) if drops is None else drops
    done = 0 if resume is None else int(resume[0].s[-1])
    if epochs < done + 1:
        raise ValueError(f"epochs must be at least {done + 1}, but it is {epochs}")
    options = {"learning_rate": rate, "drops": [first, second]}
    options |= {"epochs": epochs, "records": records}
    if batch is not None:
        options["batch"] = _check_batch(batch, len(problems[0].labels))
    if starts is None:
        if width is None:
            raise ValueError("width must be given where no start is")
        known = [{"init": init, "seed": seed} for seed in seeds or ()]
        starts = [p.start(width, **of) for p, of in zip(problems, known, strict=True)]
    else:
        known = [{} for _ in starts]
    held = [p.held(start) for p, start in zip(problems, starts, strict=True)]
    _check_alike(problems, held)
    setups = [
        p.setup(method="descent", dim=h["weight"].shape[1], options=options, **of)
        for p, h, of in zip(problems, held, known, strict=True)
    ]
    if resume is not None:
        for run, setup, first_held in zip(resume, setups, held, strict=True):
            _check_resumed(run, setup, first_held)
    networks = _Networks(problems, held, resume, batch)
    marks = np.unique(np.geomspace(1, epochs, records).round().astype(int))
    return _train(
        networks,
        setups,
        starts,
        held,
        resume,
        marks=[int(mark) for mark in marks if mark > done],
        steps=lambda epoch: rate * 0.1 ** ((epoch >= first) + (epoch >= second)),
        done=done,
        on_progress=on_progress,
    )


class _Networks:
    """B networks as stacked arrays; `advance` moves them all by some epochs."""

    def __init__(
        self,
        problems: Sequence[TwoLayer],
        held: list[Parameters],
        resume: Sequence[Run] | None,
        batch: int | None,
    ) -> None:
        self.size = len(problems[0].labels) if batch is None else batch
        same = all(problem is problems[0] for problem in problems)
        unlike = problems[:1] if same else problems
        self.problems = problems
        self.gram = np.stack([problem.gram for problem in unlike])
        self.one_hot = np.stack([problem.one_hot for problem in unlike])
        self.first = np.stack([point["preactivations"] for point in held])
        self.coefficients = np.zeros_like(self.first)
        self.weight = np.stack([point["weight"] for point in held])
        if resume is not None:
            self.coefficients = np.stack([run.state[0] for run in resume])
            self.weight = np.stack([run.at(-1)["weight"] for run in resume])
        self.preactivations = self.first + self.gram @ self.coefficients

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.gram.shape[-1] // self.size)

    def advance(self, epochs: range, rates: Sequence[float]) -> None:
        for epoch, rate in zip(epochs, rates, strict=True):
            if self.steps == 1:
                self._step(slice(None), rate)
            else:
                order = np.random.default_rng(epoch).permutation(self.gram.shape[-1])
                for rows in np.split(order, range(self.size, len(order), self.size)):
                    changes = self._step(rows, rate)
                    self.preactivations -= self.gram[..., rows] @ changes
            np.matmul(self.gram, self.coefficients, out=self.preactivations)
            self.preactivations += self.first

    def _step(self, rows: Any, rate: float) -> np.ndarray:
        decays, one_hot = self.problems[0], self.one_hot[:, rows]
        _, to_preactivations, to_weight = risk_and_gradient(
            self.preactivations[:, rows],
            self.weight,
            one_hot,
            weight_decay=decays.weight_decay,
            feature_decay=decays.feature_decay * (self.gram.shape[-1] / one_hot.shape[1]),
        )
        to_preactivations *= rate
        self.coefficients[:, rows] -= to_preactivations
        self.weight = self.weight - rate * to_weight
        return to_preactivations

    def point(self, index: int) -> Parameters:
        return {
            "preactivations": self.preactivations[index].copy(),
            "weight": self.weight[index].copy(),
        }


def _train(
    networks: _Networks,
    setups: Sequence[Setup],
    starts: Sequence[Mapping[str, np.ndarray]],
    held: list[Parameters],
    resume: Sequence[Run] | None,
    *,
    marks: list[int],
    steps: Callable[[int], float],
    done: int,
    on_progress: Progress | None,
) -> list[Run]:
    began, places = time.perf_counter(), range(len(held))
    histories: list[list[dict[str, Any]]] = [[] for _ in places]
    kept = [networks.coefficients[i].copy() for i in places]
    ends = [(End.EPOCHS, f"Did {marks[-1]} epochs.") for _ in places]
    passed = networks.steps * math.fsum(steps(epoch) for epoch in range(done))
    going, at = set(places), done
    try:
        for mark in marks:
            rates = [steps(epoch) for epoch in range(at, mark)]
            with np.errstate(over="ignore", invalid="ignore"):
                networks.advance(range(at, mark), rates)
            passed, at = passed + networks.steps * math.fsum(rates), mark
            for i in sorted(going):
                point = networks.point(i)
                with np.errstate(over="ignore", invalid="ignore"):
                    risk = float(networks.problems[i].evaluate(point)[0])
                if not risk < _LOST:
                    going.remove(i)
                    ends[i] = _diverged(
                        histories[i], mark, risk, setups[i].options["learning_rate"]
                    )
                    continue
                kept[i] = networks.coefficients[i].copy()
                hidden = hidden_square(
                    networks.problems[i], starts[i], held[i], point["preactivations"], kept[i]
                )
                norm = math.sqrt(hidden + float(np.sum(point["weight"] ** 2)))
                histories[i].append(
                    record(networks.problems[i], point, float(mark), time=passed, norm=norm)
                )
                if on_progress is not None:
                    on_progress(float(mark), -math.log(risk))
            if not going:
                break
    except KeyboardInterrupt:
        if not all(histories):
            raise
        for i in going:
            last = int(histories[i][-1]["s"])
            ends[i] = End.INTERRUPTED, f"Interrupted after epoch {last}, which is kept."
    spent = (time.perf_counter() - began) / len(held)
    return [
        run_of(
            networks.problems[i],
            setups[i],
            ends[i],
            held[i],
            histories[i],
            lifted(networks.problems[i], starts[i], histories[i][-1]["snapshot"], kept[i]),
            evaluations=int(histories[i][-1]["s"]),
            seconds=spent,
            resumed=None if resume is None else resume[i],
            state=(kept[i],),
        )
        for i in places
    ]


def _diverged(
    history: list[dict[str, Any]], mark: int, risk: float, rate: float
) -> tuple[End, str]:
    cause = f"learning_rate {rate:g} is too large"
    if not history:
        raise ValueError(f"{cause}: the risk is {risk:.3g} after {mark} epoch(s)")
    last = history[-1]
    return End.DIVERGED, (
        f"The risk is {risk:.3g} after epoch {mark}: {cause}. Kept is epoch {last['s']:.0f}, where "
        f"it is {math.exp(-last['log_inverse_loss']):.6g}."
    )


def _check_batch(batch: int, count: int) -> int:
    if not 1 <= batch <= count:
        raise ValueError(f"batch must be 1 to {count}, the number of samples, but it is {batch}")
    return batch


def _check_alike(problems: Sequence[TwoLayer], held: Sequence[Parameters]) -> None:
    kinds = {
        (p.gram.shape, p.num_classes, p.weight_decay, p.feature_decay, h["weight"].shape)
        for p, h in zip(problems, held, strict=True)
    }
    if len(kinds) != 1:
        raise ValueError(
            "problems of one batch must have the same samples, classes, decays and width, but "
            f"these are {sorted(kinds)}"
        )


def _check_resumed(run: Run, setup: Setup, held: Parameters) -> None:
    differences = run.setup.differences(setup, without=_ENDS)
    at_start = run.at(0)
    if not all(np.array_equal(at_start[name], held[name]) for name in held):
        differences.append("its start is another one")
    if differences:
        raise ValueError(f"resume is a run of another set-up: {'; '.join(differences)}")
