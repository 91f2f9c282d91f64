"""Every numbered statement, display and figure of hong2025, and the claims that stand for it."""

from __future__ import annotations

from ncollapse.claims import Statement


def _of(experiment: str, *names: str) -> tuple[str, ...]:
    return tuple(f"hong2025.{experiment}.{name}" for name in names)


_UPFM_CE, _UPFM_L2 = _of("theorem2a", "size", "risk"), _of("theorem2b", "size", "risk")
_BUILT = _of("certificates", "definition1-risk", "definition1-metrics")
_THREE_LAYERS = _of("certificates", "theorem6-two-layers", "theorem6", "theorem6-risk")
_SUFFICIENT = _of("figure2", "gordon", "gordon-limit")
_PHASE = ("boundary", "noise", "union", "gordon", "gordon-limit", "proven")

STATEMENTS = (
    Statement("(1.1)", "a feedforward network", reason="a definition of notation"),
    Statement(
        "(2.1)–(2.3)",
        "risk with activation regularisation, labels, class means",
        reason="definitions; Theorem 2's claims evaluate them",
    ),
    Statement(
        "Definition 1",
        "collapse occurs: a global minimiser has NC1, orthogonal means, a simplex of weights",
        _BUILT,
    ),
    Statement("(2.4)", "risk of a two-layer network, at its global minimum", _BUILT),
    Statement(
        "(2.5)",
        "risk of a three-layer network, at its global minimum",
        _of("certificates", "theorem6-risk", "theorem6-metrics"),
    ),
    Statement("(2.6)", "cross-entropy of positive features", _UPFM_CE),
    Statement("(2.7)", "squared loss of positive features", _UPFM_L2),
    Statement("Theorem 2(a) (2.8), (2.9)", "minimiser of cross-entropy, its threshold", _UPFM_CE),
    Statement(
        "Theorem 2(b) (2.10), (2.11)",
        "minimiser of squared loss; the display has √(nKλ) for √n·K·λ",
        (*_UPFM_L2, "hong2025.theorem2b.printed"),
    ),
    Statement(
        "(2.12)",
        "a direction for each class: one on it, at most zero off it",
        (*_of("figure1", "proven"), *_of("images", "proven"), *_BUILT),
    ),
    Statement(
        "Theorem 3(a)",
        "data that are not linearly separable do not collapse",
        _of("certificates", "theorem3a"),
    ),
    Statement(
        "Theorem 3(b)",
        "rank N suffices",
        (
            *_of("certificates", "theorem3b"),
            *_of("images", "independent"),
            "hong2025.theorem7.found",
        ),
    ),
    Statement(
        "Theorem 3(c)",
        "1 must be in the range of each class",
        (*_of("certificates", "theorem3c"), *_of("images", "spanned")),
    ),
    Statement(
        "Theorem 4 (2.13), (2.14)",
        "two classes: noise up to which the union bound promises collapse",
        _of("figure1", "union"),
    ),
    Statement(
        "Theorem 4, d ≥ 2n",
        "two classes collapse with probability 1",
        _of("certificates", "theorem4-twice"),
    ),
    Statement(
        "(2.15)", "the Gaussian mixture", reason="a definition; every experiment draws from it"
    ),
    Statement(
        "Theorem 5(a) (2.16)",
        "K classes: noise up to which the union bound promises collapse",
        _of("figure2", "union"),
    ),
    Statement("Theorem 5(b) (2.17)", "d/n beyond (K + 1)/2 suffices", _SUFFICIENT),
    Statement("Theorem 5(c)", "d ≥ Kn suffices", _of("certificates", "theorem3b")),
    Statement(
        "Remark after Theorem 5",
        "the results extend to unequal classes, which shift the minimiser",
        (
            *_of("certificates", "unequal-boundary"),
            *_of("optimality", "unequal-risk", "unequal-margins"),
        ),
    ),
    Statement(
        "Theorem 6, (2.18)",
        "a wide random first layer makes collapse possible",
        (*_THREE_LAYERS, *_of("certificates", "kernel")),
    ),
    Statement(
        "Theorem 6 in training",
        "three trained layers collapse: they can, and descent is slow",
        _of("figure6", "optimum", "faster", "infinite"),
    ),
    Statement(
        "(2.19)–(2.21)", "two opposite classes and a collapsed network", reason="definitions"
    ),
    Statement(
        "(2.22), (2.23)",
        "two classes: opposite weights along the difference of the means",
        _of("optimality", "two-classes"),
    ),
    Statement(
        "(2.24)–(2.26)",
        "two neurons, the collapsed ones, and the best of them",
        _of("theorem8", "optimum", "fresh"),
    ),
    Statement(
        "Theorem 7(a) (2.27)", "error at most n⁻² at low noise", _of("theorem7", "neuron-upper")
    ),
    Statement(
        "Theorem 7(b) (2.28)",
        "lower bound of the error of one neuron",
        _of("theorem7", "neuron-printed", "neuron-lower"),
    ),
    Statement("Theorem 8(a)", "error of the pair at most n⁻²", _of("theorem7", "pair-upper")),
    Statement(
        "Theorem 8(b)",
        "lower bound of the error of the pair",
        (*_of("theorem7", "pair-printed", "pair-lower"), *_of("theorem8", "ties-printed", "ties")),
    ),
    Statement(
        "Remark after Theorem 8",
        "the error at large noise",
        _of("theorem8", "large-noise-printed", "large-noise"),
    ),
    Statement(
        "(3.1), Figure 1",
        "where two classes can collapse, at five angles",
        _of("figure1", *_PHASE),
    ),
    Statement("Figure 2", "where four classes can collapse", _of("figure2", *_PHASE)),
    Statement("(3.2)", "NC1", _of("certificates", "definition1-metrics", "theorem6-metrics")),
    Statement(
        "(3.3)", "NC2 and NC3", _of("certificates", "definition1-metrics", "theorem6-metrics")
    ),
    Statement(
        "Figure 3",
        "NC1 after training, over d and σ",
        _of(
            "figure3",
            "optimum",
            "infeasible",
            "built",
            "stable",
            "local",
            "descent",
            "slow",
            "printed",
        ),
    ),
    Statement("Figure 4", "NC1–NC3 over epochs at σ = 0.18", _of("figure4", "falls")),
    Statement("Figure 5", "NC1–NC3 over epochs at σ = 1.42", _of("figure5", "hidden", "stays")),
    Statement("Figure 6", "NC1–NC3 of three layers on Fashion-MNIST", _of("figure6", "wider")),
    Statement(
        "(4.1)–(4.4)",
        "optimality conditions of Theorem 2(a) and their multipliers",
        _of("optimality", "multiplier"),
    ),
    Statement(
        "(4.5)",
        "a/b; displayed without the root over λ_H/λ_W",
        _of("optimality", "quotient-printed", "quotient"),
    ),
    Statement(
        "(4.6)–(4.8)",
        "the union bound of two classes",
        _of("figure1", "union"),
    ),
    Statement(
        "(4.9), (4.10)",
        "the union bound of K classes; 2σ√(log Kn) ≤ F(γ) should read √F(γ), as (2.16) has it",
        _of("figure2", "union"),
    ),
    Statement("(4.11), (4.12)", "the reduction behind Theorem 5(b)", _SUFFICIENT),
    Statement(
        "(4.13)", "√d − √(n/2) from Proposition 13", _of("lemmas", "gordon", "gordon-rounded")
    ),
    Statement("(4.14)", "three layers, the first random", _THREE_LAYERS),
    Statement(
        "Lemma 9, (4.15), (4.16)",
        "the kernel of a random layer is positive definite; displayed with E σ = √(2/π)",
        _of("certificates", "lemma9-printed", "lemma9"),
    ),
    Statement(
        "(4.17)",
        "a random layer is Lipschitz",
        reason="a step of a proof; Theorem 6's claims judge where it leads",
    ),
    Statement(
        "(4.18)–(4.23)",
        "the program of Theorem 7(a) and where its inequalities hold",
        _of("theorem7", "neuron-upper"),
    ),
    Statement(
        "(4.24)–(4.28)",
        "the bound of Theorem 7(b), whose rarer first case (2.28) takes",
        _of("theorem7", "neuron-printed", "neuron-lower"),
    ),
    Statement("Lemma 10", "least quotient over a hyperplane", _of("lemmas", "quotient")),
    Statement(
        "Lemma 11, (5.1)",
        "random projections keep angles",
        _of("lemmas", "angle", "angle-share"),
    ),
    Statement(
        "Lemma 12, (5.2)–(5.7)",
        "random projections keep singular values; (5.5) has 1 + ε² for (1 + ε)²",
        _of("lemmas", "spectrum", "spectrum-printed", "spectrum-share"),
    ),
    Statement("Proposition 13", "Gordon's bound in expectation", _of("lemmas", "gordon")),
    Statement("Theorem 14", "Gordon's inequality", reason="a quoted tool: Proposition 13 uses it"),
    Statement(
        "Lemma 15, (5.8)", "concentration of Gordon's minimum", _of("lemmas", "concentration")
    ),
    Statement(
        "ours: exact boundary",
        "the d/n at which collapse becomes possible, for large n",
        (
            *_of("figure1", "boundary", "noise"),
            *_of("figure2", "boundary", "noise"),
            *_of("certificates", "unequal-boundary"),
        ),
    ),
    Statement(
        "ours: best error",
        "the least error of a collapsed neuron, for large n and then for large noise",
        (*_of("theorem7", "noise"), *_of("theorem8", "large-noise")),
    ),
    Statement(
        "ours: corrected (2.28)",
        "the lower bound that the proof gives",
        _of("theorem7", "neuron-lower", "pair-lower"),
    ),
    Statement(
        "ours: what §3.2 leaves open",
        "width, initial scale and batch size, and how many pairs are dead",
        _of("choices", "first-step", "initial-scale", "batch", "flow-time"),
    ),
    Statement(
        "ours: images",
        "how many images a class can still collapse",
        _of("images", "proven", "independent", "spanned"),
    ),
)
