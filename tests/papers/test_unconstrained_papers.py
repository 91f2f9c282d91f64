"""Experiments of mixon2022, ji2022 and hong2025's minimisers: claims, JSON, figures."""

import json

import matplotlib
import numpy as np
import pytest

from ncollapse.papers import ji2022, mixon2022
from ncollapse.papers.hong2025 import minimisers

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture
def axes():
    figure, axes = plt.subplots(1, 4)
    yield axes
    plt.close(figure)


def statuses(result):
    return {verdict.claim: verdict.status for verdict in result.verdicts}


def test_mixon2022_figures_and_final_errors(axes):
    result = mixon2022.figures(sizes=(1e-1, 1e-2))
    assert set(statuses(result).values()) == {"holds"}
    json.dumps(result.to_dict())
    for start in result.starts:
        assert start.run.reached
        led = start.predicted["snc3"] > 10.0 * start.error("snc3")[-1]
        assert led.sum() > 10
        np.testing.assert_allclose(start.predicted["snc3"][led], start.error("snc3")[led], rtol=0.2)
    assert len(mixon2022.plot_figure1(result, axes[:3])) == 2 * (3 + 2)
    assert len(mixon2022.plot_figure2(result, axes[3])) == 2
    ends = mixon2022.final_errors(sizes=(1e-1, 1e-2), seeds=(0, 1), optimisers={"gd": (0.02, 2000)})
    assert ends.exponents["flow"]["snc1"] == pytest.approx(2.0, abs=0.2)
    assert ends.exponents["flow"]["snc2"] == pytest.approx(1.0, abs=0.1)
    assert ends.exponents["gd"]["snc2"] == pytest.approx(1.0, abs=0.2)
    json.dumps(ends.to_dict())
    assert set(statuses(ends).values()) == {"holds"}
    assert mixon2022.plot_final_errors(ends, axes[0])


def test_ji2022_figure_2_in_the_paper_s_setting(axes):
    result = ji2022.figure2()
    assert set(statuses(result).values()) == {"holds"}
    by_name = {row["metric"]: row for row in result.table()}
    assert by_name["nc2_equiangular_means"]["flow"] < 1e-4
    assert by_name["nc2_equiangular_means"]["descent"] > 1e-3
    assert all(row["flow"] < row["descent"] for row in result.table())
    json.dumps(result.to_dict())
    assert len(ji2022.plot_figure2(result, axes)) == 2 * 6 + 4


def test_ji2022_example_31(axes):
    result = ji2022.example31()
    assert set(statuses(result).values()) == {"holds"}
    assert result.escape is not None
    assert result.escape.decrease == pytest.approx(-result.ours.min(), rel=1e-3)
    json.dumps(result.to_dict())
    assert len(ji2022.plot_example31(result, axes[0])) == 2


def test_hong2025_theorem_2_on_both_sides_of_the_threshold(axes):
    result = minimisers.theorem2(shares=(0.2, 1.5), seeds=(0, 1))
    assert set(statuses(result).values()) == {"holds"}
    assert result.predicted["upfm-ce"][0] > 0.0 == result.predicted["upfm-ce"][1]
    json.dumps(result.to_dict())
    assert len(minimisers.plot_theorem2(result, axes[:2])) == 4
