"""Trained networks of ji2022 and papyan2020: what is fitted to their curves, and data not at hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ncollapse.papers import experiments
from ncollapse.papers.ji2022 import figures as ji_figures
from ncollapse.papers.ji2022.networks import METRICS
from ncollapse.papers.papyan2020 import figures as papyan_figures

KNOWN = experiments()


def with_curves(run, **curves):
    return replace(run, observations=run.observations | curves)


def test_image_sets_that_are_not_at_hand_are_not_measured(monkeypatch, tmp_path):
    monkeypatch.delenv("NCOLLAPSE_DATA", raising=False)
    experiment = KNOWN["ji2022.figure3"]
    result = experiment()
    assert "cifar10 is not at hand" in result.missing["cifar10"]
    verdicts = experiment.judge(result)
    assert {verdict.status for verdict in verdicts} == {"not measured"}
    assert ji_figures.figure3(result, tmp_path) == []
    assert json.dumps(result.to_dict())


def test_exponents_are_those_of_the_curves_once_fitted(result_of):
    result = result_of("ji2022.figure4")
    run = result.runs["mnist"]
    fitted = result.fitted("mnist")
    assert fitted.any()
    assert not fitted[0]
    epochs = np.maximum(run.s, 2)
    curve = 3.0 * np.log(epochs) ** -0.7 + 5.0 * ~fitted
    other = replace(result, runs={"mnist": with_curves(run, **dict.fromkeys(METRICS, curve))})
    assert other.exponents("mnist") == pytest.approx(dict.fromkeys(METRICS, 0.7))
    never = replace(
        result, runs={"mnist": with_curves(run, accuracy=np.linspace(0.0, 0.9, len(run.s)))}
    )
    assert never.exponents("mnist") == {}
    reasons = [verdict.reason for verdict in KNOWN["ji2022.figure4"].judge(never)]
    assert "fewer than 3 records at training error zero" in reasons


def test_the_reference_is_the_flow_at_the_same_mean_loss(result_of):
    result = result_of("ji2022.figure4")
    flow, run = result.flow, result.runs["mnist"]
    places = np.linspace(0, len(flow.s) - 1, len(run.s)).astype(int)
    level = flow.log_inverse_loss[places] + np.log(flow.setup.num_samples)
    other = replace(result, runs={"mnist": replace(run, log_inverse_loss=level)})
    for metric, values in other.reference("mnist").items():
        np.testing.assert_allclose(values, flow.observations[metric][places])


def test_figures_are_drawn(result_of, tmp_path):
    drawn = ji_figures.figure1(result_of("ji2022.figure1"), tmp_path)
    drawn += papyan_figures.curves(result_of("papyan2020.curves"), tmp_path)
    assert [path.name for path in drawn] == ["figure1.png", "curves.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in drawn)


def test_zero_error_is_where_it_stays(result_of):
    result = result_of("papyan2020.curves")
    run = replace(result.run, s=np.arange(4.0))
    curves = {"accuracy": np.array([0.1, 1.0, 0.9, 1.0])}
    made = replace(result, run=with_curves(run, **curves))
    assert made.zero == 3
    curves = {
        "accuracy": np.array([0.1, 1.0, 1.0, 1.0]),
        "nc1_pinv": np.array([9.0, 4.0, 3.0, 1.0]),
    }
    other = replace(result, run=with_curves(run, **curves))
    assert other.zero == 1
    assert other.fall()[0] == 0.25
    curves = {"accuracy": np.full(4, 0.9)}
    assert replace(result, run=with_curves(run, **curves)).fall() is None


def test_what_resumes_says_where(tmp_path):
    assert KNOWN["ji2022.figure4"].keeps == "checkpoints"
    assert KNOWN["hong2025.figure3"].keeps == "sweep"
    assert KNOWN["ji2022.rates"].keeps == ""
    assert "paper-cpu" in KNOWN["papyan2020.curves"].scales
