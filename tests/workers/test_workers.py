"""Several workers behind one port are one service, whichever a connection leads to, and whichever of them dies."""

import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx
import pytest

from tests.process import started
from tests.replicas.test_resume import some_events
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import dead_url
from tests.servers.replies import Drip, Hang, Text
from tests.service import Event, events_of
from tests.telemetry.test_metrics import Scrape
from tests.workers.conftest import UNTIL_S, Workers, workers_of

WORDS = [f"w{number}" for number in range(200)]


async def until_standing(client: httpx.AsyncClient, run_id: str, status: str) -> None:
    with anyio.fail_after(UNTIL_S):
        while (await client.get(f"/runs/{run_id}")).json()["status"] != status:
            await anyio.sleep(0.02)


async def test_a_stream_goes_on_at_the_other_worker(workers: Workers, openai: OpenAIWire) -> None:
    """From any event on, while the run goes on and afterwards; none is lost or comes twice."""
    openai.replies = lambda _: Text(" ".join(WORDS), interval_s=0.01)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(workers.client(number)) for number in (1, 2)]
        async with clients[0].stream("POST", "/agents/assistant/stream", json={"task": "hi"}) as response:
            seen = [event async for event in first(events_of(response), 5)]
        run_id = response.headers["x-run-id"]
        for number in (2, 1, 2):
            async with workers.client(number) as client:
                seen += await some_events(client, run_id, seen[-1].id, 20)
        async with workers.client(1) as client:
            seen += await some_events(client, run_id, seen[-1].id, 10_000)
        assert [event.data["seq"] for event in seen] == list(range(1, len(seen) + 1))
        assert "".join(event.data["delta"] for event in seen if event.type == "text.delta") == " ".join(WORDS)
        assert seen[-1].type == "run.completed"
        for number in (1, 2):
            async with workers.client(number) as client:
                again = await some_events(client, run_id, seen[9].id, 10_000)
                assert again == seen[10:]
                assert await some_events(client, run_id, seen[-1].id, 1) == []


async def first(events: AsyncIterator[Event], number: int) -> AsyncIterator[Event]:
    async for event in events:
        yield event
        number -= 1
        if number == 0:
            return


async def test_a_run_is_stopped_and_traced_from_the_other_worker(workers: Workers, openai: OpenAIWire) -> None:
    """One that a request waits for is where the request arrived; its cancellation is answered once it has ended."""
    openai.replies = lambda _: Drip()
    async with workers.client(1) as one, workers.client(2) as two:
        async with one.stream("POST", "/agents/assistant/stream", json={"task": "hi"}) as response:
            run_id = response.headers["x-run-id"]
            events = events_of(response)
            await anext(events)
            assert (await two.post(f"/runs/{run_id}/cancel")).json()["status"] == "cancelled"
            assert [event async for event in events][-1].type == "run.cancelled"
        spans = (await two.get(f"/runs/{run_id}/trace")).json()["spans"]
        assert spans
        async with workers.client(1) as one_again:
            assert (await one_again.get(f"/runs/{run_id}/trace")).json()["spans"] == spans
        await openai.until_idle()


async def test_a_worker_that_is_killed_loses_nothing_but_what_requests_waited_for(
    workers: Workers, openai: OpenAIWire
) -> None:
    """The port goes on answering, background runs begin anew, another takes its place, and serves."""
    openai.replies = lambda _: Hang(("one ",))
    async with workers.client(2) as client, workers.client(1) as doomed:
        run_ids = [
            (await client.post("/agents/assistant/runs", json={"task": "hi"})).json()["run_id"] for _ in range(8)
        ]
        await openai.until_streaming(8)
        async with doomed.stream("POST", "/agents/assistant/stream", json={"task": "hi"}) as response:
            events = events_of(response)
            await anext(events)
            openai.replies = lambda _: Text("Done.")
            workers.kill(1)
            with pytest.raises(httpx.RemoteProtocolError):
                _ = [event async for event in events]
        lost = response.headers["x-run-id"]
        assert (await client.post("/agents/assistant/run", json={"task": "meanwhile"})).json()["status"] == "completed"
        await until_standing(client, lost, "failed")
        owned = {run_id for run_id in run_ids if (await client.get(f"/runs/{run_id}")).json()["status"] == "running"}
        for run_id in set(run_ids) - owned:
            await until_standing(client, run_id, "completed")
        await workers.until(1, lives=2)
        for run_id in owned:  # one of them may have been seen while it had begun anew
            assert (await client.post(f"/runs/{run_id}/cancel")).json()["status"] in ("cancelled", "completed")
        async with workers.client(1) as successor:
            answer = await successor.post("/agents/assistant/run", json={"task": "hi"})
            assert answer.json()["status"] == "completed"
    assert "Worker 1 ended with -9" in workers.service.output
    assert workers.pids(1)[0] != workers.pids(1)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_both_drain(number: signal.Signals, workers: Workers, openai: OpenAIWire) -> None:
    """Each stream gets its last event, whichever worker has it, and the exit status is 0."""
    openai.replies = lambda _: Drip()
    ends: list[str] = []

    async def watch(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/agents/assistant/stream", params={"task": "hi"}) as response:
            ends.append([event async for event in events_of(response)][-1].type)

    async with workers.client(1) as one, workers.client(2) as two, anyio.create_task_group() as group:
        group.start_soon(watch, one)
        group.start_soon(watch, two)
        await openai.until_streaming(2)
        workers.service.process.send_signal(number)
        with anyio.fail_after(UNTIL_S):
            assert await workers.service.process.wait() == 0
    assert ends == ["run.failed", "run.failed"]


async def test_a_second_signal_ends_all_at_once(variables: dict[str, str], openai: OpenAIWire, tmp_path: Path) -> None:
    """Whatever goes on, and however long that may."""
    openai.replies = lambda _: Drip()
    async with (
        workers_of(tmp_path, variables | {"DRAIN_S": "600"}) as workers,
        workers.client(2) as client,
        client.stream("GET", "/agents/assistant/stream?task=hi") as response,
    ):
        await anext(events_of(response))
        workers.service.process.send_signal(signal.SIGTERM)
        await workers.until_said(lambda output: "Stopping: 1 runs" in output)
        workers.service.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(UNTIL_S):
            assert await workers.service.process.wait() == 0


async def test_one_scrape_has_the_metrics_of_all(workers: Workers, openai: OpenAIWire) -> None:
    """Each worker's series with its number, whoever is asked, as one exposition that parses."""
    async with workers.client(1) as one, workers.client(2) as two:
        for client, runs in ((one, 1), (two, 2)):
            for _ in range(runs):
                assert (await client.post("/agents/assistant/run", json={"task": "hi"})).status_code == 200
        for client in (one, two):
            text = (await client.get("/metrics")).text
            found = Scrape(text)
            counted = {"agent": "assistant", "status": "completed"}
            assert found.sum("waggle_runs_total", worker="1", **counted) == 1
            assert found.sum("waggle_runs_total", worker="2", **counted) == 2
            families = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
            assert len(families) == len(set(families))
            assert len({labels["service_instance_id"] for labels, _ in found.of("target_info", worker="1")}) == 1
            assert found.of("target_info", worker="1")[0][0] != found.of("target_info", worker="2")[0][0]


async def test_on_postgres(variables: dict[str, str], postgres_url: str, openai: OpenAIWire, tmp_path: Path) -> None:
    """They are replicas there, whose port, metrics and traces are one."""
    openai.replies = lambda _: Drip()
    async with (
        workers_of(tmp_path, variables | {"DATABASE_URL": postgres_url}) as workers,
        workers.client(1) as one,
        workers.client(2) as two,
    ):
        async with one.stream("POST", "/agents/assistant/stream", json={"task": "hi"}) as response:
            seen = [event async for event in first(events_of(response), 3)]
        run_id = response.headers["x-run-id"]
        seen += await some_events(two, run_id, seen[-1].id, 3)
        assert [event.data["seq"] for event in seen] == list(range(1, 7))
        async with workers.client(2) as other:
            assert (await other.post(f"/runs/{run_id}/cancel")).json()["status"] == "cancelled"
            assert (await other.get(f"/runs/{run_id}/trace")).json()["spans"]
            assert Scrape((await other.get("/metrics")).text).values("worker") == {"1", "2"}


async def test_they_leave_with_their_parent(workers: Workers) -> None:
    """However that ends: no worker goes on that nobody can stop."""
    workers.service.process.kill()
    await workers.service.process.wait()
    await workers.until_said(lambda output: len(re.findall("Finished server process", output)) == 2)


async def test_a_port_that_somebody_has_is_told_once(tmp_path: Path) -> None:
    """By one line, and the exit status."""
    async with started(tmp_path, {"WORKERS": "1", "MODEL": "openai:m", "OPENAI_API_KEY": "k"}) as holder:
        port = holder.url.rpartition(":")[2]
        async with started(tmp_path, {"WORKERS": "3", "PORT": port}, listens=False) as service:
            assert await service.ended() == 1
            assert service.output.count("Address already in use") == 1
            assert "Traceback" not in service.output


async def test_what_fails_at_the_start_is_told_once(variables: dict[str, str], tmp_path: Path) -> None:
    """By the first worker, before there are others; the exit status is its own."""
    url = dead_url().replace("http://", "postgresql://waggle:waggle@") + "/waggle"
    async with started(tmp_path, variables | {"WORKERS": "3", "DATABASE_URL": url}, listens=False) as service:
        with anyio.fail_after(60):
            assert await service.ended() == 3
        assert service.output.count("Application startup failed") == 1
        assert " worker=2" not in service.output
