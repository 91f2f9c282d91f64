"""The map of the package is what it says: every public name exists, and no other is added unseen."""

import importlib

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
        "Measurement",
        "SampleStats",
        "__version__",
        "certify",
        "claims",
        "data",
        "flow",
        "geometry",
        "measure",
        "metrics",
        "models",
        "papers",
        "report",
        "sweep",
        "theory",
        "torch",
        "verify_certificate",
    ]
    assert all(hasattr(ncollapse, name) for name in ncollapse.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_exists(package):
    module = importlib.import_module(f"ncollapse.{package}")
    assert module.__all__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'bogus'"):
        _ = ncollapse.bogus
