"""The commands put together, and what happens to their errors."""

from __future__ import annotations

import sys

import click
import typer

from ncollapse.cli import _demo, _flow

app = typer.Typer(
    name="ncollapse",
    help="Predict, watch, measure and certify neural collapse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(_demo.demo)
app.add_typer(_flow.app, name="flow")


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
    except click.ClickException as error:
        _complain(error.format_message())
        sys.exit(2)
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        _complain(str(error))
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted before there was anything to keep")
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> None:
    print("ncollapse: " + " ".join(message.split()), file=sys.stderr)
