"""mixon2022's flow: literal matrices of the paper against the coordinates used here."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ncollapse.theory.unconstrained import (
    EIGENSPACES,
    Point,
    distance_to_invariant_subspace,
    eigenspace_projections,
    exact_solution,
    linearised_bound,
    linearised_solution,
    logistic_singular_values,
    on_invariant_subspace,
    project_to_invariant_subspace,
    risk,
    risk_split,
    small_start_limit,
    strong_collapse_residuals,
)

CASES = [
    pytest.param(3, 3, 15, 0, id="C3-N3-p15-seed0"),
    pytest.param(4, 2, 3, 1, id="C4-N2-p3-seed1"),
]


def random_point(classes, per_class, dim, seed):
    rng = np.random.default_rng(seed)
    return Point(
        rng.standard_normal((classes, dim)),
        rng.standard_normal((classes * per_class, dim)),
        rng.standard_normal(classes),
    )


def paper_basis(classes, per_class, dim):
    """Orthonormal bases of E1±, E2±, E3 of Theorem 2, as columns over (W, H) in our layout."""
    spaces = {name: [] for name in EIGENSPACES}
    for row in range(classes):
        for column in range(dim):
            weight = np.zeros((classes, dim))
            weight[row, column] = 1.0
            weight -= weight.mean(axis=0)
            for name, sign in (("grow", 1), ("decay", -1)):
                hidden = sign / np.sqrt(per_class) * np.kron(weight, np.ones((per_class, 1))).T
                spaces[name].append(np.concatenate([weight.ravel(), hidden.T.ravel()]))
    for column in range(dim):
        z = np.eye(dim)[column]
        for name, sign in (("mean_grow", 1), ("mean_decay", -1)):
            hidden = sign * np.outer(z, np.ones(classes * per_class))
            weight = np.sqrt(per_class) * np.outer(np.ones(classes), z)
            spaces[name].append(np.concatenate([weight.ravel(), hidden.T.ravel()]))
    for sample in range(classes * per_class):
        for column in range(dim):
            features = np.zeros((classes * per_class, dim))
            features[sample, column] = 1.0
            own = slice(sample // per_class * per_class, (sample // per_class + 1) * per_class)
            features[own] -= features[own].mean(axis=0)
            spaces["still"].append(np.concatenate([np.zeros(classes * dim), features.ravel()]))
    bases = {}
    for name, vectors in spaces.items():
        left, singular, _ = np.linalg.svd(np.stack(vectors, axis=1), full_matrices=False)
        bases[name] = left[:, singular > 1e-10]
    return bases


@pytest.mark.parametrize(("classes", "per_class", "dim", "seed"), CASES)
def test_projections_are_those_of_the_printed_spaces(classes, per_class, dim, seed):
    point = random_point(classes, per_class, dim, seed)
    flat = np.concatenate([point.weight.ravel(), point.features.ravel()])
    bases = paper_basis(classes, per_class, dim)
    sizes = {name: base.shape[1] for name, base in bases.items()}
    assert sizes["grow"] == sizes["decay"] == dim * (classes - 1)
    assert sizes["mean_grow"] == sizes["mean_decay"] == dim
    assert sizes["still"] == dim * classes * (per_class - 1)
    for name, (weight, features) in eigenspace_projections(point.weight, point.features).items():
        projected = np.concatenate([weight.ravel(), features.ravel()])
        np.testing.assert_allclose(projected, bases[name] @ (bases[name].T @ flat), atol=1e-13)


def linearised_field(t, flat, classes, per_class, dim):
    """Theorem 2's equations as printed, paper orientation inside."""
    weight = flat[: classes * dim].reshape(classes, dim)
    hidden = flat[classes * dim : classes * dim * (1 + per_class)].reshape(-1, dim).T
    bias = flat[-classes:]
    ones = np.ones(classes * per_class)
    residual = np.outer(bias, ones) - np.kron(np.eye(classes), np.ones((1, per_class)))
    return np.concatenate(
        [-(residual @ hidden.T).ravel(), -(weight.T @ residual).T.ravel(), -residual @ ones]
    )


@pytest.mark.parametrize(("classes", "per_class", "dim", "seed"), CASES)
def test_linearised_solution_solves_the_linearised_equations(classes, per_class, dim, seed):
    point = random_point(classes, per_class, dim, seed)
    start = np.concatenate([point.weight.ravel(), point.features.ravel(), np.zeros(classes)])
    times = [0.0, 0.05, 0.4, 1.5]
    path = solve_ivp(
        linearised_field,
        (0.0, times[-1]),
        start,
        method="DOP853",
        t_eval=times,
        args=(classes, per_class, dim),
        rtol=1e-12,
        atol=1e-13,
    )
    bound = linearised_bound(point.weight, point.features)
    grow_w, grow_h = eigenspace_projections(point.weight, point.features)["grow"]
    for time, state in zip(times, path.y.T, strict=True):
        solution = linearised_solution(point.weight, point.features, time)
        flat = np.concatenate([solution.weight.ravel(), solution.features.ravel(), solution.bias])
        np.testing.assert_allclose(flat, state, atol=1e-9 * np.abs(state).max())
        growth = np.exp(np.sqrt(per_class) * time)
        off = np.hypot(
            np.linalg.norm(solution.weight - growth * grow_w),
            np.linalg.norm(solution.features - growth * grow_h),
        )
        assert off <= bound


@pytest.mark.parametrize(("classes", "per_class", "dim", "seed"), CASES)
def test_the_bound_of_the_linearised_flow_is_the_printed_one(classes, per_class, dim, seed):
    """e^{1/(C√N)} times the norm of what is not in T."""
    point = random_point(classes, per_class, dim, seed)
    flat = np.concatenate([point.weight.ravel(), point.features.ravel()])
    grow = paper_basis(classes, per_class, dim)["grow"]
    off = np.linalg.norm(flat - grow @ (grow.T @ flat))
    expected = np.exp(1 / (classes * np.sqrt(per_class))) * off
    assert linearised_bound(point.weight, point.features) == pytest.approx(expected, rel=1e-12)


def gradient_field(t, flat, classes, per_class, dim):
    """Z' = −∇R_e(Z), paper orientation inside."""
    weight = flat[: classes * dim].reshape(classes, dim)
    hidden = flat[classes * dim : classes * dim * (1 + per_class)].reshape(-1, dim).T
    bias = flat[-classes:]
    ones = np.ones(classes * per_class)
    residual = (
        weight @ hidden + np.outer(bias, ones) - np.kron(np.eye(classes), np.ones((1, per_class)))
    )
    return np.concatenate(
        [-(residual @ hidden.T).ravel(), -(weight.T @ residual).T.ravel(), -residual @ ones]
    )


@pytest.mark.parametrize(("classes", "per_class", "dim", "seed"), CASES)
def test_exact_solution_on_the_invariant_subspace(classes, per_class, dim, seed):
    weight = random_point(classes, per_class, dim, seed).weight
    point = on_invariant_subspace(0.05 * weight, per_class, 0.3)
    start = np.concatenate([point.weight.ravel(), point.features.ravel(), point.bias])
    times = [0.0, 0.5, 2.0, 5.0]
    path = solve_ivp(
        gradient_field,
        (0.0, times[-1]),
        start,
        method="DOP853",
        t_eval=times,
        args=(classes, per_class, dim),
        rtol=1e-12,
        atol=1e-14,
    )
    for time, state in zip(times, path.y.T, strict=True):
        solution = exact_solution(point, time)
        flat = np.concatenate([solution.weight.ravel(), solution.features.ravel(), solution.bias])
        np.testing.assert_allclose(flat, state, atol=1e-9)


def test_points_of_the_subspace_have_a_bias_only_when_asked():
    weight = random_point(3, 2, 4, 0).weight
    assert on_invariant_subspace(weight, 2).bias.tolist() == [0.0, 0.0, 0.0]
    assert on_invariant_subspace(weight, 2, 0.3).bias.tolist() == [0.3, 0.3, 0.3]


@pytest.mark.parametrize("time", [50.0, 1e3])
def test_logistic_values_rest_at_zero_and_end_at_the_quarter_power(time):
    values = logistic_singular_values(np.array([0.0, 1e-3, 1.0, 3.0]), 16, time)
    np.testing.assert_allclose(values, [0.0, 2.0, 2.0, 2.0], rtol=1e-12)


def test_a_tiny_start_is_not_taken_for_zero():
    point = on_invariant_subspace(1e-12 * random_point(3, 2, 4, 0).weight, 2)
    singular = np.linalg.svd(point.weight, compute_uv=False)
    end = np.linalg.svd(exact_solution(point, 30.0).weight, compute_uv=False)
    expected = logistic_singular_values(singular[:2], 2, 30.0)
    assert end[:2] == pytest.approx(expected, rel=1e-12)
    assert expected.min() > 1.0


def test_exact_solution_refuses_a_point_off_the_subspace():
    with pytest.raises(ValueError, match="invariant subspace"):
        exact_solution(random_point(3, 2, 4, 0), 1.0)


@pytest.mark.parametrize(("classes", "per_class", "dim", "seed"), CASES)
def test_lemma_4_splits_the_risk_on_the_subspace_only(classes, per_class, dim, seed):
    anywhere = random_point(classes, per_class, dim, seed)
    on = project_to_invariant_subspace(anywhere)
    assert sum(risk_split(on)) == pytest.approx(risk(on), rel=1e-12)
    assert sum(risk_split(anywhere)) != pytest.approx(risk(anywhere), rel=1e-3)


@pytest.mark.parametrize(("classes", "per_class", "dim", "seed"), CASES)
def test_projection_is_the_nearest_point_of_the_subspace(classes, per_class, dim, seed):
    point = random_point(classes, per_class, dim, seed)
    own = distance_to_invariant_subspace(point)
    assert distance_to_invariant_subspace(project_to_invariant_subspace(point)) < 1e-15
    columns = []
    for index in range(classes * dim):
        weight = np.zeros(classes * dim)
        weight[index] = 1.0
        base = on_invariant_subspace(weight.reshape(classes, dim), per_class)
        columns.append(np.concatenate([base.weight.ravel(), base.features.ravel(), base.bias]))
    level = np.zeros_like(columns[0])
    level[-classes:] = 1.0
    basis = np.stack([*columns, level], axis=1)
    flat = np.concatenate([point.weight.ravel(), point.features.ravel(), point.bias])
    nearest = basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    assert own == pytest.approx(np.linalg.norm(flat - nearest) / np.linalg.norm(flat), rel=1e-12)


def test_residuals_vanish_at_strong_collapse_and_match_their_definitions():
    classes, per_class, dim = 3, 3, 15
    start = random_point(classes, per_class, dim, 4)
    weight = small_start_limit(start.weight, start.features)
    collapsed = on_invariant_subspace(weight, per_class, 1.0 / classes)
    assert max(strong_collapse_residuals(collapsed).values()) < 1e-14
    assert risk(collapsed) < 1e-28
    residuals = strong_collapse_residuals(start)
    hidden, weight = start.features.T, start.weight
    etf = np.sqrt(per_class) * (np.eye(classes) - np.ones((classes, classes)) / classes)
    spread = np.kron(weight, np.ones((per_class, 1))).T / np.sqrt(per_class)
    assert residuals["snc1"] == pytest.approx(np.linalg.norm(weight @ weight.T - etf))
    assert residuals["snc2"] == pytest.approx(
        np.linalg.norm(hidden - spread) / np.linalg.norm(hidden)
    )
    assert residuals["snc3"] == pytest.approx(np.linalg.norm(start.bias - 1 / classes))


@pytest.mark.parametrize(
    ("weight", "features", "message"),
    [
        (np.ones((1, 2)), np.ones((4, 2)), "at least 2 rows"),
        (np.ones((3, 2)), np.ones((4, 2)), "same number of samples"),
        (np.ones((2, 2)), np.ones((4, 3)), "equally many columns"),
        (np.ones(2), np.ones((4, 3)), r"^weight must be a matrix \(classes, features\)"),
        (np.ones((2, 2)), np.ones(4), r"^features must be a matrix \(samples, features\)"),
    ],
)
def test_shapes_that_disagree_are_named(weight, features, message):
    with pytest.raises(ValueError, match=message):
        eigenspace_projections(weight, features)


def test_a_start_that_grows_in_too_few_directions_has_no_limit():
    weight = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="rank K - 1 = 2"):
        small_start_limit(weight, np.repeat(weight, 2, axis=0))


def test_undefined_quantities_are_refused():
    zero = Point(np.zeros((3, 4)), np.zeros((6, 4)), np.zeros(3))
    with pytest.raises(ValueError, match="all features are zero"):
        strong_collapse_residuals(zero)
    with pytest.raises(ValueError, match="undefined"):
        distance_to_invariant_subspace(zero)
    with pytest.raises(ValueError, match="rank K - 1"):
        small_start_limit(zero.weight + 1e-3, zero.features)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_start_of_lower_rank_keeps_its_rank_to_the_end(rank):
    """Rounding leaves singular values near 1e-17, which e^{√n t} would raise to the others."""
    rng = np.random.default_rng(rank)
    left = rng.standard_normal((4, rank))
    weight = (left - left.mean(axis=0)) @ rng.standard_normal((rank, 6))
    end = exact_solution(on_invariant_subspace(weight, 3), 40.0).weight
    basis = np.linalg.svd(weight)[0][:, :rank]
    np.testing.assert_allclose(end @ end.T, np.sqrt(3.0) * basis @ basis.T, atol=1e-12)
