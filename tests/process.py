"""The service as an operator runs it: `python -m app` in a process of its own."""

import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio
import httpx
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

ROOT = Path(__file__).parent.parent


class ServiceProcess:
    """A started service; `output` is all that it printed so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.output = ""
        self.url = ""
        assert process.stdout is not None
        self._lines = TextReceiveStream(process.stdout)

    async def until_listening(self) -> None:
        self.url = await self.until(r"Uvicorn running on (http://[\d.:]+)")

    async def until(self, pattern: str) -> str:
        """Read until that was printed; its group."""
        while not (found := re.search(pattern, self.output)):
            self.output += await self._lines.receive()
        return found[1]

    async def drain(self) -> None:
        """Read what is printed, until the end: a pipe that is full would stop the process."""
        async for text in self._lines:
            self.output += text

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, read what is printed until the end; the exit status."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        await self.drain()
        return await self.process.wait()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False)


def environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the developer's but the path, and the model client that is tested."""
    names = ("PATH", "HOME", "SSL_CERT_FILE", "MODEL_CLIENT")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder), "PORT": "0", "DRAIN_S": "0", **variables}


@asynccontextmanager
async def started(folder: Path, variables: Mapping[str, str], *, listens: bool = True) -> AsyncIterator[ServiceProcess]:
    """Start it in that folder with these variables; it is killed at the latest when the block is left."""
    process = await anyio.open_process(
        [sys.executable, "-m", "app"], cwd=folder, env=environment(folder, variables), stdout=PIPE, stderr=STDOUT
    )
    service = ServiceProcess(process)
    try:
        if listens:
            await service.until_listening()
        yield service
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()
