"""Who leaves, who cancels, who comes back: what becomes of the run and of its model call."""

import asyncio
import re
import socket
from typing import Any

import anyio
import httpx
import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Hang, Reply, Request, Text
from tests.service import Service, events_of, serving

ENDLESS = '''
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat

def build(context):
    """Talks for ever: it has no termination condition."""
    members = [AssistantAgent(name, context.model(), model_client_stream=True) for name in ("tick", "tock")]
    return RoundRobinGroupChat(members)
'''


def ids(answer: httpx.Response) -> list[str]:
    return re.findall(r"^id: (.*)$", answer.text, re.MULTILINE)


async def until_ended(service: Service, run_id: str) -> dict[str, Any]:
    with anyio.fail_after(10):
        if (run := service.parts.runner._live.get(run_id)) is not None:
            await run.finished
    ended: dict[str, Any] = await service.get(f"/runs/{run_id}")
    return ended


@pytest.mark.parametrize("agent", ["assistant", "research", "endless"])
async def test_a_client_that_leaves_stops_the_model(
    agent: str, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Any
) -> None:
    """After the grace the run is cancelled, a team at once, and the provider sees its connection closed."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "endless.py").write_text(ENDLESS)
    openai.replies = lambda _: Drip()
    async with serving(**with_openai | {"agents_dir": tmp_path / "agents"}, disconnect_grace_s=0.05) as service:
        async with service.streaming(agent, "hi") as events:
            started = await anext(events)
            await openai.until_streaming(1)
        await openai.until_abandoned(1)
        run = await until_ended(service, started.data["run_id"])
        assert (run["status"], run["stop_reason"]) == ("cancelled", "Nobody was watching any more.")
        asked = len(openai.requests)
        assert asked == 1


async def test_a_client_of_run_that_leaves_stops_it_too(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """No stream is needed to be missed."""
    openai.replies = lambda _: Hang()
    async with serving(**with_openai, disconnect_grace_s=0.05) as service:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: service.client.post("/agents/assistant/run", json={"task": "hi"}))
            await openai.until_asked(1)
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            await openai.until_idle()


async def test_a_run_that_is_to_go_on_goes_on(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """`on_disconnect: continue` lets it end though nobody watches."""
    go_on = anyio.Event()

    def slowly(request: Request) -> Reply:
        return Text("The end.") if go_on.is_set() else Text("The end.", chunks=("The ", "end."))

    openai.replies = slowly
    async with serving(**with_openai, disconnect_grace_s=0) as service:
        async with service.streaming("assistant", "hi", on_disconnect="continue") as events:
            started = await anext(events)
        live = service.parts.runner._live.get(started.data["run_id"])
        if live is not None:
            await live.finished
        run = await service.get(f"/runs/{started.data['run_id']}")
        assert (run["status"], run["output"]) == ("completed", "The end.")


@pytest.mark.parametrize("agent", ["assistant", "research"])
async def test_cancel_answers_when_the_run_has_really_stopped(agent: str, openai: OpenAIWire, service: Service) -> None:
    """The stream ends with `run.cancelled`, the model's connection is closed, and cancelling again changes nothing."""
    openai.replies = lambda _: Drip()
    async with service.streaming(agent, "hi") as events:
        started = await anext(events)
        await openai.until_streaming(1)
        run_id = started.data["run_id"]
        cancelled = (await service.client.post(f"/runs/{run_id}/cancel")).json()
        assert (cancelled["status"], cancelled["stop_reason"]) == ("cancelled", "Cancelled by the caller.")
        last = [event async for event in events][-1]
    assert last.type == "run.cancelled"
    await openai.until_idle()
    assert (await service.client.post(f"/runs/{run_id}/cancel")).json() == cancelled


async def test_whoever_comes_back_gets_the_rest(openai: OpenAIWire, service: Service) -> None:
    """`Last-Event-ID` on the URL that started the run goes on after that event, and starts no other."""
    openai.replies = [Text("one two three four", chunks=("one ", "two ", "three ", "four"))]
    whole = await service.stream("assistant", "hi")
    asked = len(openai.requests)
    for seen in whole[:-1]:
        headers = {"Last-Event-ID": seen.id}
        async with service.client.stream("POST", "/agents/assistant/stream", json={"task": "hi"}, headers=headers) as r:
            assert r.status_code == 200
            assert [event async for event in events_of(r)] == whole[int(seen.data["seq"]) :]
    url = "/agents/assistant/stream?task=hi"
    assert (await service.client.get(url, headers={"Last-Event-ID": whole[-1].id})).status_code == 204
    for gone, status in ((whole[0].id.replace("1-1", "1-999"), 410), ("0" * 36 + ":1-1", 404), ("rubbish", 410)):
        assert (await service.client.get(url, headers={"Last-Event-ID": gone})).status_code == status
    assert len(openai.requests) == asked


async def test_a_browser_is_told_to_come_back_before_its_run_is_given_up(service: Service) -> None:
    """By itself Firefox waits as long as the grace is. Once a connection, and never as an event of its own."""
    whole = await service.client.get("/agents/assistant/stream?task=hi")
    again = await service.client.get("/agents/assistant/stream?task=hi", headers={"Last-Event-ID": ids(whole)[1]})
    for answer, first in ((whole, 1), (again, 3)):
        run_id = answer.headers["x-run-id"]
        assert answer.text.startswith(f"retry: 1000\nid: {run_id}:1-{first}\nevent: ")
        assert answer.text.count("retry: ") == 1


async def test_a_viewer_too_far_behind_is_dropped_and_the_run_is_not(
    openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Beyond MAX_RUN_EVENTS the oldest are forgotten: who wants them is told so, and the run completes."""
    openai.replies = [Text("x" * 400, chunks=("x",) * 400)]
    async with serving(**with_openai, max_run_events=100) as service:
        run = await service.run("assistant", "hi")
        assert run["output"] == "x" * 400
        headers = {"Last-Event-ID": f"{run['run_id']}:1-1"}
        answer = await service.client.get("/agents/assistant/stream?task=hi", headers=headers)
        assert answer.status_code == 410


GOES_ON = ": reconnect with Last-Event-ID: the run goes on"


@pytest.mark.parametrize(
    ("limits", "reason", "reply"),
    [
        pytest.param({"stream_max_s": 0.2}, "max", Hang(), id="too long, silent"),
        pytest.param({"stream_max_s": 0.2, "stream_idle_s": 10}, "max", Drip(), id="too long, busy"),
        pytest.param({"stream_idle_s": 0.2}, "idle", Hang(("one ",)), id="idle"),
        pytest.param({"stream_max_s": 0, "stream_idle_s": 0.2}, "idle", Hang(), id="idle, else without end"),
    ],
)
async def test_a_stream_lasts_so_long_and_its_viewer_comes_back(
    limits: dict[str, float], reason: str, reply: Reply, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """It ends without a last event, and with a comment; what came is not told again, nor is any run begun."""
    openai.replies = lambda _: reply
    async with serving(**with_openai, **limits) as service:
        first = await service.client.get("/agents/assistant/stream?task=hi")
        run_id = first.headers["x-run-id"]
        assert first.text.endswith(f"\n\n{GOES_ON}\n\n")
        assert "event: run.completed" not in first.text
        assert (await service.get(f"/runs/{run_id}"))["status"] == "running"
        headers = {"Last-Event-ID": ids(first)[-1]}
        again = await service.client.get("/agents/assistant/stream?task=hi", headers=headers)
        assert not set(ids(first)) & set(ids(again))
        assert again.text.endswith(f"{GOES_ON}\n\n")
        metrics = (await service.client.get("/metrics")).text
        assert f'waggle_disconnects_total{{reason="{reason}"}} 2.0' in metrics
        assert 'waggle_disconnects_total{reason="left"} 0.0' in metrics
        await service.client.post(f"/runs/{run_id}/cancel")
    assert len(openai.requests) == 1


async def test_a_run_whose_stream_was_ended_is_left(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Its grace begins: whoever does not come back does not want it."""
    openai.replies = lambda _: Hang()
    async with serving(**with_openai, stream_max_s=0.1, disconnect_grace_s=0.05) as service:
        answer = await service.client.get("/agents/assistant/stream?task=hi")
        run = await until_ended(service, answer.headers["x-run-id"])
        assert (run["status"], run["stop_reason"]) == ("cancelled", "Nobody was watching any more.")
    await openai.until_idle()


async def test_a_stream_of_a_run_that_waits_its_turn_is_ended(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Nothing happens on it until then: not even an event to come back with."""
    openai.replies = lambda _: Drip()
    async with (
        serving(**with_openai, stream_idle_s=0.2) as service,
        service.streaming("assistant", "1", session_id="s"),
    ):
        await openai.until_streaming(1)
        answer = await service.client.get("/agents/assistant/stream?task=2&session_id=s&if_busy=enqueue")
        assert answer.text == f"{GOES_ON}\n\n"
        run = await service.get(f"/runs/{answer.headers['x-run-id']}")
        assert run["status"] == "queued"


async def take_nothing(service: Service, path: str) -> None:
    """Read nothing of a stream, and be dropped for that: what the system's buffers do not hold stays behind."""
    url = httpx.URL(service.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (url.host, url.port))
        client.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        with anyio.fail_after(20):
            while 'reason="slow"} 1.0' not in (await service.client.get("/metrics")).text:
                await anyio.sleep(0.02)


async def test_a_viewer_that_takes_nothing_is_dropped_and_the_run_is_not(
    openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """It is held for so long, and the run goes on."""
    text = "x" * 8_000_000
    openai.replies = [Text(text, chunks=(text,))]
    async with serving(**with_openai, stream_send_timeout_s=0.2, max_message_chars=len(text)) as service:
        await take_nothing(service, "/agents/assistant/stream?task=hi&session_id=s")
        [run] = (await service.get("/sessions/s/runs"))["items"]
        assert (await until_ended(service, run["run_id"]))["status"] == "completed"


async def test_a_viewer_that_does_not_take_the_end_is_dropped(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Also where nothing is left for it but the end of the answer."""
    text = "x" * 8_000_000
    openai.replies = [Text(text)]
    async with serving(**with_openai, stream_send_timeout_s=0.2, max_message_chars=len(text)) as service:
        run = await service.run("assistant", "hi")
        await take_nothing(service, f"/runs/{run['run_id']}/stream")
