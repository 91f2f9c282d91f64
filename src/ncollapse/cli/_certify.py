"""``ncollapse certify`` and ``ncollapse boundary``: can a network collapse, and where it turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from ncollapse.certify import (
    FEASIBLE,
    INFEASIBLE,
    UNDECIDED,
    Certificate,
    ClassCertificate,
    centre_exactly,
    decide_classes,
    listed,
    verify_classes,
)
from ncollapse.cli._output import (
    INTERRUPTED,
    check_writable_file,
    pass_progress,
    print_facts,
    print_json,
)
from ncollapse.data import Dataset, load_dataset
from ncollapse.geometry import simplex_etf, unit_pair
from ncollapse.theory import gordon_bound, phase_boundary, theorem5a_bound, union_bound

ROW = "{:>10} {:>7}  {:<10} {:<8} {:>9} {:>9} {:>7}  {}"
HEADING = ROW.format(
    "class", "samples", "verdict", "verified", "slack", "norm", "seconds", "theorem 3"
)


def certify(
    file: Annotated[Path, typer.Argument(help="File of inputs (N, d) and labels (N,).")],
    certificate: Annotated[
        Path | None, typer.Option(help="npz file to write the certificate to.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check this certificate instead of solving.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Labels of the classes to decide, with commas.")
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop at the first class that is an obstacle.")
    ] = False,
    centre: Annotated[
        bool, typer.Option("--centre", help="Subtract the mean first, exactly (whole numbers).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Prove whether a two-layer ReLU network can collapse on this data set."""
    if verify is not None and (classes is not None or stop):
        raise ValueError("--verify checks the classes of the certificate: no --classes, no --stop")
    data = load_dataset(file)
    if centre:
        data = replace(data, inputs=centre_exactly(data.inputs))
    if certificate is not None:
        check_writable_file("--certificate", certificate)
    if verify is not None:
        claimed = Certificate.load(verify)
        asked, entries = len(claimed.classes), verify_classes(claimed, data)
    else:
        labels = None if classes is None else _labels(classes, data)
        asked = data.num_classes if labels is None else len(labels)
        entries = decide_classes(data, labels, stop_at_obstacle=stop)
    decided, interrupted = _collect(entries, asked, None if json else data.counts)
    result = Certificate.of(data, decided)
    if interrupted and decided and certificate is None:
        certificate = Path(f"interrupted-{file.stem}-certificate.npz")
    if decided and certificate is not None:
        result.save(certificate)
    if json:
        arguments: dict[str, Any] = {
            "file": str(file),
            "verify": verify and str(verify),
            "certificate": certificate and str(certificate),
            "classes": classes,
            "stop": stop,
            "centre": centre,
        }
        print_json(result.to_dict(), arguments)
    else:
        _say(file, result)
    if interrupted:
        kept = f", kept in {certificate}" if decided else ""
        print(f"interrupted: {len(decided)} of {asked} classes decided{kept}", file=sys.stderr)
    return INTERRUPTED if interrupted else 0


_MEANING = {
    FEASIBLE: "At its optimum a two-layer ReLU network collapses on it",
    INFEASIBLE: "At its optimum no two-layer ReLU network collapses on it, however wide",
    UNDECIDED: "Neither is proven",
}


def _say(file: Path, result: Certificate) -> None:
    """The verdict in plain words, and below it each reason with the classes that it holds for."""
    console = Console(highlight=False, markup=False)
    console.print(f"{file.name}: {result.verdict}. {_MEANING[result.verdict]}.")
    by_reason: dict[str, list[str]] = {}
    for entry in result.classes:
        if entry.verdict == result.verdict:
            by_reason.setdefault(entry.reason, []).append(str(entry.label))
    for reason, labels in by_reason.items():
        console.print(f"{listed(labels)}: {reason}")
    if result.missing:
        console.print(f"{listed(result.missing)} not covered")
    if result.verdict == INFEASIBLE:
        console.print(f"What could collapse, and what to try: ncollapse report {file}")


def _collect(
    entries: Iterator[ClassCertificate], asked: int, counts: np.ndarray | None
) -> tuple[list[ClassCertificate], bool]:
    """All entries, each reported as it comes with its size, and whether an interrupt ended them."""
    decided: list[ClassCertificate] = []
    # A bar on the same terminal moves out of the way of what is written; a file knows no bar.
    out = None if sys.stdout.isatty() else sys.stdout
    try:
        with pass_progress() as progress:
            progress("classes", 0, asked)
            for entry in entries:
                decided.append(entry)
                progress("classes", len(decided), asked)
                if counts is not None:
                    heading = HEADING + "\n" if len(decided) == 1 else ""
                    print(heading + _row(entry, counts[entry.index]), file=out, flush=True)
    except KeyboardInterrupt:
        return decided, True
    return decided, False


def _row(entry: ClassCertificate, count: int) -> str:
    cells = ["" if number is None else f"{number:.3g}" for number in (entry.slack, entry.norm)]
    cells.append(f"{entry.seconds:.3f}")
    verified = "yes" if entry.verified else "no"
    label = str(entry.label)[:10]
    return ROW.format(label, count, entry.verdict, verified, *cells, entry.theorem or "").rstrip()


def _labels(text: str, data: Dataset) -> list[Any]:
    known = {str(label): label for label in data.classes.tolist()}
    asked = [part.strip() for part in text.split(",")]
    if not set(asked) <= set(known):
        raise ValueError(f"--classes must be some of {', '.join(known)}, but it is {text!r}")
    return [known[part] for part in asked]


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
        return unit_pair(angle)
    shapes = {"orthogonal": np.eye, "simplex": simplex_etf}
    if means not in shapes:
        raise ValueError(f"--means must be orthogonal or simplex, but it is {means!r}")
    return shapes[means](classes)


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
