"""papyan2020: neural collapse in ordinary training, to zero error and on."""

from ncollapse.papers.papyan2020.experiments import Curves, curves

__all__ = ["Curves", "curves"]
