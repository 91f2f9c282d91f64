"""Metrics by name and the presets of papers, as declared by `metric` where each is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, TypeVar

from ncollapse._arrays import in_double

Needs = Literal["summary", "weight", "both", "bias", "samples", "decisions"]
Function = TypeVar("Function", bound=Callable[..., Any])
NEEDS = {
    "summary": "—",
    "weight": "W",
    "both": "W",
    "bias": "W, b",
    "samples": "second pass",
    "decisions": "W, second pass",
}


@dataclass(frozen=True)
class Metric:
    """A named convention.

    ``needs``: "summary", "weight" (W alone), "both" (summary and W), "bias" (summary, W and b),
    "samples" (a second pass), "decisions" (a second pass with W). ``reading``: how to read
    the number, one line. ``collapsed``: its value at collapse, None where there is no fixed one.
    """

    name: str
    function: Callable[..., float]
    needs: Needs
    reading: str
    collapsed: float | None = 0.0

    @property
    def needs_weight(self) -> bool:
        return self.needs in ("weight", "both", "bias", "decisions")

    @property
    def needs_samples(self) -> bool:
        return self.needs in ("samples", "decisions")

    @property
    def formula(self) -> str:
        """Formula and source: the first paragraph of the function's docstring, on one line."""
        paragraph = (inspect.getdoc(self.function) or "").partition("\n\n")[0]
        return " ".join(paragraph.split()).removesuffix(".")


METRICS: dict[str, Metric] = {}
PRESETS: dict[str, tuple[str, ...]] = {}


def float64_inside(function: Function) -> Function:
    """``function`` within `in_double` of its arguments: summaries, `Frame`s and arrays."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        given = (*arguments, *options.values())
        with in_double(*(getattr(x, "means", getattr(x, "array", x)) for x in given)):
            return function(*arguments, **options)

    return call  # pyright: ignore[reportReturnType]


def metric(
    reading: str,
    *,
    needs: Needs = "summary",
    collapsed: float | None = 0.0,
    presets: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Declare the decorated function a `Metric` under its own name, and part of ``presets``; it
    computes in float64 (`float64_inside`).
    """

    def declare(function: Function) -> Function:
        function = float64_inside(function)
        name: Any = function.__name__
        METRICS[name] = Metric(name, function, needs, reading, collapsed)
        for preset in (*presets, "all"):
            PRESETS[preset] = (*PRESETS.get(preset, ()), name)
        return function

    return declare


def preset_names(preset: str | Iterable[str]) -> tuple[str, ...]:
    """Metric names of a preset, or of an iterable of metric names."""
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, but it is {preset!r}")
        return PRESETS[preset]
    names = tuple(preset)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"there is no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return names


def metric_table() -> str:
    """Every metric in Markdown: name, formula and source, what it needs, its value at collapse."""
    lines = ["| name | formula and source | needs | at collapse |", "|---|---|---|---|"]
    for entry in METRICS.values():
        formula = entry.formula.replace("|", "∣")
        collapsed = "—" if entry.collapsed is None else f"{entry.collapsed:g}"
        lines.append(f"| `{entry.name}` | {formula} | {NEEDS[entry.needs]} | {collapsed} |")
    return "\n".join(lines)
