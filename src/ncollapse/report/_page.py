"""What a report says, free of how it looks: the page of any experiment is one of these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncollapse.claims import Verdict

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Fact:
    """One number worth a large font: what it is, its value as text, and what it means."""

    label: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Illustration:
    """A figure: PNG bytes for light and dark pages, and the words around it.

    ``name`` is the stem of its file; ``alt`` says what is seen to those who cannot see it;
    ``width`` is how wide it is shown, in CSS pixels, where there is room.
    """

    name: str
    title: str
    caption: str
    alt: str
    light: bytes
    dark: bytes
    width: int


@dataclass(frozen=True)
class Animation:
    """A figure that moves, drawn by plotly in the page: what changes, and what it looks like.

    Attributes
    ----------
    name, title, caption, alt
        As those of an `Illustration`.
    frames
        Coordinates by frame, then by moving trace: ``x``, ``y`` and perhaps ``z``.
    moving
        Places of these traces in ``data`` of `light` and `dark` alike.
    labels
        One a frame: where it is in time, and what there is to read off.
    light, dark
        ``data``, with the coordinates of the first frame, and ``layout`` of plotly.
    slider
        What the slider sets.
    """

    name: str
    title: str
    caption: str
    alt: str
    frames: Sequence[Sequence[Mapping[str, Any]]]
    moving: Sequence[int]
    labels: Sequence[str]
    light: Mapping[str, Any]
    dark: Mapping[str, Any]
    slider: str = "Time"

    def to_dict(self) -> dict[str, Any]:
        """What the page's script needs, JSON-ready."""
        return {
            "frames": self.frames,
            "moving": self.moving,
            "labels": self.labels,
            "light": self.light,
            "dark": self.dark,
        }


@dataclass(frozen=True)
class Table:
    """Rows of text below a header. Columns but the first hold numbers, unless listed in ``words``."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: Sequence[int] = ()


@dataclass(frozen=True)
class Section:
    """A heading, a plain paragraph, and tables, animations and figures below it."""

    title: str
    text: str
    figures: Sequence[Illustration] = ()
    tables: Sequence[Table] = ()
    animations: Sequence[Animation] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes
    ----------
    title, lead
        The headline and one plain paragraph.
    facts
        The few numbers on top.
    verdicts
        Claims, measured against predicted.
    sections
        Figures and tables in reading order.
    record
        Everything as JSON-ready values, for the fold-out at the end.
    source
        What the claims are taken from.
    """

    title: str
    lead: str
    facts: Sequence[Fact] = ()
    verdicts: Sequence[Verdict] = ()
    sections: Sequence[Section] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def broken(self) -> list[str]:
        """The assumptions that the verdicts lack, each once."""
        return list(dict.fromkeys(v.assumption for v in self.verdicts if v.assumption))

    @property
    def figures(self) -> list[Illustration]:
        return [figure for section in self.sections for figure in section.figures]

    @property
    def animations(self) -> list[Animation]:
        return [animation for section in self.sections for animation in section.animations]


def number(value: float | None, digits: int = 3) -> str:
    """``value`` for a reader: plain between 0.001 and 100,000, else with a power of ten."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        plain = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
        return plain.replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.replace('-', '−')} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def percent(share: float, digits: int = 3) -> str:
    """A share as a percentage; of one below 0.001 % only that is said."""
    return "<\u00a00.001\u00a0%" if 0 < share < 1e-5 else f"{number(100 * share, digits)}\u00a0%"


def closeness(verdict: Verdict) -> float | None:
    """Where a claim stands between exact (0) and far off (100), with its tolerance at 50.

    50 + 12.5 log₁₀(gap / tolerance), cut off at four orders of magnitude either way; the gap is
    how far the measurement lies on the wrong side of what is expected. A tolerance of zero is met
    exactly (0) or not at all (100). None when nothing was measured or expected.
    """
    if verdict.measured is None or verdict.expected is None or verdict.tolerance is None:
        return None
    gap = verdict.measured - verdict.expected
    gap = {"at most": gap, "at least": -gap}.get(verdict.relation, abs(gap))
    if gap <= 0 or verdict.measured == verdict.expected:
        return 0.0
    if verdict.tolerance == 0:
        return 100.0
    place = 50 + 12.5 * (math.log10(gap) - math.log10(verdict.tolerance))
    return min(100.0, max(0.0, place))
