"""What a reproducible experiment is, and what it hands back."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from ncollapse._extras import need
from ncollapse.claims import Claim, Verdict, judge

if TYPE_CHECKING:
    from ncollapse.report import Page
    from ncollapse.runs import Run

OPTIONS = ("seed", "rtol", "until")
"""Parameters that a caller may set at any scale, where an experiment has them."""

Settings = Mapping[str, Any]


class Result(Protocol):
    """What the function behind an experiment returns."""

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Reproduction:
    """Files written by one experiment at one scale, and the verdict on each of its claims.

    ``settings`` is what was run, ``result`` the numbers that came out; ``undrawn`` says which
    library the figures lacked, if they could not be drawn; ``interrupted``, how an interrupted run
    stopped, whose file is the last of ``files``.
    """

    name: str
    title: str
    scale: str
    files: tuple[str, ...]
    claims: tuple[Verdict, ...]
    settings: Settings = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    undrawn: str = ""
    seconds: float = 0.0
    interrupted: str = ""

    @property
    def holds(self) -> bool:
        """Whether no claim fails, but for those that fail as printed, nor lacks its assumption."""
        return not any(claim.status in ("fails", "assumption violated") for claim in self.claims)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "scale": self.scale,
            "files": list(self.files),
            "claims": [claim.to_dict() for claim in self.claims],
            "holds": self.holds,
            "settings": dict(self.settings),
            "result": dict(self.result),
            "undrawn": self.undrawn,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "version": version("ncollapse"),
        }


@dataclass(frozen=True)
class Experiment:
    """A figure or table that can be reproduced by name, declared by `experiment`.

    ``compute(**settings)`` gives a `Result`; one that takes ``folder`` can resume from there. The
    function of the same name in the paper's ``figures``, if it has one, draws it, ``(result, out)
    -> list[Path]``, that in ``page``, if it has one, makes its page, and the rows of its ``CLAIMS``
    that carry ``name`` judge it; all are imported only when the experiment runs. ``run_of`` gives the
    run in its result, if there is one.
    """

    name: str
    title: str
    description: str
    compute: Callable[..., Any]
    scales: Mapping[str, Settings]
    run_of: Callable[[Any], Run] | None = None

    def __call__(self, **settings: Any) -> Any:
        """The result alone: nothing is written, drawn or judged."""
        return self.compute(**settings)

    @property
    def sweeps(self) -> bool:
        """Whether it is a sweep over a grid, which a Dask scheduler can share out."""
        return "scheduler" in inspect.signature(self.compute).parameters

    @property
    def keeps(self) -> str:
        """Where in its folder it keeps what it can resume from; empty if it cannot."""
        if self.sweeps:
            return "sweep"
        return "checkpoints" if "folder" in inspect.signature(self.compute).parameters else ""

    @property
    def options(self) -> tuple[str, ...]:
        """What `run` takes beside the scale."""
        parameters = inspect.signature(self.compute).parameters
        own = [name for name in (*OPTIONS, "scheduler") if name in parameters]
        return ("out", "html", *(["save"] if self.run_of else []), *own)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The paper's rows that are measured here."""
        return tuple(row for row in self._beside("claims").CLAIMS if row.experiment == self.name)

    def judge(self, result: Result) -> tuple[Verdict, ...]:
        """The verdict on each of `claims`."""
        return tuple(judge(claim, result) for claim in self.claims)

    def at(
        self, scale: str, folder: Path, scheduler: str | None = None, **options: float | None
    ) -> Any:
        """The result at one of ``scales``; what can resume does so from ``folder``/`keeps`.

        Raises what `run` does.
        """
        self.check(scale, scheduler=scheduler, **options)
        kept: dict[str, Any] = {"folder": folder / self.keeps} if self.keeps else {}
        kept |= {"scheduler": scheduler} if self.sweeps else {}
        return self.compute(**self._settings(scale, options), **kept)

    def run(
        self,
        scale: str = "quick",
        out: str | Path | None = None,
        scheduler: str | None = None,
        *,
        html: str | Path | None = None,
        save: str | Path | None = None,
        **options: float | None,
    ) -> Reproduction:
        """Compute, judge and draw the experiment. Without Matplotlib it is not drawn.

        Parameters
        ----------
        scale
            One of ``scales``: ``paper`` uses the paper's own settings, ``paper-cpu``, where there is
            one, what of them a CPU can do.
        out
            Folder for its files, by default one named after the experiment and the scale here.
        scheduler
            Address of a Dask scheduler, for sweeps; a local cluster otherwise.
        html
            File for a page with everything in it.
        save
            npz file for the run that the experiment is about. One that is interrupted is saved as
            ``interrupted.npz`` in the folder where no file is given.
        options
            ``seed``, ``rtol`` and ``until`` in place of those of the scale.

        Raises ``ValueError`` for an unknown scale, or an option that is none of ``options``, and
        what the experiment raises.
        """
        self.check(scale, scheduler=scheduler, html=html, save=save, **options)
        if html is not None:
            need("matplotlib", "jinja2")
        folder = Path(f"{self.name}-{scale}" if out is None else out)
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        result = self.at(scale, folder, scheduler, **options)
        record, verdicts = result.to_dict(), self.judge(result)
        data = folder / f"{self._stem}.json"
        data.write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
        files = [data, folder / "sweep" / "cells.zarr"] if self.sweeps else [data]
        drawn, undrawn = self._draw(result, folder)
        if html is not None:
            files.append(_write(Path(html), self._page(result, drawn, verdicts, record)))
        run = None if self.run_of is None else self.run_of(result)
        interrupted = run.stopped if run is not None and run.interrupted else ""
        if run is not None and (save is not None or interrupted):
            files.append(folder / "interrupted.npz" if save is None else Path(save))
            run.save(files[-1])
        return Reproduction(
            self.name,
            self.title,
            scale,
            tuple(str(path) for path in [*drawn, *files]),
            verdicts,
            self._settings(scale, options),
            record,
            undrawn,
            time.perf_counter() - start,
            interrupted,
        )

    def check(self, scale: str, **options: Any) -> None:
        """Raise what `run` does of its arguments; those that are None are not there."""
        if scale not in self.scales:
            raise ValueError(
                f"scale of {self.name} must be one of {', '.join(self.scales)}, but it is {scale!r}"
            )
        for name, value in options.items():
            if value is not None and name not in self.options:
                raise ValueError(
                    f"{name} is no option of {self.name}, which takes {', '.join(self.options)}"
                )

    def _settings(self, scale: str, options: Mapping[str, Any]) -> Settings:
        given = {name: value for name, value in options.items() if value is not None}
        return {**self.scales[scale], **given}

    @property
    def _stem(self) -> str:
        return self.name.partition(".")[2]

    def _beside(self, module: str) -> ModuleType:
        return importlib.import_module(f"{self.compute.__module__.rpartition('.')[0]}.{module}")

    def _page(
        self, result: Any, drawn: list[Path], verdicts: tuple[Verdict, ...], record: Settings
    ) -> Page:
        from ncollapse.report.experiment import experiment_page

        package = self.compute.__module__.rpartition(".")[0]
        if importlib.util.find_spec(f"{package}.page") is not None:
            make = getattr(self._beside("page"), self._stem, None)
            if make is not None:
                return make(result)
        paper = package.rpartition(".")[2]
        return experiment_page(self.title, self.description, paper, drawn, verdicts, record)

    def _draw(self, result: Result, folder: Path) -> tuple[list[Path], str]:
        try:
            draw = getattr(self._beside("figures"), self._stem, None)
            return ([], "") if draw is None else (draw(result, folder), "")
        except ModuleNotFoundError as error:
            return [], str(error)


def _write(path: Path, page: Page) -> Path:
    from ncollapse.report import render

    path.write_text(render(page), encoding="utf-8")
    return path


def experiment(
    title: str,
    description: str,
    *,
    quick: Settings,
    paper: Settings,
    paper_cpu: Settings | None = None,
    run_of: Callable[[Any], Run] | None = None,
) -> Callable[[Callable[..., Any]], Experiment]:
    """Declare a function of a paper's ``experiments`` as one, with the settings of each scale.

    Its name is the paper's and its own: ``figure1`` in ``papers.hong2025`` is hong2025.figure1.
    What can resume takes ``folder`` besides, a sweep also ``scheduler``. Of ``seed``, ``rtol`` and
    ``until`` those that are parameters can be set by the caller; the run that ``run_of`` finds in the
    result, saved.
    """
    scales = {"quick": quick, "paper": paper}
    if paper_cpu is not None:
        scales["paper-cpu"] = paper_cpu

    def declare(compute: Callable[..., Any]) -> Experiment:
        name = f"{compute.__module__.split('.')[-2]}.{compute.__name__}"
        return Experiment(name, title, description, compute, scales, run_of)

    return declare
