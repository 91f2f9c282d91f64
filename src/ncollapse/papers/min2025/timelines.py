"""min2025's figures along a run, over the rescaled time s.

s is the clock of dθ/ds = −∇ log L. Once the loss falls like 1/t, log t grows exponentially in s, so
an axis that is linear in s is one in log log t; `time_axis` adds log t to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from ncollapse import runs
from ncollapse.models import DEAD, MIXED
from ncollapse.papers.min2025.network import Run
from ncollapse.papers.min2025.panels import Panels
from ncollapse.report.style import class_colours, class_markers, faint, ink

if TYPE_CHECKING:
    from matplotlib.axes._secondary_axes import SecondaryAxis

METRICS = {
    "directional_collapse": "directional collapse",
    "nc2_orthogonal_directions": "means off orthogonal",
    "nc3_projected_directions": "classifier off self-dual",
}
"""The metrics of the run that are drawn, with what they are called in the figure."""

_LOG_TIMES = (-8.0, -4.0, -2.0, 0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5, 1e6)
_LEAST_GAP = 0.06
_FAR = 10.0
_ROUNDING = 1e-16
"""What a logarithmic axis shows in place of an exact zero."""


def time_axis(ax: Axes, trajectory: runs.Run) -> SecondaryAxis:
    """Label the bottom with s and the top with log t, at values that step like log log t."""
    s, log_time = trajectory.s, trajectory.log_time
    ax.set_xlim(0, s[-1])
    ax.set_xlabel("rescaled time s")
    inside = [value for value in _LOG_TIMES if log_time[0] < value < log_time[-1]]
    places = np.interp(inside, log_time, s)
    kept: list[int] = []
    for index in range(len(inside)):
        if not kept or places[index] - places[kept[-1]] > _LEAST_GAP * s[-1]:
            kept.append(index)
    top = ax.secondary_xaxis("top")
    top.set_xticks([places[i] for i in kept], [f"{inside[i]:g}" for i in kept])
    top.set_xlabel("log t", fontsize=9)
    return top


def loss(ax: Axes, run: Run) -> Line2D:
    """log(1/L) over s, logarithmic above 1 if the run gets far beyond it.

    The loss of a dead sample is log K whatever the weights do, so m of them at the end cap
    log(1/L) at −log(m log K): that line is drawn.
    """
    level = run.trajectory.log_inverse_loss
    (line,) = ax.plot(run.trajectory.s, level, color=class_colours(1)[0])
    if level.max() > _FAR:
        ax.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    stuck = len(run.alignment.dead_samples)
    if stuck:
        ceiling = -float(np.log(stuck * np.log(run.data.num_classes)))
        ax.axhline(ceiling, color=ink(), linestyle="--", linewidth=1)
        ax.annotate(
            f"ceiling: {stuck} dead {'sample' if stuck == 1 else 'samples'}",
            (0, ceiling),
            (6, -12),
            textcoords="offset points",
            fontsize=9,
        )
    ax.set_ylabel("log(1/L)")
    ax.grid(True)
    return line


def norms(ax: Axes, trajectory: runs.Run) -> Line2D:
    """‖θ‖ over s, on a logarithmic axis."""
    (line,) = ax.plot(trajectory.s, trajectory.norm, color=ink())
    ax.set_yscale("log")
    ax.set_ylabel("‖θ‖")
    ax.grid(True)
    return line


def margins(ax: Axes, run: Run) -> list[Line2D]:
    """Smallest margin of each class over ‖θ‖², on the way to the limit that all classes share.

    That limit is √(K/(K−1)) s_k² γ_k; s_k² γ_k = 1/(2 Σ_j γ_j⁻¹) is the same for every class.
    """
    trajectory = run.trajectory
    relative = trajectory.observations["margins"] / trajectory.norm[:, None] ** 2
    colours, markers = (f(run.data.num_classes) for f in (class_colours, class_markers))
    every = max(1, len(trajectory.s) // 8)
    lines = []
    for k in range(run.data.num_classes):
        (line,) = ax.plot(
            trajectory.s,
            relative[:, k],
            color=colours[k],
            marker=markers[k],
            markevery=(every // 2, every),
            markersize=5,
            label=f"class {run.data.classes[k]}",
        )
        lines.append(line)
    ax.axhline(0, color=faint(), linewidth=0.8)
    if run.limit is not None:
        count = run.data.num_classes
        shared = np.sqrt(count / (count - 1)) * run.limit.masses[0] * run.limit.margins[0]
        ax.axhline(shared, color=ink(), linestyle="--", linewidth=1, label="predicted limit")
    ax.set_ylabel("smallest margin / ‖θ‖²")
    ax.legend(loc="best")
    ax.grid(True)
    return lines


def neuron_shares(ax: Axes, run: Run) -> list[PolyCollection]:
    """Share of neurons whose sign pattern is one whole class, another set of samples, or none."""
    groups = run.trajectory.observations["groups"]
    colours = class_colours(run.data.num_classes)
    shares = [(groups == k).mean(axis=1) for k in range(run.data.num_classes)]
    labels = [f"exactly class {name}" for name in run.data.classes]
    shares += [(groups == MIXED).mean(axis=1), (groups == DEAD).mean(axis=1)]
    layers = ax.stackplot(
        run.trajectory.s,
        shares,
        labels=[*labels, "mixed", "dead"],
        colors=[*colours, faint(), ink()],
        alpha=0.75,
    )
    layers[-2].set_hatch("///")
    layers[-2].set_edgecolor(ink())
    layers[-2].set_alpha(0.3)
    if run.alignment.s is not None:
        ax.axvline(run.alignment.s, color=ink(), linestyle="--", linewidth=1.2)
        ax.annotate(
            "T*", (run.alignment.s, 1.0), (4, -12), textcoords="offset points", fontweight="bold"
        )
    ax.set_ylim(0, 1)
    ax.set_ylabel("share of neurons")
    ax.legend(loc="lower right", ncols=2, frameon=True, framealpha=0.9)
    return layers


def agreement(ax: Axes, run: Run, panels: Panels) -> list[Line2D]:
    """How far the sign patterns and the output weights are aligned, at each snapshot."""
    s = run.trajectory.snapshot_s
    colours = class_colours(2)
    (signs,) = ax.plot(s, panels.agreement, color=colours[0], label="activations, share as aligned")
    (outputs,) = ax.plot(
        s,
        panels.output_cosine,
        color=colours[1],
        linestyle="--",
        label="output weight to its ETF direction",
    )
    best = s[panels.aligned], panels.agreement[panels.aligned]
    ax.plot(*best, marker="o", color=colours[0], markersize=8, markerfacecolor="none")
    ax.set_ylim(min(0.4, panels.agreement.min(), panels.output_cosine.min()), 1.02)
    ax.set_ylabel("agreement (1 is perfect)")
    ax.legend(loc="lower right")
    ax.grid(True)
    return [signs, outputs]


def collapse(ax: Axes, run: Run) -> list[Line2D]:
    """The metrics of the paper's three collapse claims at each snapshot; lower is closer."""
    styles = ("-", "--", "-.")
    lines = []
    for (name, label), colour, style in zip(
        METRICS.items(), class_colours(len(METRICS)), styles, strict=True
    ):
        (line,) = ax.plot(
            run.trajectory.snapshot_s,
            np.maximum(run.metrics[name], _ROUNDING),
            color=colour,
            linestyle=style,
            label=label,
        )
        lines.append(line)
    ax.set_yscale("log")
    ax.set_ylabel("distance from collapse")
    ax.legend(loc="best")
    ax.grid(True)
    return lines


def feature_rank(ax: Axes, run: Run, panels: Panels) -> list[Line2D]:
    """Share of the features outside rank K, beside that of the inputs."""
    errors = np.maximum(run.feature_rank_error, _ROUNDING)
    (features,) = ax.plot(
        run.trajectory.snapshot_s,
        errors,
        color=class_colours(1)[0],
        label="features",
    )
    outside = max(panels.inputs.error, _ROUNDING)
    inputs = ax.axhline(outside, color=ink(), linestyle="--", label="inputs")
    chosen = run.trajectory.snapshot_s[panels.aligned], errors[panels.aligned]
    ax.plot(*chosen, marker="o", color=class_colours(1)[0], markersize=8, markerfacecolor="none")
    ax.set_yscale("log")
    ax.set_ylabel(f"rank-{run.data.num_classes} error")
    ax.legend(loc="best")
    ax.grid(True)
    return [features, inputs]
