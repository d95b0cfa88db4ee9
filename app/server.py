"""The service in a process of its own: from its settings to its exit status."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from types import FrameType

import uvicorn
from sse_starlette.sse import AppStatus

from app.api.dependencies import Parts
from app.connections import Connection
from app.main import create_app
from app.runs.runner import Runner
from app.runs.viewing import Viewing
from app.settings import Settings
from app.siblings import Worker

HURRIED_S = 1
"""What runs get to be recorded after a second signal."""
LEFTOVER_S = 2
"""What tasks and threads that do not end get at the very end, before the process leaves without them."""


class Server(uvicorn.Server):
    """Ends the runs before it waits for their connections: each stream gets its last event, then closes.

    Those of runs that wait, or are executed elsewhere, close without one: these runs go on without this process.
    """

    def __init__(
        self, config: uvicorn.Config, runner: Runner, viewing: Viewing, parent: socket.socket | None = None
    ) -> None:
        super().__init__(config)
        self._parent = parent
        self._runner = runner
        self._viewing = viewing
        self._hurried = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        if self._parent is not None:
            self._loop.add_reader(self._parent, self._heed, self._parent)
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._parent is not None:
            with suppress(OSError):  # it is gone, which `_heed` finds
                self._parent.send(b".")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but what was asked for and done is not raised again: the exit status is 0.

        A worker heeds its parent instead.
        """
        if self._parent is not None:
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 as the signal module calls it
        """The first signal lets runs end, the second one does not."""
        if self.should_exit:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._hurried.set)
        self.should_exit = True

    def _heed(self, parent: socket.socket) -> None:
        """A byte for each signal; the end is the parent's."""
        try:
            told = parent.recv(1)
        except ConnectionError:
            told = b""
        if not told:
            self._loop.remove_reader(parent)
        if told or not self.should_exit:
            self.handle_exit(signal.SIGTERM, None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """While runs end, the service still answers: `/readyz` that it is not ready, and whoever watches them."""
        await self._runner.drain(self._hurried)
        await self._runner.close(HURRIED_S if self.force_exit else None)
        self._viewing.close()
        await super().shutdown(sockets)


def run(
    settings: Settings,
    worker: Worker | None = None,
    listening: socket.socket | None = None,
    parent: socket.socket | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; as one of several workers on that socket, until the parent says so."""
    AppStatus.enable_automatic_graceful_drain = False  # streams end by their run's last event: see Server
    try:
        app = create_app(settings, worker)
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201 a sentence for whoever starts it
        sys.exit(1)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        log_config=None,
        access_log=False,  # `Named` tells each request, by its route: a path and a query may be content
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s) + 1,
    )
    parts: Parts = app.state.parts
    server = Server(config, parts.runner, parts.viewing, parent)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:  # uvloop's, where there is one
        runner.run(_serve(server, None if listening is None else [listening]))


async def _serve(server: Server, listening: list[socket.socket] | None) -> None:
    await server.serve(listening)
    leftover = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftover:
        task.cancel()
    if leftover:
        _, stuck = await asyncio.wait(leftover, timeout=LEFTOVER_S)
        if stuck:
            logging.getLogger(__name__).warning("%d task(s) did not end; leaving without them", len(stuck))
            logging.shutdown()
            os._exit(0)
    _leave_in_time(0 if server.started else 3)
    if not server.started:
        sys.exit(3)


def _leave_in_time(status: int) -> None:
    """Python waits for every thread, and a tool's may never end."""

    def leave() -> None:
        logging.getLogger(__name__).warning("A thread did not end; leaving without it")
        logging.shutdown()
        os._exit(status)

    timer = Timer(LEFTOVER_S, leave)
    timer.daemon = True
    timer.start()
