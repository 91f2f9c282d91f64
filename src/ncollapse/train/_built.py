"""The globally optimal network, built from a certificate."""

from __future__ import annotations

import math
import time

import numpy as np

from ncollapse.certify import Certificate, DataIdentity, Direction
from ncollapse.data import Dataset
from ncollapse.runs import End, Run
from ncollapse.train._problem import Parameters, TwoLayer, check_width
from ncollapse.train._recorder import record, run_of


def collapsed_network(
    certificate: Certificate,
    data: Dataset,
    *,
    width: int,
    weight_decay: float,
    feature_decay: float,
) -> Run:
    """The network of least risk: neurons √(b/m_k) β_k for class k, W of hong2025 Theorem 2(a).

    ⟨x, β_k⟩ is 1 on class k and at most 0 on the others, so the m_k neurons of class k, about
    D/K, are √(b/m_k) on it and 0 elsewhere: the class means lie on an orthogonal frame with
    squared norm b, H is the minimiser over all H ≥ 0, and the risk is its risk, up to rounding.

    Parameters
    ----------
    certificate
        What `ncollapse.certify.certify` says of ``data``; feasible for every class.
    width
        D ≥ K.

    Returns
    -------
    Run
        Of method ``"built"`` with one record and the features measured, not assumed.

    Raises
    ------
    ValueError
        A certificate that is about other data or not feasible, ``width`` below K, a decay that is
        not positive, classes of different sizes.
    """
    began = time.perf_counter()
    if certificate.data != DataIdentity.of(data):
        raise ValueError(f"certificate is about other data ({certificate.data}), not {data.name}")
    if certificate.verdict != "feasible":
        raise ValueError(
            f"certificate must be feasible for a collapsed network to exist, but it is "
            f"{certificate.verdict}: {certificate.reason}"
        )
    problem = TwoLayer.on(data, weight_decay=weight_decay, feature_decay=feature_decay)
    check_width(width, data.num_classes)
    weight, _ = problem.lower_bound.construct()
    size = math.sqrt(problem.lower_bound.b)
    speaks_for = np.arange(width) % data.num_classes
    share = 1.0 / np.sqrt(np.bincount(speaks_for))[speaks_for]
    directions = np.array(
        [_direction(certificate, index) for index in range(data.num_classes)], dtype=np.float64
    )
    parameters = {
        "hidden": size * share[:, None] * directions[speaks_for],
        "weight": weight[:, speaks_for] * share,
    }
    held = problem.held(parameters)
    norm = math.sqrt(sum(float(np.sum(part**2)) for part in parameters.values()))
    setup = problem.setup(method="built", dim=width)
    return run_of(
        problem,
        setup,
        (End.GOAL, "It was built where the risk is least."),
        held,
        [record(problem, held, 0.0, norm=norm)],
        parameters,
        evaluations=1,
        seconds=time.perf_counter() - began,
    )


def perturbed(parameters: Parameters, share: float, seed: int) -> Parameters:
    """Each matrix with Gaussian noise of ``share`` of its own Frobenius norm added."""
    generator = np.random.default_rng(seed)
    moved = {}
    for name, matrix in parameters.items():
        noise = generator.standard_normal(matrix.shape)
        moved[name] = matrix + share * np.linalg.norm(matrix) / np.linalg.norm(noise) * noise
    return moved


def _direction(certificate: Certificate, index: int) -> np.ndarray:
    answer = next(entry.answer for entry in certificate.classes if entry.index == index)
    if not isinstance(answer, Direction):
        raise ValueError(f"certificate holds no direction for class {index}")
    return answer.beta
