"""Every numbered statement, display and figure of mixon2022, and the claims that stand for it."""

from __future__ import annotations

from ncollapse.claims import Statement

_SUBSPACE = "mixon2022.subspace."

STATEMENTS = (
    Statement("(NC1)–(NC4)", "neural collapse", (_SUBSPACE + "collapse",)),
    Statement(
        "(SNC1)–(SNC3)",
        "strong neural collapse",
        ("mixon2022.figure1.strong-collapse", _SUBSPACE + "zero-risk"),
    ),
    Statement(
        "Figure 1",
        "errors in (SNC1)–(SNC3) fall to the order of the start",
        ("mixon2022.figure1.strong-collapse",),
    ),
    Statement("Lemma 1(a)", "strong collapse has risk 0", (_SUBSPACE + "zero-risk",)),
    Statement("Lemma 1(b)", "strong collapse implies (NC1)–(NC4)", (_SUBSPACE + "collapse",)),
    Statement("∇R, display before Theorem 2", "the gradient", (_SUBSPACE + "gradient",)),
    Statement(
        "Theorem 2, bound",
        "all but the part in T stays bounded, linearised",
        (_SUBSPACE + "linearised", "mixon2022.figure2.late-distance"),
    ),
    Statement(
        "Theorem 2, b(t)",
        "b = (1 − e^{−CNt})/C · 1",
        ("mixon2022.figure1.exact-flow",),
    ),
    Statement(
        "Theorem 2, proof",
        "five eigenspaces and their rates",
        (_SUBSPACE + "linearised",),
    ),
    Statement(
        "Figure 2",
        "relative distance to S",
        ("mixon2022.figure2.late-distance", "mixon2022.figure2.final-distance"),
    ),
    Statement("Theorem 3(a)", "S is invariant", (_SUBSPACE + "invariant",)),
    Statement("Theorem 3(b)", "the flow on S", ("mixon2022.figure1.exact-flow",)),
    Statement(
        "Theorem 3(c)",
        "WWᵀ → √N(I − Π); strong collapse where W₀ has rank C − 1",
        (
            _SUBSPACE + "rank-deficient",
            _SUBSPACE + "rank-deficient-risk",
            "mixon2022.figure1.strong-collapse",
        ),
    ),
    Statement("Lemma 4 (3)", "the risk on S in two terms", (_SUBSPACE + "risk-on-subspace",)),
    Statement(
        "Lemma 4, in particular",
        "minimisers on S are exactly strong collapse",
        (_SUBSPACE + "minimisers",),
    ),
    Statement(
        "§4, first question",
        "how the distance from S behaves over the whole path",
        ("mixon2022.figure2.late-distance", "mixon2022.figure2.final-distance"),
    ),
    Statement(
        "§4, second question",
        "where the path ends, against ε",
        tuple(f"mixon2022.final-errors.{name}" for name in ("snc1", "snc2", "snc3")),
    ),
    Statement(
        "§4, third question",
        "what other optimisers do, such as Adam",
        ("mixon2022.final-errors.adam",),
    ),
)
