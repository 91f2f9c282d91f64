"""ji2022's experiments: descent beside the flow, the example, multipliers, figures."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from ncollapse.geometry import simplex_etf
from ncollapse.papers import ji2022
from ncollapse.papers.ji2022 import figures
from ncollapse.theory.landscape import example_3_1


def test_figure_2_compares_the_flow_with_descent(result_of):
    result = result_of("ji2022.figure2")
    by_name = {row["metric"]: row for row in result.table()}
    assert by_name["nc2_equiangular_means"]["flow"] < 1e-4
    assert by_name["nc2_equiangular_means"]["descent"] > 1e-3
    assert all(row["flow"] < row["descent"] for row in result.table())
    assert result.start_share == pytest.approx(np.sqrt(2) / result.run.norm[-1])
    json.dumps(result.to_dict(), allow_nan=False)
    axes = Figure().subplots(1, 4)
    assert len(figures.plot_panels(result, axes)) == 2 * 6 + 4


def test_rates_are_half_or_one(result_of):
    result = result_of("ji2022.rates")
    assert sorted(round(power, 2) for power in result.exponents.values()) == [0.5] * 4 + [1.0] * 2
    assert len(figures.plot_rates(result, Figure().subplots())) == 6 + 2


def test_example_31(result_of):
    result = result_of("ji2022.example31")
    assert result.escape is not None
    assert result.escape.decrease == pytest.approx(-result.ours.min(), rel=1e-3)
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(figures.plot_escapes(result, Figure().subplots())) == 2


def test_kkt_points_are_told_from_others():
    """The example is one, so is the simplex, which is optimal; a random separating point is not."""
    assert ji2022.kkt_residual(*example_3_1()) < 1e-12
    assert ji2022.kkt_residual(3.0 * simplex_etf(4), simplex_etf(4)) > 0.1
    assert ji2022.kkt_residual(3.0 * simplex_etf(4), 3.0 * simplex_etf(4)) < 1e-12
    rng = np.random.default_rng(0)
    near = simplex_etf(4) + 0.1 * rng.standard_normal((4, 4))
    assert ji2022.kkt_residual(near, near) > 1e-2
    with pytest.raises(ValueError, match="smallest margin must be positive, but it is -"):
        ji2022.kkt_residual(simplex_etf(4), -simplex_etf(4))
