"""``ncollapse certify`` and ``ncollapse boundary``: can a network collapse, and where it turns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ncollapse.certify import Certificate, verify_certificate
from ncollapse.certify import certify as certify_arrays
from ncollapse.cli._output import check_writable_file, print_facts, print_json
from ncollapse.data import load_npz
from ncollapse.geometry import simplex_etf
from ncollapse.theory import gordon_bound, phase_boundary, theorem5a_bound, union_bound


def certify(
    file: Annotated[Path, typer.Argument(help="npz file with inputs (N, d) and labels (N,).")],
    certificate: Annotated[
        Path | None, typer.Option(help="npz file to write the certificate to.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check this certificate instead of solving.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove whether a two-layer ReLU network can collapse on this data set."""
    data = load_npz(file)
    if certificate is not None:
        check_writable_file("--certificate", certificate)
    if verify is not None:
        found = verify_certificate(Certificate.load(verify), data)
    else:
        found = certify_arrays(data.inputs, data.classes[data.labels])
    if certificate is not None:
        found.save(certificate)
    if json:
        arguments: dict[str, Any] = {"file": str(file), "verify": verify and str(verify)}
        print_json(found.to_dict(), arguments | {"certificate": certificate and str(certificate)})
    else:
        _print_certificate(found, file.name)


def boundary(
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")],
    sigma: Annotated[float, typer.Option(help="Standard deviation of the noise.")],
    angle: Annotated[
        float | None,
        typer.Option(help="Angle between the two unit means, radians (two classes)."),
    ] = None,
    means: Annotated[
        str, typer.Option(help="orthogonal (unit vectors e_k) or simplex, without --angle.")
    ] = "orthogonal",
    samples: Annotated[int, typer.Option(min=2, help="n per class, for the paper's bounds.")] = 300,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Where collapse on a Gaussian mixture becomes possible, as d/n, beside hong2025's bounds."""
    centres = _means(classes, angle, means)
    result = {
        "boundary": float(phase_boundary(centres, sigma).ratio),
        "gordon_bound": float(gordon_bound(classes)),
        "gordon_bound_finite": float(gordon_bound(classes, samples)),
        "theorem5a_bound": _finite(theorem5a_bound(centres, sigma, samples)),
        "union_bound": _finite(union_bound(centres, sigma, samples)) if classes == 2 else None,
    }
    if json:
        arguments = {"classes": classes, "sigma": sigma, "angle": angle}
        print_json(result, arguments | {"means": means, "samples": samples})
        return
    print_facts(
        f"{classes} classes, sigma = {sigma:g}: collapse is possible from d/n =",
        [(name, "never" if value is None else f"{value:.6g}") for name, value in result.items()],
    )


def _means(classes: int, angle: float | None, means: str) -> np.ndarray:
    if angle is not None:
        if classes != 2:
            raise ValueError(f"--angle is between two means, but --classes is {classes}")
        return np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    shapes = {"orthogonal": np.eye, "simplex": simplex_etf}
    if means not in shapes:
        raise ValueError(f"--means must be orthogonal or simplex, but it is {means!r}")
    return shapes[means](classes)


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _print_certificate(found: Certificate, name: str) -> None:
    table = Table(title=f"{name}: {found.verdict}", title_justify="left")
    for heading in ("class", "verdict", "verified", "slack", "norm", "seconds"):
        table.add_column(heading)
    for entry in found.to_dict()["classes"]:
        cells = [entry[key] for key in ("label", "verdict", "verified", "slack", "norm", "seconds")]
        table.add_row(
            *("" if c is None else f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells)
        )
    console = Console()
    console.print(table)
    console.print(found.reason, highlight=False, markup=False)
