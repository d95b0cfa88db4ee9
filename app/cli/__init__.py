"""`waggle`, and `python -m app`: one file a command, of the same name.

What a command needs it imports when it is called: `--help` is quick, and the doctor comes up where the service does
not. Until then nothing but Typer and the standard library is imported.
"""

import sys


def main() -> None:
    """Do what the words after the command say: without any, serve. Exits with 2 where the words do not fit."""
    try:
        from app.cli.application import application
    except ModuleNotFoundError as error:
        sys.exit(
            f"The command line needs the module {error.name!r}, which is not installed. Install Waggle's packages: "
            f"`make install` in its folder, or `pip install waggle` anew. This Python is {sys.executable}."
        )
    application(prog_name="waggle")
