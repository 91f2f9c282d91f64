"""mixon2022's experiments: the exact flow beside the full one, final errors, figures."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from ncollapse.papers.mixon2022 import figures


def test_starts_follow_the_exact_flow_until_they_leave_it(result_of):
    result = result_of("mixon2022.figure1")
    json.dumps(result.to_dict(), allow_nan=False)
    for start in result.starts:
        assert start.run.reached
        assert start.shape == (3, 3)
        assert 0 < start.escaped.argmax() < len(start.time)
        led = start.predicted["snc3"] > 10.0 * start.error("snc3")[-1]
        assert led.sum() > 10
        np.testing.assert_allclose(start.predicted["snc3"][led], start.error("snc3")[led], rtol=0.2)
    axes = Figure().subplots(1, 4)
    assert len(figures.plot_errors(result, axes[:3])) == 2 * (3 + 2)
    assert len(figures.plot_distance(result, axes[3])) == 2


def test_final_errors_of_flow_and_descent(result_of):
    result = result_of("mixon2022.final_errors")
    assert result.exponent("flow", "snc1") == pytest.approx(2.0, abs=0.2)
    assert result.exponent("flow", "snc2") == pytest.approx(1.0, abs=0.1)
    assert result.exponent("gd", "snc2") == pytest.approx(1.0, abs=0.2)
    json.dumps(result.to_dict(), allow_nan=False)
    assert figures.plot_final_errors(result, Figure().subplots(), rule="gd")
