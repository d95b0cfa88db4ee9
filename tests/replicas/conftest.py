"""Two processes of the service on one Postgres, with and without Redis, as `python -m app` starts them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup

from tests.process import ServiceProcess, started
from tests.servers.openai_wire import OpenAIWire


class Replicas:
    """The processes; one that was killed can be started again."""

    def __init__(self, folder: Path, variables: dict[str, str], stack: AsyncExitStack, group: TaskGroup) -> None:
        self._folder, self._variables, self._stack, self._group = folder, variables, stack, group
        self.processes: list[ServiceProcess] = []
        self.clients: list[httpx.AsyncClient] = []

    async def start(self, **more: str) -> int:
        """One more; its index."""
        process = await self._stack.enter_async_context(started(self._folder, self._variables | more))
        client = httpx.AsyncClient(
            base_url=process.url, timeout=60, trust_env=False, limits=httpx.Limits(max_connections=None)
        )
        self.clients.append(await self._stack.enter_async_context(client))
        self.processes.append(process)
        self._group.start_soon(process.drain)
        return len(self.processes) - 1

    async def stop(self, index: int) -> int:
        """As an operator does; its exit status."""
        self.processes[index].process.terminate()
        return await self.processes[index].process.wait()

    async def kill(self, index: int) -> None:
        """As the kernel does when memory runs out."""
        self.processes[index].process.kill()
        await self.processes[index].process.wait()


@pytest.fixture(params=["postgres", "postgres and redis"])
def engine(request: pytest.FixtureRequest, postgres_url: str) -> dict[str, str]:
    """Where replicas share what they share."""
    if request.param == "postgres":
        return {"DATABASE_URL": postgres_url}
    return {"DATABASE_URL": postgres_url, "REDIS_URL": request.getfixturevalue("redis_url")}


def variables(openai: OpenAIWire) -> dict[str, str]:
    return {
        "MODEL": "openai:gpt-4o-mini",
        "MODEL_BASE_URL": f"{openai.url}/v1",
        "OPENAI_API_KEY": "sk-test",
        "MODEL_MAX_RETRIES": "0",
        "AGENTS_DIR": "agents",
        "LOG_FORMAT": "json",
    }


@asynccontextmanager
async def replicas_of(folder: Path, settings: dict[str, str], number: int = 2) -> AsyncIterator[Replicas]:
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        replicas = Replicas(folder, settings, stack, group)
        async with anyio.create_task_group() as starting:
            for _ in range(number):
                starting.start_soon(replicas.start)
        try:
            yield replicas
        finally:
            group.cancel_scope.cancel()
            for process in replicas.processes:
                print(*(line for line in process.output.splitlines() if '"level": "info"' not in line), sep="\n")  # noqa: T201 shown where a test fails


@pytest.fixture
async def replicas(engine: dict[str, str], openai: OpenAIWire, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Two of them."""
    async with replicas_of(tmp_path, variables(openai) | engine) as replicas:
        yield replicas
