"""The command line: parse, call the library, print a table for people or JSON for programs.

Exit status: 0 on success, 2 on bad input with one line on stderr, 130 when interrupted.
"""

from ncollapse.cli._app import main

__all__ = ["main"]
