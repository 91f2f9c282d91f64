"""The commands put together, and what happens to their errors."""

from __future__ import annotations

import sys

import typer

from ncollapse.cli import _certify, _demo, _flow, _free, _measure, _reproduce
from ncollapse.cli._output import INTERRUPTED

app = typer.Typer(
    name="ncollapse",
    help="Predict, watch, measure and certify neural collapse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(_demo.demo)
_flow.app.command("ulpm")(_free.ulpm)
_flow.app.command("ufm")(_free.ufm)
_flow.app.command("upfm-ce")(_free.upfm("upfm-ce"))
_flow.app.command("upfm-l2")(_free.upfm("upfm-l2"))
app.add_typer(_flow.app, name="flow")
app.command("measure")(_measure.measure)
app.command("certify")(_certify.certify)
app.command("boundary")(_certify.boundary)
app.command("minimiser")(_free.minimiser)
app.command("reproduce")(_reproduce.reproduce)


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
    if isinstance(error, (ValueError, TypeError, OSError, ModuleNotFoundError)):
        return str(error)
    usage = getattr(error, "format_message", None)  # typer's own, which share no public base class
    return None if usage is None else usage()


def _complain(message: str) -> None:
    print("ncollapse: " + " ".join(message.split()), file=sys.stderr)
