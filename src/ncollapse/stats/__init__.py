"""Streaming class statistics: the only state that measuring needs."""

from ncollapse.stats._class_stats import ClassStats
from ncollapse.stats._frame import Frame, UndefinedMetricError, scalar
from ncollapse.stats._summary import ClassSummary, Scatter

__all__ = ["ClassStats", "ClassSummary", "Frame", "Scatter", "UndefinedMetricError", "scalar"]
