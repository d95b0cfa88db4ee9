"""Postgres restarted under load, and Redis gone and come back empty: nothing is lost, and nothing hangs."""

import signal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.replicas.conftest import replicas_of, variables
from tests.replicas.test_death import until_standing, watch
from tests.servers.openai_wire import OpenAIWire
from tests.servers.postgres import Postgres, running
from tests.servers.redis import Redis
from tests.servers.replies import Drip, Text
from tests.service import Event, events_of

TEXT = " ".join(f"w{number}" for number in range(300))


def check(events: list[Event]) -> None:
    """All of the run, once."""
    began = max(index for index, event in enumerate(events) if event.data["seq"] == 1)
    assert [event.data["seq"] for event in events[began:]] == list(range(1, len(events) - began + 1))
    assert "".join(event.data["delta"] for event in events[began:] if event.type == "text.delta") == TEXT
    assert events[-1].type == "run.completed"


async def persistent(client: httpx.AsyncClient, run_id: str, seen: list[Event]) -> None:
    """Watches as a browser does: comes back with what it saw last, also after a refusal."""
    while not seen or not seen[-1].type.startswith(("run.c", "run.f")):
        headers = {"Last-Event-ID": seen[-1].id} if seen else {}
        async with client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as response:
            if response.status_code == 503:
                await anyio.sleep(float(response.headers["retry-after"]) / 10)
                continue
            assert response.status_code == 200, await response.aread()
            async for event in events_of(response):
                seen.append(event)  # noqa: PERF401 others look at it meanwhile


@pytest.fixture
def own_postgres() -> Any:
    """One that nobody else uses."""
    with running() as postgres:
        yield postgres


@pytest.mark.parametrize("with_redis", [False, True], ids=["postgres", "postgres and redis"])
async def test_postgres_restarts_under_load(
    own_postgres: Postgres, redis_url: str, openai: OpenAIWire, tmp_path: Path, with_redis: bool
) -> None:
    """Runs that were going on end well, each once; those that come meanwhile are refused, and taken afterwards."""
    openai.replies = lambda _: Text(TEXT, interval_s=0.01)
    engine = {"DATABASE_URL": own_postgres.url(own_postgres.create())} | (
        {"REDIS_URL": redis_url} if with_redis else {}
    )
    async with replicas_of(tmp_path, variables(openai) | engine) as replicas:
        seen: dict[str, list[Event]] = {}
        foreground: list[dict[str, Any]] = []

        async def in_front(index: int) -> None:
            answer = await replicas.clients[index % 2].post("/agents/assistant/run", json={"task": f"run {index}"})
            foreground.append(answer.json())

        async with anyio.create_task_group() as group:
            for index in range(10):
                client = replicas.clients[index % 2]
                started = (await client.post("/agents/assistant/runs", json={"task": f"background {index}"})).json()
                seen[started["run_id"]] = []
                group.start_soon(
                    persistent, replicas.clients[(index + 1) % 2], started["run_id"], seen[started["run_id"]]
                )
                group.start_soon(in_front, index)
            with anyio.fail_after(30):
                while not all(len(events) > 20 for events in seen.values()):
                    await anyio.sleep(0.01)
            await anyio.to_thread.run_sync(own_postgres.stop, "immediate")
            refused = await replicas.clients[0].post("/agents/assistant/run", json={"task": "refused"})
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            await anyio.to_thread.run_sync(own_postgres.start)
        for events in seen.values():
            check(events)
        assert [run["status"] for run in foreground] == ["completed"] * 10
        assert [run["output"] for run in foreground] == [TEXT] * 10
        again = await replicas.clients[0].post("/agents/assistant/run", json={"task": "again"})
        assert again.json()["status"] == "completed"
        assert len(openai.requests) == 21


async def test_nobody_alive_is_taken_for_dead_after_an_outage(
    own_postgres: Postgres, openai: OpenAIWire, tmp_path: Path
) -> None:
    """Leases that ran out while Postgres was away: once whoever looked first took over what others still executed."""
    openai.replies = lambda _: Drip()
    database = own_postgres.create()
    engine = {"DATABASE_URL": own_postgres.url(database)}
    async with replicas_of(tmp_path, variables(openai) | engine) as replicas, anyio.create_task_group() as group:
        ended: list[Event] = []
        foreground = {"task": "foreground", "on_disconnect": "continue"}
        async with replicas.clients[0].stream("POST", "/agents/assistant/stream", json=foreground) as response:
            run_ids = [response.headers["x-run-id"]]
        body = {"task": "background"}
        run_ids += [(await c.post("/agents/assistant/runs", json=body)).json()["run_id"] for c in replicas.clients]
        await openai.until_asked(3)
        await anyio.to_thread.run_sync(own_postgres.stop, "immediate")
        with anyio.fail_after(30):
            while not all("queue cannot be reached" in process.output for process in replicas.processes):
                await anyio.sleep(0.05)
        await anyio.to_thread.run_sync(own_postgres.start)
        await anyio.to_thread.run_sync(
            partial(
                own_postgres.execute, "UPDATE runs SET lease_expires_at = now() - interval '1 s'", database=database
            )
        )
        lapsed = partial(
            own_postgres.execute, "SELECT count(*) FROM runs WHERE lease_expires_at < now()", database=database
        )
        with anyio.fail_after(40):
            while await anyio.to_thread.run_sync(lapsed) != "0":
                await anyio.sleep(0.1)
        for run_id in run_ids:
            answer = await replicas.clients[1].post(f"/runs/{run_id}/cancel")
            assert answer.json()["status"] == "cancelled", answer.text
            group.start_soon(watch, replicas.clients[1], run_id, ended)
    assert [event.type for event in ended if event.type.startswith("run.r")] == []
    assert len(openai.requests) == 3


async def test_a_process_that_hung_says_nothing_more(postgres_url: str, openai: OpenAIWire, tmp_path: Path) -> None:
    """Its run was executed elsewhere meanwhile: its viewers see that, not the end of what it still had to say."""
    replies = iter((Text(TEXT, interval_s=0.01), Text("another answer")))
    openai.replies = lambda _: next(replies)
    async with replicas_of(tmp_path, variables(openai) | {"DATABASE_URL": postgres_url, "LEASE_S": "3"}, 1) as replicas:
        hanging = replicas.clients[0]
        run_id = (await hanging.post("/agents/assistant/runs", json={"task": "hi"})).json()["run_id"]
        seen: list[Event] = []
        async with anyio.create_task_group() as group:
            group.start_soon(watch, hanging, run_id, seen)
            with anyio.fail_after(30):
                while len(seen) < 10:
                    await anyio.sleep(0.01)
            replicas.processes[0].process.send_signal(signal.SIGSTOP)
            await replicas.start()
            run = await until_standing(replicas.clients[1], run_id, "completed")
            replicas.processes[0].process.send_signal(signal.SIGCONT)
        assert (run["output"], (await until_standing(hanging, run_id, "completed"))["output"]) == (
            "another answer",
        ) * 2
        began = next(index for index, event in enumerate(seen) if event.type == "run.restarted")
        shown = [event.data["message"]["id"] for event in seen[began:] if event.type == "message"]
        assert shown == [message["id"] for message in (await hanging.get(f"/runs/{run_id}")).json()["messages"]]
        assert seen[-1].type == "run.completed"


async def test_redis_goes_and_comes_back_empty(
    postgres_url: str, redis: Redis, redis_url: str, openai: OpenAIWire, tmp_path: Path
) -> None:
    """Runs do not notice; viewers on the other replica wait, and then get all that they had not seen."""
    openai.replies = lambda _: Text(TEXT, interval_s=0.01)
    engine = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
    async with replicas_of(tmp_path, variables(openai) | engine) as replicas:
        owner, other = replicas.clients
        async with anyio.create_task_group() as group:
            seen: list[Event] = []
            body = {"task": "hi", "on_disconnect": "continue"}
            async with owner.stream("POST", "/agents/assistant/stream", json=body) as response:
                run_id = response.headers["x-run-id"]
                group.start_soon(persistent, other, run_id, seen)
                with anyio.fail_after(30):
                    while len(seen) < 20:
                        await anyio.sleep(0.01)
                redis.stop()
                refused = await other.get(f"/runs/{run_id}/stream")
                assert refused.status_code == 503
                ready = (await other.get("/readyz")).json()
                assert (ready["status"], ready["checks"]["events"]["status"]) == ("ready", "degraded")
                redis.start()
                await response.aread()
        check(seen)
        whole: list[Event] = []
        await watch(other, run_id, whole)
        check(whole)

        redis.stop()
        try:
            run = (await owner.post("/agents/assistant/runs", json={"task": "without"})).json()
            ended = await until_standing(other, run["run_id"], "completed")
            assert ended["output"] == TEXT
        finally:
            redis.start()
