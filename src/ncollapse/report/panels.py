"""The panels that every run of unconstrained features is drawn in: ji2022's four measures of collapse."""

PANELS = (
    ("Variation of the norms", ("nc2_equinorm_means", "nc2_equinorm_weight")),
    ("Within-class variation", ("within_variation",)),
    ("Cosines between pairs", ("nc2_equiangular_means", "nc2_equiangular_weight")),
    ("Self-duality", ("nc3_average",)),
)
"""Title, and names of the metrics in `ncollapse.metrics.METRICS`."""
