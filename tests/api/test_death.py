"""The one process of an embedded service is killed and started again: what those see who come back to it."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Hang, Text
from tests.service import Event, Service, events_of, serving


async def after(client: httpx.AsyncClient, url: str, seen: Event) -> list[Event]:
    async with client.stream("GET", url, headers={"Last-Event-ID": seen.id}) as response:
        assert response.status_code == 200, await response.aread()
        return [event async for event in events_of(response)]


async def test_who_watched_is_told_what_became_of_the_run(openai: OpenAIWire, tmp_path: Path) -> None:
    """The run of a request that died with the process has failed; one in the background begins anew."""
    variables = {"MODEL": "openai:m", "MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-test"}
    openai.replies = lambda _: Drip()
    last: dict[str, Event] = {}

    async with started(tmp_path, variables) as process, process.client() as client:

        async def watch(kind: str, method: str, url: str, body: Any) -> None:
            with suppress(httpx.RemoteProtocolError):
                async with client.stream(method, url, json=body) as response:
                    async for event in events_of(response):
                        last[kind] = event

        background = (await client.post("/agents/assistant/runs", json={"task": "hi"})).json()["run_id"]
        async with anyio.create_task_group() as group:
            group.start_soon(watch, "waited for", "POST", "/agents/assistant/stream", {"task": "hi"})
            group.start_soon(watch, "background", "GET", f"/runs/{background}/stream", None)
            with anyio.fail_after(20):
                while len(last) < 2 or min(event.data["seq"] for event in last.values()) < 5:
                    await anyio.sleep(0.01)
            await process.end(signal.SIGKILL)
    openai.replies = lambda _: Text("Done.")
    async with started(tmp_path, variables) as process, process.client() as client:
        url = f"/runs/{last['waited for'].data['run_id']}/stream"
        (failed,) = await after(client, url, last["waited for"])
        assert failed.data["error"]["type"] == "urn:waggle:problem:run-lost"
        assert failed.data["seq"] == last["waited for"].data["seq"] + 1
        assert (await client.get(url, headers={"Last-Event-ID": failed.id})).status_code == 204
        rest = await after(client, f"/runs/{background}/stream", last["background"])
        assert (rest[0].type, rest[-1].type) == ("run.restarted", "run.completed")


async def test_who_waits_in_the_queue_does_not_hold_up_the_end(openai: OpenAIWire, tmp_path: Path) -> None:
    """Told to stop, the process lets them go at once, their runs being another's: by 503, or by the stream's end."""
    variables = {"MODEL": "openai:m", "MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-test"}
    openai.replies = lambda _: Drip()
    answers: dict[str, httpx.Response] = {}
    async with started(tmp_path, variables) as process, process.client() as client:

        async def post(kind: str, policy: str, session: str = "s") -> None:
            body = {"task": kind, "session_id": session, "if_busy": policy}
            answers[f"{kind}, {policy}"] = await client.post(f"/agents/assistant/{kind}", json=body)

        async with anyio.create_task_group() as group:
            group.start_soon(post, "stream", "reject")
            group.start_soon(post, "run", "reject", "elsewhere")
            await openai.until_streaming(2)
            group.start_soon(post, "stream", "enqueue")
            group.start_soon(post, "run", "enqueue")
            with anyio.fail_after(20):
                while len((await client.get("/sessions/s/runs")).json()["items"]) < 3:
                    await anyio.sleep(0.01)
            assert await process.end() == 0
    assert "graceful" not in process.output
    assert answers["stream, reject"].text.count("event: run.failed") == 1
    queued = answers["stream, enqueue"]
    assert queued.status_code == 200
    assert queued.text.startswith(": reconnect with Last-Event-ID")
    for waited in ("run, reject", "run, enqueue"):
        assert (answers[waited].status_code, answers[waited].headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("seen", [None, "1-3"], ids=["from the start", "after what is void"])
async def test_a_run_is_watched_from_the_moment_it_is_claimed(
    seen: str | None, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Its log may not be open yet: it was answered 410, for good, to whoever came back at that moment."""
    openai.replies = lambda request: Hang() if request.asked.text == "first" else Text("Done.")
    async with serving(**with_openai, max_concurrent_runs=1) as service:
        first = (await service.client.post("/agents/assistant/runs", json={"task": "first"})).json()["run_id"]
        await openai.until_asked(1)
        run_id = (await service.client.post("/agents/assistant/runs", json={"task": "second"})).json()["run_id"]
        queue, process_id = service.parts.keeper._queue, service.parts.peers.process_id
        assert await queue.claim(process_id)
        assert await queue.release(run_id, 1)
        claim = await queue.claim(process_id)
        assert claim is not None
        watched: list[Event] = []
        async with anyio.create_task_group() as group:
            group.start_soon(watch_into, watched, service, run_id, seen)
            with anyio.fail_after(10):
                while not (watched or service.parts.viewing._bells._bells.get(run_id)):
                    await anyio.sleep(0.01)
            service.parts.runner.execute(claim)
        assert watched[-1].type == "run.completed"
        await service.client.post(f"/runs/{first}/cancel")


async def watch_into(watched: list[Event], service: Service, run_id: str, seen: str | None) -> None:
    headers = {"Last-Event-ID": f"{run_id}:{seen}"} if seen else {}
    async with service.client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        watched.extend([event async for event in events_of(response)])
