"""The commands put together, and what happens to their errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer

from ncollapse._extras import explain_missing
from ncollapse.cli._command import Command, Group
from ncollapse.cli._output import INTERRUPTED

_HOMES = {
    "demo": ("_demo", "demo"),
    "flow": ("_flow", "app"),
    "train": ("_train", "app"),
    "measure": ("_measure", "measure"),
    "predict": ("_predict", "predict"),
    "explain": ("_predict", "explain"),
    "report": ("_report", "report"),
    "certify": ("_certify", "certify"),
    "boundary": ("_certify", "boundary"),
    "minimiser": ("_unconstrained", "minimiser"),
    "reproduce": ("_reproduce", "reproduce"),
    "ledger": ("_ledger", "ledger"),
}


class _LateCommands(Mapping[str, Any]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        module, attribute = _HOMES[name]
        home = getattr(import_module(f"ncollapse.cli.{module}"), attribute)
        if not isinstance(home, typer.Typer):
            function, home = home, typer.Typer(add_completion=False)
            home.command(name, cls=Command)(function)
        command = typer.main.get_command(home)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


class _Root(Group):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _LateCommands()


app = typer.Typer(
    name="ncollapse",
    help="Predict, watch, measure and certify neural collapse.",
    cls=_Root,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _version(
    show: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if show:
        from ncollapse import __version__

        typer.echo(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    command = typer.main.get_command(app)
    try:
        status = command.main(arguments, prog_name="ncollapse", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        _complain("interrupted before there was anything to keep")
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        _complain(message)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> str | None:
    """One line for an error of the caller's; None for a defect of the program."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ModuleNotFoundError):
        return explain_missing(error)
    if isinstance(error, (ValueError, TypeError, OSError)):
        return str(error)
    usage = getattr(error, "format_message", None)  # typer's own, which share no public base class
    return None if usage is None else usage()


def _complain(message: str) -> None:
    print("ncollapse: " + " ".join(message.split()), file=sys.stderr)
