"""Every statement and figure of min2025, and the claims that stand for it.

The poster numbers nothing; the full paper's own numbering is not at hand.
"""

from __future__ import annotations

from ncollapse.claims import Statement


def _on_every_run(*names: str) -> tuple[str, ...]:
    """The claims of these names on made-up data and on digits that are separable."""
    return tuple(
        f"min2025.{prefix}{name}" for name in names for prefix in ("", "separable-digits.")
    )


def _on_digits(*names: str) -> tuple[str, ...]:
    return tuple(f"min2025.digits.{name}" for name in names)


STATEMENTS = (
    Statement(
        "Problem: orthogonally separable data",
        "⟨x_i, x_j⟩ > 0 within a class and < 0 across",
        reason="definition; data.orthogonal_separability measures it, on every page of a run",
    ),
    Statement(
        "Problem: network, loss, gradient flow",
        "σ(Wᵀx), summed cross-entropy, small balanced start",
        _on_every_run("conservation") + _on_digits("conservation"),
    ),
    Statement(
        "Recall: collapse of unconstrained features",
        "singletons, ETF, self-duality",
        reason="background; the claims of ji2022 and mixon2022 judge it",
    ),
    Statement(
        "Theorem (alignment)",
        "after some T* each neuron is active on exactly one class",
        (
            *_on_every_run("alignment"),
            "min2025.lost-classes.classes",
            "min2025.lost-classes.neurons",
        ),
    ),
    Statement(
        "Theorem (alignment), T*",
        "how T* depends on the size of the start",
        ("min2025.alignment-time.aligned", "min2025.alignment-time.escaped"),
    ),
    Statement("Theorem (convergence), ‖θ‖ → ∞", "the norm grows for ever", _on_every_run("norm")),
    Statement(
        "Theorem (convergence), W_k",
        "input weights turn to the max-margin direction u_k",
        _on_every_run("max-margin"),
    ),
    Statement(
        "Theorem (convergence), V_k",
        "output weights turn to the ETF direction ē_k",
        _on_every_run("output-weights"),
    ),
    Statement(
        "Theorem (convergence), g_k",
        "one split among neurons in both layers",
        _on_every_run("split"),
    ),
    Statement(
        "Theorem (convergence), s_k",
        "s_k depends on the margins: masses s_k²",
        _on_every_run("masses"),
    ),
    Statement(
        "Theorem (NC) 1",
        "features of a class in one direction, of length s_k⟨u_k, x_i⟩",
        _on_every_run("directional-collapse", "feature-lengths"),
    ),
    Statement(
        "Theorem (NC) 2",
        "class means form a nonnegative orthogonal frame",
        _on_every_run("orthogonal-means"),
    ),
    Statement(
        "Theorem (NC) 3",
        "V̄ = √(K/(K−1)) C_K [s_k φ̄_k]",
        _on_every_run("self-duality", "self-duality-lengths"),
    ),
    Statement(
        "Figure (a), digits correlation",
        "centred digits 0, 1, 2 are nearly orthogonally separable",
        reason="drawn on the page of min2025.digits, with the share of pairs that are not",
    ),
    Statement(
        "Figure (b), neuron weights alignment",
        "output weights on ETF directions, input weights like average digits",
        _on_digits("alignment", "output-weights", "max-margin", "split", "masses"),
    ),
    Statement(
        "Figure (c), PCA of the inputs, 61 %",
        "share of the inputs outside three dimensions",
        ("min2025.digits.input-rank",),
    ),
    Statement(
        "Figure (d), PCA of the features, 0.2 %",
        "share of the features outside three dimensions",
        (
            "min2025.digits.feature-rank",
            *_on_digits(
                "directional-collapse",
                "feature-lengths",
                "orthogonal-means",
                "self-duality",
                "self-duality-lengths",
                "norm",
            ),
        ),
    ),
)
