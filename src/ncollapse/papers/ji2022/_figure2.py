"""ji2022 Figure 2: four measures of collapse along gradient descent, and along the flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.flow import Run, descend
from ncollapse.models.free_features import LayerPeeled
from ncollapse.unconstrained import end_record, flow_ulpm, margin_ratios, smoothed_margins
from ncollapse.verdict import Verdict, judge

PANELS = (
    ("Variation of the norms", ("nc2_equinorm_means", "nc2_equinorm_weight")),
    ("Within-class variation", ("within_variation",)),
    ("Cosines between pairs", ("nc2_equiangular_means", "nc2_equiangular_weight")),
    ("Self-duality", ("nc3_average",)),
)
METRICS = tuple(name for _, names in PANELS for name in names)


@dataclass(frozen=True, eq=False)
class Figure2:
    """The flow to the end, gradient descent as in the paper, and what they show.

    time_step
        time of the flow that one epoch stands for.
    exponents
        p of metric ∝ log(1/L)^{−p}, fitted over the last part of the flow.
    """

    run: Run
    descent: Run
    time_step: float
    exponents: dict[str, float]
    verdicts: tuple[Verdict, ...]

    def table(self) -> list[dict[str, Any]]:
        """The same metrics at the end of both, one row each: what 10⁵ epochs leave undone."""
        path, trained = self.run, self.descent
        return [
            {
                "metric": name,
                "descent": float(trained.observations[name][-1]),
                "flow": float(path.observations[name][-1]),
            }
            for name in METRICS
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "flow": end_record(self.run),
            "descent": self.descent.to_dict(),
            "table": self.table(),
            "exponents": self.exponents,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }


def figure2(
    *,
    num_classes: int = 5,
    per_class: int = 10,
    dim: int = 20,
    learning_rate: float = 5.0,
    epochs: int = 100_000,
    init: float = 1.0,
    until: float = 400.0,
    seed: int = 0,
) -> Figure2:
    """ji2022 Appendix D: K = 5, N = 10, d = 20, step 5, 10⁵ epochs; and the flow to log(1/L).

    The step is taken for the mean loss, which the paper does not say: for the sum it diverges.
    The start is not printed either; ours has ‖W‖_F = ‖H‖_F = ``init``.
    """
    run = flow_ulpm(
        num_classes=num_classes, per_class=per_class, dim=dim, seed=seed, init=init, until=until
    )
    model = LayerPeeled.of(num_classes, per_class)
    trained = descend(
        model,
        model.start(dim, init, seed),
        learning_rate=learning_rate,
        epochs=epochs,
        scale=1.0 / (num_classes * per_class),
    )
    time_step = learning_rate / (num_classes * per_class)
    return Figure2(run, trained, time_step, rates(run), _claims(run, trained))


def rates(run: Run, *, share: float = 0.05) -> dict[str, float]:
    """p of metric ∝ log(1/L)^{−p} by least squares where log(1/L) exceeds ``share`` of its end.

    ji2022 observes O(1/log t); log t and log(1/L) agree to leading order.

    Raises ``ValueError`` when fewer than three steps lie there.
    """
    path = run
    late = path.log_inverse_loss > share * path.log_inverse_loss[-1]
    if late.sum() < 3:
        raise ValueError(f"only {int(late.sum())} steps lie in the fitted part; raise share")
    logs = np.log(path.log_inverse_loss[late])
    return {
        name: -float(np.polyfit(logs, np.log(path.observations[name][late]), 1)[0])
        for name in METRICS
    }


def plot_figure2(result: Figure2, axes: Sequence[Any]) -> list[Any]:
    """Four axes as in the paper: log log t across, log metric up.

    Solid: the flow, beyond where the paper stops. Dots: gradient descent at its epochs, placed at
    t = epoch · step, so that both are the same path. Grey: slope 1/log t.
    """
    path, trained = result.run, result.descent
    seen = path.log_time > 1.0
    epochs = np.log(trained.epochs * result.time_step)
    drawn = []
    for axis, (title, names) in zip(axes, PANELS, strict=True):
        for index, name in enumerate(names):
            values = path.observations[name]
            drawn += axis.loglog(path.log_time[seen], values[seen], f"C{index}", label=name)
            shown = epochs > 1.0
            drawn += axis.loglog(
                epochs[shown], trained.observations[name][shown], f"C{index}.", label=f"{name}, GD"
            )
        anchor = path.observations[names[0]][-1] * path.log_time[-1]
        drawn += axis.loglog(
            path.log_time[seen], anchor / path.log_time[seen], "0.7", lw=1, label="∝ 1/log t"
        )
        axis.set_title(title)
        axis.set_xlabel("log t (log scale)")
        axis.legend(fontsize="x-small")
    return drawn


def _claims(run: Run, trained: Run) -> tuple[Verdict, ...]:
    path = run
    ratio, gamma = margin_ratios(path), smoothed_margins(path)
    falls = np.diff(gamma[~np.isnan(gamma)])
    end = float(path.observations["nc2_equiangular_means"][-1])
    before = float(trained.observations["nc2_equiangular_means"][-1])
    half = path.log_inverse_loss > 0.5 * path.log_inverse_loss[-1]
    return (
        judge(
            "cosines",
            "mean |cos + 1/(K−1)| of the class means at the end of the flow",
            measured=end,
            predicted=0.0,
            tolerance=1e-4,
            source="ji2022, Theorems 3.2 and 3.4, Figure 2(c)",
        ),
        judge(
            "margin",
            "q_min over its bound ρ²/(2(K−1)√n)",
            measured=float(ratio[-1]),
            predicted=1.0,
            tolerance=1e-2,
            source="ji2022, Theorem 3.1",
        ),
        judge(
            "margin rises",
            "share of late steps on which the margin ratio falls",
            measured=float(np.mean(np.diff(ratio[half]) < -1e-12)) if half.sum() > 1 else None,
            predicted=0.0,
            tolerance=0.0,
            source="ji2022, Theorem 3.2",
            missing="too few late steps",
        ),
        judge(
            "smoothed margin",
            "largest fall of γ̃ between steps, relative",
            measured=float(max(0.0, -falls.min() / gamma[-1])) if falls.size else None,
            predicted=0.0,
            tolerance=1e-12,
            source="ji2022, Lemma B.2",
            missing="the loss never fell below log 2",
        ),
        judge(
            "beyond descent",
            "cosine error of the flow's end over that of gradient descent's end",
            measured=end / before,
            predicted=0.0,
            tolerance=1e-1,
            source="ji2022, Figure 2(c), where 10⁵ epochs end",
        ),
    )
