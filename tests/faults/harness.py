"""What holds after every fault: the session is as it was, the next run works, and nothing of the failed one is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.service import Service, flat

SESSION = "s"


def tasks_of_runs() -> list[str]:
    """What a run's agent, a team or a tool still does, and the runs themselves."""
    return [
        repr(task)
        for task in asyncio.all_tasks()
        if task.get_name().startswith(("agent ", "run ")) or "autogen" in repr(task)
    ]


async def messages(service: Service) -> Any:
    return (await service.get(f"/sessions/{SESSION}/messages"))["items"]


@asynccontextmanager
async def survived(service: Service, openai: OpenAIWire, agent: str = "assistant") -> AsyncIterator[None]:
    """A fault inside of the block, in runs of `SESSION`, harms nothing but these; the block ends with it mended."""
    openai.replies = lambda _: Text("Well.")
    await service.run(agent, "before", session_id=SESSION)
    before = await messages(service)
    yield
    openai.replies = lambda _: Text("Well.")
    assert await messages(service) == before
    with anyio.fail_after(10):
        while left := tasks_of_runs():
            await anyio.sleep(0.01)
    assert not left
    after = await service.run(agent, "after", session_id=SESSION)
    assert after["status"] == "completed"
    assert await messages(service) == before + after["messages"]


async def closed_spans(service: Service, run_id: str) -> list[dict[str, Any]]:
    """Every span of a run; none is open."""
    spans = flat(await service.trace(await service.get(f"/runs/{run_id}")))
    assert spans
    assert not [span["name"] for span in spans if span["end"] is None]
    return spans


async def counted(service: Service, *parts: str) -> bool:
    """Whether /metrics has a line with all of these, and more than nothing."""
    lines = (await service.client.get("/metrics")).text.splitlines()
    found = [line for line in lines if all(part in line for part in parts) and not line.startswith("#")]
    return any(float(line.split()[-1]) > 0 for line in found)
