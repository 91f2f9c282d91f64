"""hong2025's lemmas, constructions and multipliers: against slow oracles; its statements."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ncollapse.papers import claims, experiments, reproduce
from ncollapse.papers.hong2025 import appendix, constructions, figures, multipliers, two_neurons
from ncollapse.papers.hong2025.statements import STATEMENTS

LIGHT = ("lemmas", "theorem8", "certificates", "optimality")


@pytest.mark.parametrize("seed", range(4), ids="seed {}".format)
def test_gordons_minimum_is_that_of_a_grid(seed):
    matrices = np.random.default_rng(seed).standard_normal((3, 2, 3))
    angles = np.linspace(0.0, np.pi / 2, 200_001)
    grid = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    slow = [np.linalg.norm(grid @ matrix, axis=1).min() for matrix in matrices]
    np.testing.assert_allclose(appendix.least_on_nonnegative_sphere(matrices), slow, atol=1e-8)


def test_gordons_minimum_reaches_faces_and_interior():
    def least(gram):
        return appendix.least_on_nonnegative_sphere(np.linalg.cholesky(np.array(gram))[None])[0]

    assert least([[1.0, 0.5], [0.5, 2.0]]) == pytest.approx(1.0)
    assert least([[1.0, -0.5], [-0.5, 1.0]]) == pytest.approx(np.sqrt(0.5))


def test_the_expectation_is_that_of_quadrature_and_of_draws():
    assert appendix.gordon_expectation(1, 1) == pytest.approx(1.0 / np.sqrt(2.0 * np.pi))
    assert appendix.gordon_expectation(0, 2) == pytest.approx(np.sqrt(np.pi / 2.0))
    draws = np.random.default_rng(3).standard_normal((200_000, 7))
    sampled = np.linalg.norm(draws[:, :4], axis=1) - np.linalg.norm(
        np.maximum(draws[:, 4:], 0.0), axis=1
    )
    error = sampled.std() / np.sqrt(len(sampled))
    assert appendix.gordon_expectation(3, 4) == pytest.approx(sampled.mean(), abs=5 * error)


def test_a_subspace_has_5_3_as_displayed_and_breaks_5_2():
    """The projection whose existence the claim on (5.5) rests on, built: m = 2 of d = 8."""
    epsilon, share = 0.05, 2 / 8
    gram = np.array([[(1 - epsilon) ** 2, 4 * epsilon], [4 * epsilon, (1 - epsilon) ** 2]])
    inside = np.linalg.cholesky(share * gram)
    outside = np.linalg.cholesky(np.eye(2) - share * gram)
    rows = np.hstack([inside, outside, np.zeros((2, 4))])  # Φ: the first two coordinates
    np.testing.assert_allclose(rows @ rows.T, np.eye(2), atol=1e-15)
    vectors = [rows[0], rows[1], (rows[0] + rows[1]) / np.sqrt(2)]
    stretches = np.array([np.linalg.norm(v[:2]) for v in vectors]) / np.sqrt(share)
    assert stretches.min() >= 1 - epsilon - 1e-12
    assert stretches.max() <= 1 + epsilon + 1e-12
    least = np.linalg.svd(rows[:, :2], compute_uv=False)[-1]
    promised = np.sqrt(share * (1 - epsilon**2 - 2 * 2 * epsilon))
    assert least < promised
    excess = appendix.displayed_excess(epsilon)
    assert 1 - least**2 / share == pytest.approx(epsilon**2 + 4 * epsilon + excess)


@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_the_least_quotient_is_below_every_trial(seed):
    generator = np.random.default_rng(seed)
    first, second = generator.standard_normal((2, 5))
    least = appendix.least_quotient(first, second)
    across = generator.standard_normal((20_000, 5)) * np.exp(generator.normal(0, 2, (20_000, 1)))
    across -= np.outer(across @ first, first) / (first @ first)
    lengths = np.sqrt(first @ first + np.sum(across**2, axis=1))
    assert least <= (((first + across) @ second) / lengths).min() + 1e-9


def test_data_that_cannot_collapse_build_no_network():
    with pytest.raises(ValueError, match="inputs must be able to collapse, but class 0"):
        constructions.build(*constructions.inside_hull(0))


def test_multipliers_are_those_of_the_theory(result_of):
    result = result_of("hong2025.optimality")
    eigenvalue, product = result.slackness()
    proof = result.point.optimality
    assert eigenvalue == pytest.approx(
        proof.smallest_eigenvalue / proof.largest_eigenvalue, abs=1e-14
    )
    assert product == pytest.approx(proof.complementarity, abs=1e-14)
    for strength in (0.9, 1.1):
        least, off = result.slackness(strength)
        assert least < -1e-3
        assert off > 1e-3


def test_minimisation_starts_anywhere_and_ends_below_no_minimum():
    decays = {"lambda_w": 0.02, "lambda_h": 0.005}
    few = multipliers.best_minimum((3, 2), starts=1, seed=5, **decays)
    many = multipliers.best_minimum((3, 2), starts=5, seed=5, **decays)
    assert many.risk <= few.risk
    assert few.features.min() >= 0.0


def test_two_neurons_are_drawn_and_refused_where_samples_may_not_collapse(result_of, tmp_path):
    result = result_of("hong2025.theorem8")
    (image,) = figures.theorem8(result, tmp_path)
    assert image.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="ratio must be at least 2"):
        two_neurons.compute(count=10, ratio=1.5, sigmas=(1.0,), trials=1, fresh=10, seed=0)


@pytest.mark.parametrize("name", LIGHT)
def test_records_are_json_and_the_same_twice(name, result_of):
    record = json.dumps(result_of(f"hong2025.{name}").to_dict(), sort_keys=True, allow_nan=False)
    if name == "optimality":
        again = experiments()["hong2025.optimality"](starts=6).to_dict()
        assert json.dumps(again, sort_keys=True) == record


def test_an_experiment_without_a_figure_writes_its_numbers_alone(tmp_path):
    found = reproduce("hong2025.optimality", "quick", tmp_path / "out")
    assert found.files == (str(tmp_path / "out" / "optimality.json"),)
    assert found.undrawn == ""
    assert found.holds


def test_light_experiments_need_numpy_and_scipy_alone():
    heavy = "{'jax', 'diffrax', 'dask', 'xarray', 'matplotlib', 'torch'}"
    program = (
        "import sys\n"
        "from ncollapse.papers import experiments\n"
        "known = experiments()\n"
        "for name, settings in (('lemmas', {'trials': 20}), ('theorem8', {'trials': 2}),\n"
        "                       ('certificates', {'draws': 1}), ('optimality', {'starts': 1})):\n"
        "    known[f'hong2025.{name}'](**settings)\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_statements_name_claims_that_exist_and_leave_none_out():
    known = {name for name in claims() if name.startswith("hong2025.")}
    stated = {name for statement in STATEMENTS for name in statement.claims}
    assert stated == known
    names = [statement.name for statement in STATEMENTS]
    assert len(set(names)) == len(names)
    for statement in STATEMENTS:
        printed = {claims()[name].corrected for name in statement.claims} - {""}
        assert printed <= set(statement.claims), statement.name
