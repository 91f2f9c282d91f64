"""The map of the package is what it says: every public name exists, and no other is added unseen."""

import importlib
import subprocess
import sys

import pytest

import ncollapse

PACKAGES = [
    "data",
    "stats",
    "metrics",
    "models",
    "flow",
    "theory",
    "certify",
    "train",
    "sweep",
    "claims",
    "report",
    "papers",
]


def test_the_root_lists_what_it_has():
    assert sorted(ncollapse.__all__) == [
        "Certificate",
        "ClassStats",
        "ClassSummary",
        "Dataset",
        "Explanation",
        "LastLayerObjective",
        "Measurement",
        "Prediction",
        "SampleStats",
        "__version__",
        "certify",
        "claims",
        "data",
        "explain",
        "flow",
        "geometry",
        "measure",
        "metrics",
        "models",
        "optimality_gap",
        "papers",
        "predict",
        "report",
        "sweep",
        "theory",
        "torch",
        "train",
        "verify_certificate",
    ]
    assert all(hasattr(ncollapse, name) for name in ncollapse.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_exists(package):
    module = importlib.import_module(f"ncollapse.{package}")
    assert module.__all__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("order", ["", "ncollapse.verify_certificate; ", "ncollapse.certify; "])
def test_a_name_means_the_same_however_it_is_reached(order):
    program = (
        f"import ncollapse; {order}import ncollapse.certify as c; from types import ModuleType; "
    )
    program += "assert isinstance(c, ModuleType) and ncollapse.certify is c"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'bogus'"):
        _ = ncollapse.bogus
