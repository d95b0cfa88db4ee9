"""Whoever is cut off, at any point and however often, goes on where it was, on whichever replica."""

import random
from collections.abc import AsyncIterator

import anyio
import httpx

from tests.replicas.conftest import Replicas
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.service import Event, events_of

RUNS, CYCLES = 20, 1000
"""So many runs, and so many times that a viewer is cut off, of all of them."""
WORDS = 400


async def some_events(client: httpx.AsyncClient, run_id: str, after: str | None, number: int) -> list[Event]:
    """The next events, so many at most; the connection is then broken."""
    headers = {"Last-Event-ID": after} if after else {}
    seen: list[Event] = []
    async with client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as response:
        if response.status_code == 204:
            return []
        assert response.status_code == 200, await response.aread()
        events: AsyncIterator[Event] = events_of(response)
        async for event in events:
            seen.append(event)
            if len(seen) == number:
                break
    return seen


async def test_no_event_is_lost_doubled_or_out_of_order(replicas: Replicas, openai: OpenAIWire) -> None:
    """1,000 times over, while the runs go on and afterwards, at random points, on random replicas."""
    text = " ".join(f"w{number}" for number in range(WORDS))
    openai.replies = lambda _: Text(text, interval_s=0.01)
    chance = random.Random(4)  # noqa: S311 points to cut at
    cycles = 0

    async def view(index: int) -> None:
        nonlocal cycles
        body = {"task": f"run {index}"}
        started = (await replicas.clients[index % 2].post("/agents/assistant/runs", json=body)).json()
        seen: list[Event] = []
        while not seen or not seen[-1].type.startswith("run.c"):
            client = chance.choice(replicas.clients)
            number = chance.choice((1, 1, 1, 2, 3))  # words that came at once are one event
            seen += await some_events(client, started["run_id"], seen[-1].id if seen else None, number)
            cycles += 1
        assert [event.data["seq"] for event in seen] == list(range(1, len(seen) + 1))
        deltas = "".join(event.data["delta"] for event in seen if event.type == "text.delta")
        assert deltas == text
        assert seen[-1].data["run"]["output"] == text
        for client in replicas.clients:
            assert await some_events(client, started["run_id"], seen[-1].id, 1) == []

    async with anyio.create_task_group() as group:
        for index in range(RUNS):
            group.start_soon(view, index)
    assert cycles >= CYCLES
