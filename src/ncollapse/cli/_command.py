"""Commands and groups of commands as this command line wants them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_PYTHON_NAMES = {
    "num_classes": "classes",
    "num_samples": "images",
    "scale": "init",
    "log_inverse_loss": "until",
}
"""Arguments of the library that an option here has another name for."""


class Command(TyperCommand):
    """A command whose errors name its options, not the arguments of the library behind them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, TypeError) as error:
            raise ValueError(_with_options(str(error), ctx)) from error


def _with_options(message: str, context: Any) -> str:
    options = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.param_type_name == "option"
        # an array in a file has the name of the option for another file
        and isinstance(context.params.get(parameter.name), (int, float, str))
    }
    words = message.split(" ")
    for place, word in enumerate(words):
        name = word.rstrip(",;:")
        option = options.get(name) or options.get(_PYTHON_NAMES.get(name))
        # further on in a sentence a word such as "width" may be just that
        if option is not None and (place == 0 or "_" in name):
            words[place] = option + word[len(name) :]
    return " ".join(words)


class Group(TyperGroup):
    """A group that answers its bare name with its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])
