"""`python -m app`, as an operator starts, stops and loses it."""

import signal
from pathlib import Path

import anyio
import pytest

from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import Drip, Hang, Text
from tests.service import events_of


def model(openai: OpenAIWire) -> dict[str, str]:
    return {"MODEL": "openai:gpt-4o-mini", "MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-test"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_cleanly_with_streams_open(
    number: signal.Signals, openai: OpenAIWire, collector: Collector, tmp_path: Path
) -> None:
    """Each stream gets its last event, a team too, the spans are sent, and the exit status is 0, in time."""
    openai.replies = lambda _: Drip()
    variables = {**model(openai), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async with started(tmp_path, variables) as service, service.client() as client:
        ends: list[str] = []

        async def watch(agent: str) -> None:
            async with client.stream("GET", f"/agents/{agent}/stream", params={"task": "hi"}) as response:
                ends.append([event async for event in events_of(response)][-1].type)

        async with anyio.create_task_group() as group:
            group.start_soon(watch, "assistant")
            group.start_soon(watch, "research")
            await openai.until_streaming(2)
            with anyio.fail_after(15):
                assert await service.end(number) == 0, service.output
        assert ends == ["run.failed", "run.failed"]
        assert "Traceback" not in service.output, service.output
    assert len([span for span in collector.spans() if span.name == "chat gpt-4o-mini"]) == 2


async def test_what_goes_on_when_it_is_told_to_stop_may_end(openai: OpenAIWire, tmp_path: Path) -> None:
    """Within DRAIN_S: meanwhile it answers, is not ready, and takes no more."""
    openai.replies = lambda _: Text(" ".join(["word"] * 60), interval_s=0.02)
    async with started(tmp_path, {**model(openai), "DRAIN_S": "60"}) as service, service.client() as client:
        statuses: list[str] = []

        async def run(way: str) -> None:
            answer = await client.post(f"/agents/assistant/{way}", json={"task": "hi"})
            statuses.append("completed" if '"status":"completed"' in answer.text else answer.text)

        async with anyio.create_task_group() as group:
            for way in ("run", "stream"):
                group.start_soon(run, way)
            await openai.until_asked(2)
            service.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(20):
                while (await client.get("/readyz")).status_code != 503:
                    await anyio.sleep(0.01)
            refused = await client.post("/agents/assistant/run", json={"task": "late"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert statuses == ["completed", "completed"]
        with anyio.fail_after(20):
            assert await service.ended() == 0, service.output
    assert len(openai.requests) == 2


async def test_a_second_signal_ends_it_at_once(openai: OpenAIWire, tmp_path: Path) -> None:
    """Whatever goes on, and however long that may."""
    openai.replies = lambda _: Drip()
    async with (
        started(tmp_path, {**model(openai), "DRAIN_S": "600"}) as service,
        service.client() as client,
        client.stream("GET", "/agents/assistant/stream?task=hi") as response,
    ):
        await anext(events_of(response))
        service.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(20):
            while (await client.get("/readyz")).status_code != 503:
                await anyio.sleep(0.01)
        with anyio.fail_after(20):
            assert await service.end() == 0, service.output


async def test_a_stream_whose_run_waits_says_that_it_goes_on(openai: OpenAIWire, tmp_path: Path) -> None:
    """In a comment: a client comes back, with what it saw last, and finds the run."""
    openai.replies = lambda _: Drip()
    async with started(tmp_path, model(openai)) as service, service.client() as client:
        body = {"task": "hi", "session_id": "s", "if_busy": "enqueue"}
        first = (await client.post("/agents/assistant/runs", json=body)).json()
        async with client.stream("GET", f"/runs/{first['run_id']}/stream") as response:
            lines = response.aiter_lines()
            while "text.delta" not in await anext(lines):
                pass
            service.process.send_signal(signal.SIGTERM)
            assert [line async for line in lines if line][-1].startswith(": reconnect with Last-Event-ID")
        assert await service.ended() == 0, service.output


async def test_what_a_killed_process_ran_is_failed_and_its_session_goes_on(openai: OpenAIWire, tmp_path: Path) -> None:
    """`kill -9` in the middle of a run: after the restart the run is lost, the conversation is as it was before."""
    variables = {**model(openai), "LEASE_S": "1"}
    async with started(tmp_path, variables) as service, service.client() as client:
        body = {"task": "My name is Ann.", "session_id": "s"}
        assert (await client.post("/agents/assistant/run", json=body)).status_code == 200
        openai.replies = lambda _: Hang(("one ",))
        parameters = {"task": "lost words", "session_id": "s"}
        async with client.stream("GET", "/agents/assistant/stream", params=parameters) as response:
            first = await anext(events_of(response))
            await openai.until_streaming(1)
            service.process.kill()
            await service.process.wait()
    openai.replies = ()
    async with started(tmp_path, variables) as service, service.client() as client:
        with anyio.fail_after(20):
            while (run := (await client.get(f"/runs/{first.data['run_id']}")).json())["status"] == "running":
                await anyio.sleep(0.05)
        assert (run["status"], run["error"]["type"]) == ("failed", "urn:waggle:problem:run-lost")
        body = {"task": "Who am I?", "session_id": "s"}
        answer = await client.post("/agents/assistant/run", json=body)
        assert answer.status_code == 200, answer.text
        said = str(openai.requests[-1].json["messages"])
        assert "My name is Ann." in said
        assert "lost words" not in said


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        pytest.param({"HOST": "203.0.113.7"}, "AUTH=none", id="open to everybody"),
        pytest.param({"PORT": "high"}, "PORT: Input should be a valid integer", id="not a port"),
        pytest.param({"LLM_SPANS": "all"}, "LLM_SPANS: Input should be 'waggle' or 'openinference'", id="not a choice"),
    ],
)
async def test_settings_that_do_not_fit_are_said_in_a_sentence(
    variables: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    """The variable's name and what to do, and no traceback."""
    async with started(tmp_path, variables, listens=False) as service:
        assert await service.ended() == 1
        assert sentence in service.output
        assert "Traceback" not in service.output


async def test_a_missing_key_is_said_at_the_start(tmp_path: Path) -> None:
    """One sentence in the log names the variable; the service is up, and says the same at /readyz."""
    async with started(tmp_path, {"MODEL": "openai:gpt-4o-mini"}) as service, service.client() as client:
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "OPENAI_API_KEY" in ready.json()["checks"]["model"]["reason"]
        await service.end()
        assert "MODEL=openai:gpt-4o-mini needs OPENAI_API_KEY" in service.output
