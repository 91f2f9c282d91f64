"""What each extra promises: programs that run where it alone is installed.

``python tests/promises.py`` installs the wheel with each extra into an environment of its own and
runs them there: ``make packaging``.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]

_COMMAND = """
import sys
from ncollapse.cli import main
def command(*words):
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        assert not end.code, end.code
"""
_FEATURES = """
import numpy as np
import ncollapse as nc
labels = np.repeat(np.arange(3), 10)
features = np.eye(3, 5)[labels] + 0.01 * np.random.default_rng(0).standard_normal((30, 5))
"""

PROMISES = {
    "": _COMMAND
    + _FEATURES
    + """
assert nc.measure(features, labels).metrics["nc1_pinv"] < 0.01
data = nc.data.orthogonally_separable(2, 4, 6, 0)
assert nc.certify.certify(data.inputs, data.labels).verdict == "feasible"
np.savez("a.npz", features=features, labels=labels)
command("measure", "a.npz", "--json")
command("boundary", "--classes", 2, "--sigma", 0.5)
command("minimiser", "upfm-ce", "--lambda-w", 0.01, "--lambda-h", 0.01)
command("reproduce", "--list")
""",
    "flow": _COMMAND
    + """
command("flow", "ulpm", "--classes", 3, "--per-class", 2, "--dim", 3, "--until", 5, "--json")
""",
    "images": """
import ncollapse as nc
assert nc.data.load_images([0, 1], 5).inputs.shape == (10, 784)
""",
    "sweep": """
from ncollapse.sweep import run_sweep
def root(x):
    return x**0.5
where = {"outputs": {"root": float}, "seed": None, "workers": 0}
assert run_sweep(root, {"x": [4.0]}, "sweep", **where)["root"].values.tolist() == [2.0]
""",
    "exact": """
from ncollapse.certify import _exact
assert _exact.HAVE_FLINT
""",
    "torch": _FEATURES
    + """
import torch
from ncollapse.torch import NeuralCollapse, NeuralCollapseCallback
metric = NeuralCollapse(3, 5)
metric.update(torch.from_numpy(features), torch.from_numpy(labels))
assert metric.compute()["nc1_pinv"] < 0.01
NeuralCollapseCallback
""",
    "transformers": """
from ncollapse.torch import NeuralCollapseTrainerCallback
NeuralCollapseTrainerCallback
""",
    "report": _COMMAND
    + """
command("reproduce", "ji2022.example31", "--out", "example31")
""",
    "files": _FEATURES
    + """
from safetensors.numpy import save_file
save_file({"features": features, "labels": labels}, "a.safetensors")
assert nc.metrics.measure_file("a.safetensors").num_samples == 30
""",
}


def install(extra: str, wheel: Path, folder: Path) -> Path:
    """The interpreter of a new environment with the wheel and this extra alone."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    asked = f"{wheel}[{extra}]" if extra else str(wheel)
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, asked], check=True)
    return python


def main(folder: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    folder.mkdir(parents=True, exist_ok=True)
    name = subprocess.run(
        [sys.executable, "-c", build, folder], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    for extra, program in PROMISES.items():
        python = install(extra, folder / name, folder / (extra or "none"))
        subprocess.run([python, "-I", "-c", program], cwd=folder, check=True)
        print(f"{extra or 'no extra'}: does what it promises", flush=True)


if __name__ == "__main__":
    main(ROOT / "build" / "packaging")
