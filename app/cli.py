"""`python -m app` and `waggle`: start the service from the environment, or examine it (`doctor`)."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from pydantic import ValidationError
from sse_starlette.sse import AppStatus

from app.main import create_app
from app.runs.runner import Runner
from app.settings import Settings
from app.telemetry import logs

DOCTOR = "Examine settings, tracing, database, agents, model and trace backends, and follow one probe run's spans."
LEFTOVER_S = 2
"""What tasks that do not end get at the very end, before the process leaves without them."""


class Server(uvicorn.Server):
    """Ends the runs before it waits for their connections: each stream gets its last event, then closes."""

    def __init__(self, config: uvicorn.Config, runner: Runner) -> None:
        super().__init__(config)
        self._runner = runner

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but what was asked for and done is not raised again: the exit status is 0."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._runner.close()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, or do what the words after the command say.

    Exits with 1 and a sentence where the settings do not fit, with 2 where the words do not.
    """
    words = _arguments()
    if words.command == "doctor":
        from app.doctor.command import doctor  # noqa: PLC0415 serving does not need it

        sys.exit(doctor(offline=words.offline, as_json=words.json, timeout_s=words.timeout))
    try:
        settings = Settings()
    except ValidationError as error:
        for found in error.errors():
            name = ".".join(str(part) for part in found["loc"]).upper()
            print(f"{name or 'Settings'}: {found['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201 nothing logs yet
        sys.exit(1)
    logs.configure(settings)
    AppStatus.enable_automatic_graceful_drain = False  # streams end by their run's last event: see Server
    asyncio.run(_serve(settings))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="waggle", description="Serve AutoGen agents over HTTP.")
    commands = parser.add_subparsers(dest="command", metavar="serve | doctor")
    commands.add_parser("serve", help="serve, as without a command; the environment has the settings")
    doctor = commands.add_parser("doctor", help="say what is wrong, and what to do about it", description=DOCTOR)
    doctor.add_argument("--offline", action="store_true", help="let a script answer in place of the model")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument("--timeout", type=_seconds, default=60, metavar="SECONDS", help="for all of it (60)")
    return parser.parse_args()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ValueError
    return seconds


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        log_config=None,
        access_log=False,  # `Named` tells each request, by its route: a path and a query may be content
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s) + 1,
    )
    server = Server(config, app.state.parts.runner)
    await server.serve()
    leftover = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftover:
        task.cancel()
    if leftover:
        _, stuck = await asyncio.wait(leftover, timeout=LEFTOVER_S)
        if stuck:
            logging.getLogger(__name__).warning("%d task(s) did not end; leaving without them", len(stuck))
            logging.shutdown()
            os._exit(0)
    if not server.started:
        sys.exit(3)
