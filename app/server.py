"""The service in a process of its own: from the environment to its exit status."""

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
from app.runs.viewing import Viewing
from app.settings import Settings
from app.telemetry import logs

LEFTOVER_S = 2
"""What tasks that do not end get at the very end, before the process leaves without them."""


class Server(uvicorn.Server):
    """Ends the runs before it waits for connections: each stream gets its last event, or closes if its run goes on."""

    def __init__(self, config: uvicorn.Config, runner: Runner, viewing: Viewing) -> None:
        super().__init__(config)
        self._runner = runner
        self._viewing = viewing

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
        self._viewing.close()
        await super().shutdown(sockets)


def serve() -> None:
    """Serve until SIGTERM or Ctrl-C. Exits with 1 and a sentence where the settings do not fit."""
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
    server = Server(config, app.state.parts.runner, app.state.parts.viewing)
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
