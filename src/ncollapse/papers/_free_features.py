"""The experiments on free features as `ncollapse reproduce` runs them: compute, draw, judge.

All run on this machine in one process, so a scheduler has nothing to do and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from ncollapse.papers._registry import Findings
from ncollapse.papers._style import theme

if TYPE_CHECKING:
    from ncollapse.papers.mixon2022 import FinalErrors


def mixon_figure1(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """Errors in SNC1, SNC2 and SNC3 from several small starts."""
    from ncollapse.papers.mixon2022 import figures, plot_figure1

    settings = {"sizes": (1e-1, 1e-2)} if scale == "quick" else {}
    return _run("figure1", figures, settings, _flat(plot_figure1), (1, 3), out, scheduler)


def mixon_figure2(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """Distance to the invariant subspace from the same starts."""
    from ncollapse.papers.mixon2022 import figures, plot_figure2

    settings = {"sizes": (1e-1, 1e-2)} if scale == "quick" else {}
    return _run("figure2", figures, settings, _first(plot_figure2), (1, 1), out, scheduler)


def mixon_final_errors(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """Final errors against the size of the start: the flow beside three optimisers."""
    from ncollapse.papers.mixon2022 import OPTIMISERS, final_errors, plot_final_errors

    settings: dict[str, Any] = {"optimisers": OPTIMISERS}
    if scale == "quick":
        settings |= {"optimisers": {}, "sizes": (1e-1, 1e-2), "seeds": (0,)}
    rules = ("flow", *settings["optimisers"])

    def draw(result: FinalErrors, axes: Any) -> None:
        for axis, rule in zip(axes.flat, rules, strict=True):
            plot_final_errors(result, axis, rule=rule)

    return _run("final_errors", final_errors, settings, draw, (1, len(rules)), out, scheduler)


def ji_figure2(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """Four metrics of the layer-peeled model over log log t, with gradient descent beside."""
    from ncollapse.papers.ji2022 import figure2, plot_figure2

    settings = {"epochs": 2_000} if scale == "quick" else {}
    return _run("figure2", figure2, settings, _flat(plot_figure2), (2, 2), out, scheduler)


def ji_example31(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """A KKT point that is not optimal, and the way down from it."""
    from ncollapse.papers.ji2022 import example31, plot_example31

    return _run("example31", example31, {}, _first(plot_example31), (1, 1), out, scheduler)


def theorem2(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """Where flows of the positive-feature models end, against the closed forms."""
    from ncollapse.papers.hong2025.minimisers import plot_theorem2
    from ncollapse.papers.hong2025.minimisers import theorem2 as compute

    settings = {"shares": (0.2, 0.8, 1.1), "seeds": (0, 1)} if scale == "quick" else {}
    draw = _flat(plot_theorem2)
    return _run("theorem2", compute, settings, draw, (1, 2), out, scheduler)


def _run(
    stem: str,
    compute: Callable[..., Any],
    settings: Mapping[str, Any],
    plot: Callable[[Any, Any], Any],
    shape: tuple[int, int],
    out: Path,
    scheduler: str | None,
) -> Findings:
    if scheduler is not None:
        raise ValueError("scheduler is for sweeps; this experiment runs in one process")
    result = compute(**settings)
    picture, data = out / f"{stem}.png", out / f"{stem}.json"
    with theme("light"):
        figure = Figure(figsize=(4.6 * shape[1], 3.8 * shape[0]), layout="constrained")
        plot(result, figure.subplots(*shape, squeeze=False))
        figure.savefig(picture, dpi=150)
    data.write_text(json.dumps(result.to_dict(), sort_keys=True), encoding="utf-8")
    return Findings([picture, data], result.verdicts, settings)


def _first(plot: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda result, axes: plot(result, axes.flat[0])


def _flat(plot: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda result, axes: plot(result, list(axes.flat))
