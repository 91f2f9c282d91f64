"""Set-ups: what they refuse, how they compare, and their JSON."""

import json
from dataclasses import replace

import pytest

from ncollapse.setup import Setup

SETUP = Setup("ulpm", "cross_entropy", (4, 4, 4), dim=5, seed=1, options={"rtol": 1e-5})


def test_classes_and_samples_are_read_from_the_counts():
    assert (SETUP.num_classes, SETUP.num_samples, SETUP.per_class) == (3, 12, 4)
    uneven = replace(SETUP, counts=(4, 5))
    assert (uneven.num_classes, uneven.num_samples) == (2, 9)
    with pytest.raises(ValueError, match=r"equally many samples: \[4, 5\]"):
        _ = uneven.per_class
    with pytest.raises(ValueError, match="'ulpm' does not say how many classes"):
        _ = replace(SETUP, counts=()).num_classes


def test_json_is_stable_and_comes_back():
    text = json.dumps(SETUP.to_dict())
    assert Setup.from_dict(json.loads(text)) == SETUP
    assert list(SETUP.to_dict()) == sorted(SETUP.to_dict())
    assert SETUP.digest() == Setup.from_dict(json.loads(text)).digest()
    assert (
        len({SETUP.digest(), replace(SETUP, seed=2).digest(), replace(SETUP, dim=6).digest()}) == 3
    )


def test_differences_name_fields_and_options():
    other = replace(SETUP, seed=2, options={"rtol": 1e-4, "s": None})
    assert SETUP.differences(SETUP) == []
    assert SETUP.differences(other) == ["rtol is 1e-05 and not 0.0001", "seed is 1 and not 2"]
    assert SETUP.differences(other, without=("rtol",)) == ["seed is 1 and not 2"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Setup("x", "hinge"), "loss must be one of cross_entropy, squared, or None"),  # type: ignore[arg-type]
        (lambda: Setup("x", counts=(3, 0)), r"counts must be at least 1 .*\(3, 0\)"),
        (lambda: Setup("x", weight_decay=-1.0), "weight_decay must be finite and not negative"),
        (lambda: Setup("x", feature_decay=float("nan")), "feature_decay must be finite"),
        (lambda: Setup("x", options={"a": float("inf")}), "options must be JSON values"),
        (lambda: Setup("x", options={"a": object()}), "options must be JSON values"),
        (lambda: Setup.from_dict({"model": "x", "colour": 1}), "a set-up has the fields"),
        (lambda: Setup.from_dict({}), "a set-up has the fields"),
    ],
)
def test_bad_set_ups_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
