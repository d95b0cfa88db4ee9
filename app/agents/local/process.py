"""The embedded model's process as its owner sees it: asyncio's subprocess callbacks, so no task reads it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, cast

import anyio

LOG_BYTES = 4096
"""How much of the process's last words is kept."""
KILL_S = 5
"""Seconds that a killed process may take to be gone."""


class ModelProcess(asyncio.SubprocessProtocol):
    """`child.py`, running: where it listens, its last words, its end."""

    def __init__(self) -> None:
        self.listening: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """Its URL once it listens, None when it ended instead."""
        self._transport: asyncio.SubprocessTransport
        self._said = b""
        self._log = b""
        self._exited = False
        self._gone = asyncio.Event()

    @classmethod
    async def spawn(cls, config: dict[str, Any], lock: int | None = None) -> Self:
        """Start one with `config`, which `child.py` reads; it holds the lock until it ends."""
        # -P: what it imports is not looked for beside the script.
        command = sys.executable, "-P", str(Path(__file__).with_name("child.py"))
        loop = asyncio.get_running_loop()
        held = () if lock is None else (lock,)
        transport, process = await loop.subprocess_exec(
            cls, *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=held
        )
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        stdin.write(json.dumps(config).encode() + b"\n")
        return process

    @property
    def url(self) -> str | None:
        """Where it listens; None before it does and after it ended."""
        if self._exited or not self.listening.done() or self.listening.cancelled():
            return None
        return self.listening.result()

    @property
    def log(self) -> str:
        """The end of what it wrote to stderr, and whatever its libraries printed."""
        return self._log.decode(errors="replace")

    async def kill(self) -> None:
        """End it, and wait until it is reaped and its pipes are closed."""
        with suppress(ProcessLookupError):
            self._transport.kill()
        with anyio.move_on_after(KILL_S, shield=True):
            await self._gone.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._log = (self._log + data)[-LOG_BYTES:]
            return
        self._said += data
        address, end, _ = self._said.partition(b"\n")
        if end and not self.listening.done():
            self.listening.set_result(f"{address.decode()}/v1")

    def process_exited(self) -> None:
        self._exited = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It exited and all that it had said was read."""
        self._transport.close()
        self._gone.set()
        if not self.listening.done():
            self.listening.set_result(None)
