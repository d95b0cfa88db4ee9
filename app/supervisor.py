"""Serve the port: in this process, or, with `WORKERS=n`, in so many, whose parent this is then.

Each worker listens for itself (SO_REUSEPORT), so that the kernel spreads connections evenly over those that live: from
one shared socket, whoever is idle takes them, and streams stay where they began. The parent holds the address without
listening, so that nobody else can take it while no worker does.

A worker heeds its parent alone, by a byte for each signal on a socket whose end is the parent's: terminals and systemd
signal every process of a group, and a second signal means a hurry.
"""

import asyncio
import gc
import logging
import secrets
import signal
import socket
import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.settings import Settings
from app.siblings import Worker
from app.telemetry import logs

SPAWN = get_context("spawn")  # a fork would copy threads' locks without the threads
STEADY_S = 10.0
"""A worker that lived for so long is started again at once."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0
"""Before one that did not; doubled each time."""
FAILED = 1
"""The exit status where a worker left none of its own."""

logger = logging.getLogger("uvicorn.error")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    logs.configure(settings)
    if settings.workers == 1:
        from app.server import run  # noqa: PLC0415 of several, the workers alone need it

        run(settings)
        return
    gc.enable()
    with TemporaryDirectory(prefix="waggle-") as folder, _held(settings) as held:
        sys.exit(asyncio.run(Supervisor(settings, Path(folder), held).run()))


def bound(host: str, port: int) -> socket.socket:
    """A socket of that address, which others of this user's may have too; it does not listen yet."""
    found = socket.socket(_family(host), socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind((host, port))
    return found


class Supervisor:
    """Keeps the workers going, and ends with them."""

    def __init__(self, settings: Settings, folder: Path, held: socket.socket) -> None:
        self._settings = settings
        self._folder = folder
        self._address = held.getsockname()[:2]
        self._secret = secrets.token_urlsafe(24)
        self._links: dict[int, socket.socket] = {}
        self._ready: set[int] = set()
        self._first_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._signals = 0
        self._status = 0

    async def run(self) -> int:
        """The exit status, once all have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep, 1)
            await self._first_ready.wait()  # it alone migrates the database, and tells what is wrong
            for other in range(2, self._settings.workers + 1):
                group.start_soon(self._keep, other)
        return self._status

    def _stop(self) -> None:
        self._signals += 1
        self._stopping.set()
        self._first_ready.set()
        for link in self._links.values():
            _signal(link)

    async def _keep(self, number: int) -> None:
        """Start it, and start it again; where it fails and no other serves, neither does the service."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = loop.time()
            status, served = await self._work(number)
            if self._stopping.is_set():
                return
            if not served and not self._ready:
                self._status = self._status or _exit_status(status) or FAILED
                self._stop()
                return
            logger.error("Worker %d ended with %d: another takes its place", number, status)
            pause = FIRST_PAUSE_S if loop.time() - began > STEADY_S else min(2 * pause, LONGEST_PAUSE_S)
            with anyio.move_on_after(pause):
                await self._stopping.wait()

    async def _work(self, number: int) -> tuple[int, bool]:
        """One life of a worker: how it ended, and whether it had served."""
        here, there = socket.socketpair()
        here.setblocking(False)
        worker = Worker(number, self._settings.workers, self._folder, self._secret)
        process = SPAWN.Process(target=_worker, args=(self._settings, worker, self._address, there))
        process.start()
        there.close()
        self._links[number] = here
        try:
            if served := await _spoke(here):
                self._ready.add(number)
                if not self._first_ready.is_set():
                    logger.info("Uvicorn running on %s (Press CTRL+C to quit)", _url(*self._address))
                    self._first_ready.set()
            await asyncio.to_thread(process.join)
        finally:
            self._ready.discard(number)
            del self._links[number]
            here.close()
        status = process.exitcode or 0
        if self._stopping.is_set() and not _was_signalled(status):
            self._status = self._status or _exit_status(status)
        return status, served


def _worker(settings: Settings, worker: Worker, address: tuple[str, int], parent: socket.socket) -> None:
    """In a process of its own."""
    gc.disable()  # as in `app.cli`
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    logs.configure(settings, worker.number)
    from app.server import run  # noqa: PLC0415 the parent does without

    run(settings, worker, bound(*address), parent)


def _held(settings: Settings) -> socket.socket:
    """The address, which is then the workers'. Exits with 1 and a sentence where somebody has it."""
    try:
        with socket.create_server((settings.host, settings.port), family=_family(settings.host)) as alone:
            port = alone.getsockname()[1]
        return bound(settings.host, port)
    except OSError as error:
        logger.error("%s: %s", _url(settings.host, settings.port), error)  # noqa: TRY400 a sentence
        sys.exit(FAILED)


async def _spoke(link: socket.socket) -> bool:
    """Whether the worker is ready; False where it ended instead."""
    try:
        return bool(await asyncio.get_running_loop().sock_recv(link, 1))
    except ConnectionError:
        return False


def _signal(link: socket.socket) -> None:
    with suppress(OSError):  # it has just ended
        link.send(b".")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _was_signalled(status: int) -> bool:
    """Before it could say that it heeds its parent alone."""
    return status in (-signal.SIGINT, -signal.SIGTERM)


def _exit_status(status: int) -> int:
    """As a shell has it."""
    return 128 - status if status < 0 else status
