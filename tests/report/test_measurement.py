"""The page of a measurement, which needs neither JAX nor Matplotlib."""

import subprocess
import sys

import numpy as np

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "diffrax", "equinox", "matplotlib", "torch", "xarray"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from ncollapse.cli import main
main(sys.argv[1:])
"""


def test_measuring_writes_its_page_without_the_flow_extra(tmp_path):
    labels = np.repeat(np.arange(3), 4)
    np.savez(tmp_path / "a.npz", features=np.eye(3, 5)[labels], labels=labels)
    page = tmp_path / "page.html"
    arguments = ["measure", str(tmp_path / "a.npz"), "--html", str(page)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "How collapsed is a.npz?" in page.read_text()
