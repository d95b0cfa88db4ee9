"""`waggle doctor`. Its parts are in `app.doctor`."""

from typing import Annotated

import typer

TIMEOUT_S = 180
"""More than the checks' own deadlines come to, so that one that hangs costs no other its turn."""


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise typer.BadParameter("It must be from 1 to 3600.")
    return seconds


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Let a script answer in place of the model.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float, typer.Option(parser=_seconds, metavar="SECONDS", help="For all checks together.")
    ] = TIMEOUT_S,
) -> None:
    """Say what is wrong, and what to do about it.

    Examines settings, tracing, database, agents, model and trace backends, and follows one probe run's spans.
    Exits with 1 if something failed.

    \b
    Examples:
      waggle doctor
      waggle doctor --offline        without asking the model
      waggle doctor --json           for scripts
    """
    from app.doctor.command import doctor as examine

    raise typer.Exit(examine(offline=offline, as_json=as_json, timeout_s=timeout))
