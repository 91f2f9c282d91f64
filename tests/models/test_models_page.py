"""The models that the documentation shows run as they stand there."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_models_of_the_page_run_and_are_one():
    short, long = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    exec(short, namespace)
    first = namespace["run"]
    assert first.reached
    exec(long, namespace)
    assert namespace["run"].setup.counts == (4, 4, 4)
    np.testing.assert_allclose(namespace["run"].s, first.s, rtol=1e-9)
