"""Every numbered statement, display and figure of ji2022, and the claims that stand for it."""

from __future__ import annotations

from ncollapse.claims import Statement
from ncollapse.papers.ji2022.network_claims import CLAIMS

_MEASURED = "definition; measured by ncollapse.metrics"


def _network(number: int, says: str) -> Statement:
    """The statement of a figure of trained networks, with all its claims."""
    name = f"Figure {number}"
    return Statement(name, says, tuple(row.id for row in CLAIMS if row.statement == name))


STATEMENTS = (
    Statement("Definition 2.1 (2.2)", "simplex ETF", reason="definition"),
    Statement("§2, NC1–NC4", "the four criteria of neural collapse", reason=_MEASURED),
    Statement("(2.3)", "the unconstrained layer-peeled model", reason="definition of the model"),
    Statement("Table 1", "what earlier work assumes", reason="a table of the literature"),
    Statement(
        "Theorem 3.1",
        "q_min ≤ ρ²/(2(K−1)√n), with equality iff neural collapse and ‖W‖ = ‖H‖",
        (
            "ji2022.figure2.margin-bound",
            "ji2022.figure2.margin",
            "ji2022.separation.only-if",
        ),
    ),
    Statement(
        "Theorem 3.2",
        "a limit direction of the flow is that of a KKT point of (3.1)",
        ("ji2022.figure2.kkt-point", "ji2022.figure2.kkt-epsilon", "ji2022.figure2.kkt-delta"),
    ),
    Statement(
        "Remark 3.1",
        "the constraint of (3.1) comes from implicit regularisation",
        reason="a remark that explains, without a statement of its own",
    ),
    Statement("Remark 3.2 (3.2)", "L < log 2 ⇒ q_min > 0", ("ji2022.separation.separated",)),
    Statement(
        "(3.1)",
        "the minimum-norm separation problem, with its multipliers",
        ("ji2022.separation.value", "ji2022.separation.multipliers"),
    ),
    Statement(
        "Corollary 3.1",
        "every global optimum of (3.1) is a KKT point that is neural collapse",
        (
            "ji2022.separation.value",
            "ji2022.separation.collapse",
            "ji2022.separation.kkt-point",
        ),
    ),
    Statement(
        "Example 3.1",
        "a KKT point that is not optimal, its multipliers, and an escape",
        (
            "ji2022.example31.kkt-point",
            "ji2022.example31.multipliers",
            "ji2022.example31.decrease",
        ),
    ),
    Statement(
        "Theorem 3.3",
        "L is least on a sphere exactly at neural collapse with ‖W‖ = ‖H‖",
        ("ji2022.separation.sphere-optimum", "ji2022.separation.sphere-only-if"),
    ),
    Statement(
        "Remark 3.3",
        "the condition ‖W‖ = ‖H‖ is necessary",
        ("ji2022.separation.norm-condition",),
    ),
    Statement("Definition 3.1", "tangent space", reason="definition"),
    Statement(
        "Theorem 3.4 (3.3) (3.4)",
        "every point that is not optimal has a tangent direction of descent",
        ("ji2022.example31.escape", "ji2022.figure2.means", "ji2022.figure2.classifier"),
    ),
    Statement(
        "Remark 3.4",
        "the direction is an eigenvector of the Riemannian Hessian",
        ("ji2022.example31.escape",),
    ),
    _network(1, "ResNet18 on MNIST and CIFAR10"),
    Statement("§4, four metrics", "what the figures show", reason=_MEASURED),
    Statement(
        "Definition A.1",
        "KKT point",
        (
            "ji2022.example31.kkt-point",
            "ji2022.figure2.kkt-point",
            "ji2022.separation.kkt-point",
        ),
    ),
    Statement(
        "Definition A.2",
        "(ε, δ)-KKT point",
        ("ji2022.figure2.kkt-epsilon", "ji2022.figure2.kkt-delta"),
    ),
    Statement(
        "Definition A.3 (A.2)",
        "MFCQ, which (3.1) satisfies with v = θ",
        ("ji2022.figure2.mfcq",),
    ),
    Statement("Theorem A.1", "approximate KKT points lead to KKT points", reason="quoted tool"),
    Statement(
        "Lemma B.1",
        "ε and δ along the flow",
        ("ji2022.figure2.kkt-epsilon", "ji2022.figure2.kkt-delta"),
    ),
    Statement(
        "Lemma B.2 (B.12)",
        "dρ²/dt > 0 and dγ̃/dt ≥ 0",
        (
            "ji2022.figure2.norm-rises",
            "ji2022.figure2.smoothed-margin",
            "ji2022.figure2.margin-rises",
        ),
    ),
    Statement(
        "Lemma B.3",
        "L → 0 like O(1/t) and q_min → ∞",
        ("ji2022.figure2.margin-diverges", "ji2022.figure2.loss-rate"),
    ),
    Statement("Lemma B.4", "‖dθ̂/dt‖ ≤ (1/γ̃(t₀)) d log ρ/dt", ("ji2022.figure2.turning",)),
    Statement("Lemma B.5", "β → 1 along a sequence of times", ("ji2022.figure2.alignment",)),
    Statement(
        "(C.3)",
        "uᵀ∇L(Z) = 0 iff u ∝ 1, so its rank is K − 1",
        ("ji2022.figure2.gradient-rank", "ji2022.figure2.gradient-kernel"),
    ),
    Statement(
        "Figure 2 (a)–(d)",
        "four metrics over log log t",
        (
            "ji2022.figure2.means",
            "ji2022.figure2.classifier",
            "ji2022.figure2.descent",
        ),
    ),
    Statement(
        "Figure 2, “the rate O(1/log t)”",
        "all four metrics fall like 1/log t",
        ("ji2022.rates.printed", "ji2022.rates.powers"),
    ),
    _network(3, "VGG13 on CIFAR10"),
    _network(4, "VGG13 on MNIST"),
    _network(5, "VGG13 on KMNIST"),
    _network(6, "ResNet18 on KMNIST"),
    _network(7, "VGG13 on Fashion-MNIST"),
    _network(8, "ResNet18 on Fashion-MNIST"),
)
