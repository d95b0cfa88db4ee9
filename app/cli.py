"""`python -m app` and `waggle`: start the service from the environment, or examine it (`doctor`).

Nothing but the standard library is imported here: the doctor must come up where the service does not.
"""

import argparse
import gc
import sys

DOCTOR = "Examine settings, tracing, database, agents, model and trace backends, and follow one probe run's spans."
TIMEOUT_S = 180
"""More than the checks' own deadlines come to, so that one that hangs costs no other its turn."""


def main() -> None:
    """Do what the words after the command say: without any, serve.

    Exits with 2 where the words do not fit.
    """
    words = _arguments()
    if words.command == "doctor":
        from app.doctor.command import doctor  # noqa: PLC0415 each command imports its own

        sys.exit(doctor(offline=words.offline, as_json=words.json, timeout_s=words.timeout))
    gc.disable()  # until the service is up: what imports make is there to stay, and looking at it takes 0.4 s
    from app.supervisor import serve  # noqa: PLC0415 as above

    serve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="waggle", description="Serve AutoGen agents over HTTP.")
    commands = parser.add_subparsers(dest="command", metavar="serve | doctor")
    commands.add_parser("serve", help="serve, as without a command; the environment has the settings")
    doctor = commands.add_parser("doctor", help="say what is wrong, and what to do about it", description=DOCTOR)
    doctor.add_argument("--offline", action="store_true", help="let a script answer in place of the model")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument(
        "--timeout", type=_seconds, default=TIMEOUT_S, metavar="SECONDS", help=f"for all checks ({TIMEOUT_S})"
    )
    return parser.parse_args()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ValueError
    return seconds
