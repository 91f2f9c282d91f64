"""Measured margins beside predicted ones, distances to every theory, and values over bounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.report.images import save_figure
from ncollapse.report.style import class_colours, class_markers, faint

if TYPE_CHECKING:
    from ncollapse.papers.imbalance.bounds import Bounds
    from ncollapse.papers.imbalance.comparisons import Comparison
    from ncollapse.papers.imbalance.criteria import Criteria
    from ncollapse.papers.imbalance.departures import Departures
    from ncollapse.papers.imbalance.digits import Digits
    from ncollapse.papers.imbalance.merging import Minority
    from ncollapse.papers.imbalance.training import Curves
    from ncollapse.papers.imbalance.vanishing import Vanishing

PARTS = ("W", "means", "logits")


def seli(result: Vanishing, out: Path) -> list[Path]:
    """Distance to SELI over log(1/λ), with the derived law; a panel for each tuple of counts."""

    def draw(figure: Any) -> None:
        axes = np.atleast_1d(figure.subplots(1, len(result.approaches), sharey=True))
        for axis, one in zip(axes, result.approaches, strict=True):
            logs = np.log(1.0 / one.decays)
            for part, name in enumerate(PARTS):
                axis.loglog(logs, one.distances[:, part], "os^"[part], color=f"C{part}", label=name)
                axis.loglog(logs, one.constants[part] / logs, color=f"C{part}", linewidth=1)
            axis.set_title("counts " + ", ".join(map(str, one.counts)), fontsize=9)
            axis.set_xlabel("log(1/λ); lines: c/log(1/λ), derived")
            axis.grid(True, which="both")
        axes[0].set_ylabel("distance to SELI")
        axes[0].legend()

    return [save_figure(out / "seli.png", (3.6 * len(result.approaches), 3.8), draw)]


def losses(result: Criteria, out: Path) -> list[Path]:
    """Squared norms measured over predicted, and distances to prediction, simplex and SELI."""
    cases = [(one.loss, one.counts) for one in result.cases if one.method == "network"]

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        for place, (loss, counts) in enumerate(cases):
            for marker, method in (("o", "descent"), ("x", "network")):
                (one,) = (
                    case
                    for case in result.cases
                    if (case.loss, case.counts, case.method) == (loss, counts, method)
                )
                for part in range(2):
                    left.plot(place + 0.2 * part, one.norms[part], marker, color=f"C{part}")
                for part, name in enumerate(("distances", "to_simplex", "to_seli")):
                    far = max(getattr(one, name).max(), 1e-8)
                    right.semilogy(place + 0.2 * part, far, marker, color=f"C{part}")
        left.set_ylabel("‖W‖², Σ‖h‖² over predicted")
        right.set_ylabel("largest distance")
        for name, colour in (("prediction", "C0"), ("simplex", "C1"), ("SELI", "C2")):
            right.plot([], [], "s", color=colour, label=name)
        right.plot([], [], "o", color=faint(), label="free features")
        right.plot([], [], "x", color=faint(), label="network")
        right.legend(fontsize=8)
        for axis in (left, right):
            names = [f"{loss}, {counts[0]} … {counts[-1]}" for loss, counts in cases]
            axis.set_xticks(range(len(cases)), names, fontsize=7, rotation=40, ha="right")
            axis.grid(True)

    return [save_figure(out / "losses.png", (10.4, 4.2), draw)]


def peeled(result: Comparison, out: Path) -> list[Path]:
    """Margins and distances of networks with decay on the last layer and its features alone."""
    return [_draw(result, out / "peeled.png")]


def depth(result: Comparison, out: Path) -> list[Path]:
    """Margins and distances of networks with decay on every layer."""
    return [_draw(result, out / "depth.png")]


def batch_norm(result: Comparison, out: Path) -> list[Path]:
    """Margins and distances of networks with batch norm."""
    return [_draw(result, out / "batch_norm.png")]


def depth_digits(result: Digits, out: Path) -> list[Path]:
    """Cross-entropy measured over predicted, and objectives below the proven bound."""
    names = list(dict.fromkeys(one.classes for one in result.networks))

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for one in result.networks:
            place = names.index(one.classes) + 0.15 * (one.depth - 3.5)
            colour = f"C{one.depth - 2}"
            left.plot(place, one.loss / one.predicted_loss, "o", color=colour)
            left.plot(place, one.loss / one.norms_loss, "x", color=colour)
            for marker, value in (("^", one.explicit), ("s", one.from_explicit), ("o", one.value)):
                right.plot(place, value / one.bound, marker, color=colour)
        left.axhspan(0.9, 1.1, color=faint(), alpha=0.2)
        left.set_ylabel("cross-entropy over predicted")
        right.set_ylabel("objective over its proven bound")
        for marker, name in (("o", "by γ"), ("x", "by ‖x̄‖")):
            left.plot([], [], marker, color=faint(), label=name)
        for marker, name in (("^", "built"), ("s", "trained from it"), ("o", "trained")):
            right.plot([], [], marker, color=faint(), label=name)
        for depth in sorted({one.depth for one in result.networks}):
            left.plot([], [], "s", color=f"C{depth - 2}", label=f"{depth} layers")
        for axis in (left, right):
            axis.set_xticks(range(len(names)), ["".join(map(str, name)) for name in names])
            axis.set_xlabel("digits")
            axis.grid(True)
            axis.legend(fontsize=8)

    return [save_figure(out / "depth_digits.png", (9.6, 4.0), draw)]


def depth_limits(result: Departures, out: Path) -> list[Path]:
    """Margins and objectives over those of the law, by what is broken and how much."""
    kinds = list(dict.fromkeys((one.broken, one.setting) for one in result.networks))

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        for one in result.networks:
            row = kinds.index((one.broken, one.setting))
            ratios = one.margins / one.predicted
            left.plot(ratios, np.full(len(ratios), row), "o", color="C0", markersize=4)
            right.plot(one.value, row, "o", color="C1")
        for axis in (left, right):
            axis.axvline(1.0, color=faint(), linewidth=1)
            axis.set_yticks(
                range(len(kinds)), [f"{name} {setting:.3g}" for name, setting in kinds], fontsize=8
            )
            axis.grid(True)
        left.invert_yaxis()
        right.set_xlim(0.5, min(2.0, 0.1 + max(one.value for one in result.networks)))
        left.set_xlabel("margin over the law's")
        right.set_xlabel("objective over the law's, up to 2")

    return [save_figure(out / "depth_limits.png", (9.6, 0.3 * len(kinds) + 1.2), draw)]


def batch_norm_kinds(result: Bounds, out: Path) -> list[Path]:
    """How far above its bound every network with decay of γ and β is, with three statistics."""
    kinds = [kind for kind in result.kinds() if kind.affine_decayed]

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for one in (one for one in result.networks if one.kind in kinds):
            row = kinds.index(one.kind)
            for part, name in enumerate(("full", "batched", "running")):
                above = max(getattr(one, name) - 1.0, 1e-9)
                axis.semilogx(above, row + 0.2 * part, "os^"[part], color=f"C{part}", markersize=4)
        for part, name in enumerate(("all samples", "batches", "running")):
            axis.plot([], [], "os^"[part], color=f"C{part}", label=name)
        axis.set_yticks(range(len(kinds)), [kind.name for kind in kinds], fontsize=8)
        axis.invert_yaxis()
        axis.set_xlabel("value over its proven bound, less 1")
        axis.grid(True)
        axis.legend()

    return [save_figure(out / "batch_norm_kinds.png", (9.0, 0.3 * len(kinds) + 1.6), draw)]


def batch_norm_training(result: Curves, out: Path) -> list[Path]:
    """Value over the bound, and the margins' error, over epochs."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for place, curve in enumerate(result.curves):
            left.loglog(curve.epochs, curve.values, "o-", color=f"C{place}", label=curve.name)
            left.loglog(curve.epochs, curve.running, "--", color=f"C{place}", linewidth=1)
            worst = np.abs(curve.margins - 1.0).max(axis=1)
            right.loglog(curve.epochs, worst, "o-", color=f"C{place}")
        left.axhline(1.0, color=faint(), linewidth=1)
        left.set_ylabel("value over the proven bound (dashed: running)")
        right.set_ylabel("largest relative error of a margin")
        left.legend(fontsize=8)
        for axis in (left, right):
            axis.set_xlabel("epochs")
            axis.grid(True, which="both")

    return [save_figure(out / "batch_norm_training.png", (9.6, 4.0), draw)]


def minority(result: Minority, out: Path) -> list[Path]:
    """Distance of the two smallest classes across the threshold."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        axis.plot(result.sizes, result.predicted, "_", markersize=18, label="predicted")
        axis.plot(result.sizes, result.distances, "o", label="measured")
        low = result.sizes[result.merging]
        axis.plot(low, result.rescued, "s", label="with rescuing weights")
        axis.plot(low, result.rescued_predicted, "_", markersize=18, label="predicted with them")
        axis.set_xlabel("samples of each of the two smallest classes")
        axis.set_ylabel("distance of their means")
        axis.grid(True)
        axis.legend()

    return [save_figure(out / "minority.png", (5.4, 3.8), draw)]


def _draw(result: Comparison, path: Path) -> Path:
    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        plot_margins(result, left)
        plot_distances(result, right)

    return save_figure(path, (9.2, 3.8), draw)


def plot_margins(result: Comparison, axis: Any) -> None:
    """Every class of every network: measured against predicted, with the diagonal; signed: hollow."""
    colours, markers = class_colours(len(result.counts)), class_markers(len(result.counts))
    for k, count in enumerate(result.counts):
        for features, fill in (("nonnegative", "full"), ("signed", "none")):
            kept = result.of(features=features).networks
            axis.plot(
                [one.predicted[k] for one in kept],
                [one.margins[k] for one in kept],
                markers[k],
                color=colours[k],
                fillstyle=fill,
                label=f"{count} samples" if fill == "full" else None,
            )
    ends = [min(one.predicted.min() for one in result.networks)]
    ends.append(max(one.predicted.max() for one in result.networks))
    axis.plot(ends, ends, color=faint(), linewidth=1)
    axis.set_xlabel("margin predicted before training")
    axis.set_ylabel("margin measured")
    axis.grid(True)
    axis.legend()


def plot_distances(result: Comparison, axis: Any) -> None:
    """Largest of the three distances of each network to every theory; signed features: hollow."""
    names = [
        row.name for row in result.networks[0].explanation.theories if np.isfinite(row.largest)
    ]
    for place, name in enumerate(names):
        for features, fill in (("nonnegative", "full"), ("signed", "none")):
            far = result.of(features=features).distances(name)
            right = (
                features
                if (result.theory, features) == ("peeled", "nonnegative")
                else result.theory
            )
            own = f"C{int(name == right)}"
            shift = 0.1 if fill == "full" else -0.1
            axis.plot(np.full(len(far), place + shift), far, "o", color=own, fillstyle=fill)
    axis.set_yscale("log")
    axis.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=30)
    axis.set_ylabel("largest distance of unit matrices")
    axis.grid(True)
