"""Two workers of the service behind one port, as `WORKERS=2 python -m app` starts them."""

import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import httpx
import pytest

from tests.process import ServiceProcess, started
from tests.servers.openai_wire import OpenAIWire

UNTIL_S = 20


class Workers:
    """The service, and who of its workers is which process."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service

    def pids(self, number: int) -> list[int]:
        """Of all that had this number, the last one the living."""
        found = re.findall(rf"Started server process \[(\d+)\].* worker={number}$", self.service.output, re.MULTILINE)
        return [int(pid) for pid in found]

    async def until(self, number: int, lives: int) -> None:
        """That one serves, having been started so many times."""
        served = re.compile(rf"Application startup complete.* worker={number}$", re.MULTILINE)
        await self.until_said(lambda output: len(served.findall(output)) >= lives)

    async def until_said(self, wanted: Callable[[str], object]) -> None:
        """That what was printed so far is as wanted."""
        with anyio.fail_after(UNTIL_S):
            while not wanted(self.service.output):
                await anyio.sleep(0.02)

    def kill(self, number: int) -> None:
        """As the kernel does when memory runs out."""
        os.kill(self.pids(number)[-1], signal.SIGKILL)

    @asynccontextmanager
    async def client(self, number: int) -> AsyncIterator[httpx.AsyncClient]:
        """With one connection, which leads to that worker."""
        limits = httpx.Limits(max_connections=1)
        while True:
            async with httpx.AsyncClient(
                base_url=self.service.url, timeout=UNTIL_S, trust_env=False, limits=limits
            ) as client:
                if await self.number_of(client) == number:
                    yield client
                    return

    async def number_of(self, client: httpx.AsyncClient) -> int:
        """Who answers it: the line of a request names its worker."""
        request_id = uuid4().hex
        await client.get("/agents", headers={"X-Request-ID": request_id})
        line = re.compile(rf"worker=(\d+) .*request_id={request_id}")
        await self.until_said(line.search)
        found = line.search(self.service.output)
        assert found is not None
        return int(found[1])


@asynccontextmanager
async def workers_of(folder: Path, variables: dict[str, str]) -> AsyncIterator[Workers]:
    async with (
        started(folder, {"WORKERS": "2", **variables}) as service,
        anyio.create_task_group() as group,
    ):
        workers = Workers(service)
        group.start_soon(service.drain)
        await workers.until(2, lives=1)
        try:
            yield workers
        finally:
            group.cancel_scope.cancel()


@pytest.fixture
def variables(openai: OpenAIWire) -> dict[str, str]:
    return {
        "MODEL": "openai:gpt-4o-mini",
        "MODEL_BASE_URL": f"{openai.url}/v1",
        "OPENAI_API_KEY": "sk-test",
        "AGENTS_DIR": "agents",
    }


@pytest.fixture
async def workers(variables: dict[str, str], tmp_path: Path) -> AsyncIterator[Workers]:
    """Two of them, on SQLite."""
    async with workers_of(tmp_path, variables) as workers:
        yield workers
