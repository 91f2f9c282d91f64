"""min2025: neural collapse of shallow ReLU networks on orthogonally separable data."""

from ncollapse.papers.min2025._experiment import Alignment, Run, find_alignment, rank_error, run

__all__ = ["Alignment", "Run", "find_alignment", "rank_error", "run"]
