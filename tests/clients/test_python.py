"""The Python client's methods, sync and async, against a running service."""

import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.clients.conftest import Connect
from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Drip, Hang, HttpError, Text
from tests.service import Service, serving
from tests.test_examples import EXAMPLES, ROOT, answers
from tests.wire.callees import asks, ended, written
from waggle_client import (
    AsyncWaggle,
    EventsGone,
    NotFound,
    Problem,
    RunFailed,
    SessionBusy,
    Unreachable,
    Waggle,
    image,
)

KEY = "sk-acme-0123456789"


async def test_runs(service: Service, openai: OpenAIWire, connect: Connect) -> None:
    """Waited for, watched, and in the background; read again, judged, traced."""
    openai.replies = lambda _: Text("Bees dance.")
    waggle = connect(service.url + "/")
    run = await waggle("run", "assistant", "Why?", session_id="bees", metadata={"shop": "7"})
    assert (run["status"], run["output"], run["session_id"], run["metadata"]) == (
        "completed",
        "Bees dance.",
        "bees",
        {"shop": "7"},
    )
    events = await waggle("stream", "assistant", "And?", session_id="bees")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "".join(event["delta"] for event in events if event["type"] == "text.delta") == "Bees dance."
    assert events[-1]["type"] == "run.completed"
    assert await waggle("runs.stream", events[-1]["run_id"]) == events
    begun = await waggle("start", "assistant", "Then?")
    assert (await waggle("runs.stream", begun["run_id"]))[-1]["type"] == "run.completed"
    assert (await waggle("runs.get", begun["run_id"]))["output"] == "Bees dance."
    await waggle("runs.feedback", run["run_id"], 1, label="helpful", comment="Thanks!")
    [said] = await waggle("runs.feedbacks", run["run_id"])
    assert (said["score"], said["label"], said["comment"]) == (1, "helpful", "Thanks!")
    assert (await waggle("runs.trace", run["run_id"]))["trace_id"] == run["trace_id"]


async def test_sessions(service: Service, connect: Connect) -> None:
    """Listed, read, forked, taken back, deleted, exported."""
    waggle = connect(service.url)
    runs = [await waggle("run", "assistant", task, session_id="s") for task in ("One", "Two")]
    assert [session["session_id"] for session in await waggle("sessions.list")] == ["s"]
    assert (await waggle("sessions.get", "s"))["turns"] == 2
    assert [said["content"] for said in await waggle("sessions.messages", "s") if said["source"] == "user"] == [
        "One",
        "Two",
    ]
    assert [run["run_id"] for run in await waggle("sessions.runs", "s")] == [run["run_id"] for run in runs[::-1]]
    assert [version["version"] for version in await waggle("sessions.versions", "s")] == [2, 1]
    assert (await waggle("sessions.fork", "s", run_id=runs[0]["run_id"], to="fork"))["session_id"] == "fork"
    assert (await waggle("sessions.rewind", "s", version=0))["turns"] == 0
    assert (await waggle("export"))[-1]["type"] == "end"
    await waggle("sessions.delete", "s")
    with pytest.raises(NotFound):
        await waggle("sessions.get", "s")


async def test_a_list_is_read_page_by_page(service: Service, connect: Connect) -> None:
    """To its end."""
    waggle = connect(service.url)
    await waggle("run", "assistant", "Hi", session_id="s")
    for number in range(101):
        assert (await service.client.post("/sessions/s/fork", json={"session_id": f"fork{number}"})).is_success
    assert len(await waggle("sessions.list")) == 102


async def test_agents(service: Service, connect: Connect) -> None:
    waggle = connect(service.url)
    cards = await waggle("agents")
    assert "assistant" in [card["name"] for card in cards]
    assert await waggle("agent", "assistant") in cards


async def test_an_image_is_a_part_of_a_task(service: Service, openai: OpenAIWire, connect: Connect) -> None:
    """Of whatever kind: the service looks."""
    task = [{"type": "text", "text": "What is it?"}, image(picture("GIF"))]
    await connect(service.url)("run", "assistant", task)
    assert data_uri(picture("GIF"), "image/gif") in str(openai.requests[0].json)


async def test_a_question_is_answered(
    openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path, connect: Connect
) -> None:
    """Of a run that is waited for, and of one that is watched: the same stream goes on."""
    openai.replies = asks
    async with serving(**with_openai | {"agents_dir": written(tmp_path / "agents")}) as service:
        waggle = connect(service.url)
        run = await waggle("run", "asking", "Which colour?")
        assert (run["status"], run["input_request"]["prompt"]) == ("input_required", "Which colour?")
        await waggle("runs.input", run["run_id"], "red")
        assert (await waggle("runs.stream", run["run_id"]))[-1]["run"]["output"] == "red"
        async with waggle.watching("stream", "asking", "Which colour?") as watched:
            asked: Any = await watched.until("input.required")
            for _ in range(2):  # the same answer twice is one
                await waggle("runs.input", asked["run_id"], "blue", input_id=asked["input_id"])
            end: Any = await watched.until("run.completed")
        assert end["run"]["output"] == "blue"


async def test_a_stream_that_is_left(openai: OpenAIWire, with_openai: dict[str, Any], connect: Connect) -> None:
    """Leaves its run to the service, which stops it; one in the background is stopped by name."""
    openai.replies = lambda _: Drip()
    async with serving(**with_openai, disconnect_grace_s=0.05) as service:
        waggle = connect(service.url)
        async with waggle.watching("stream", "assistant", "Hi") as watched:
            await watched.until("text.delta")
        assert watched.events.run_id is not None
        assert (await ended(service, watched.events.run_id))["status"] == "cancelled"
        begun = await waggle("start", "assistant", "Hi")
        assert (await waggle("runs.cancel", begun["run_id"]))["status"] == "cancelled"


async def test_a_stream_is_gone_on_with_elsewhere(service: Service, connect: Connect) -> None:
    """By the id of its last event; after the last one nothing follows, and after none that is known neither."""
    waggle = connect(service.url)
    async with waggle.watching("stream", "assistant", "Hi") as watched:
        first = await watched.next()
        run_id, after = watched.events.run_id, watched.events.last_event_id
        end = await watched.until("run.completed")
    events = await waggle("runs.stream", run_id, after=after)
    assert (events[0]["seq"], events[-1]) == (first["seq"] + 1, end)
    assert await waggle("runs.stream", run_id, after=watched.events.last_event_id) == []
    with pytest.raises(EventsGone) as raised:
        await waggle("runs.stream", run_id, after="unknown")
    assert raised.value.run_id == run_id


async def test_a_run_that_fails(service: Service, openai: OpenAIWire, connect: Connect) -> None:
    """Raises where it is waited for, is an event where it is watched, and is not begun again by itself."""
    openai.replies = lambda _: HttpError(401, "no such key")
    waggle = connect(service.url)
    with pytest.raises(RunFailed, match=r"^Model provider failed: ") as raised:
        await waggle("run", "assistant", "Hi")
    error = raised.value
    assert (error.status, error.kind) == (502, "provider-failed")
    assert error.run_id is not None
    record = await waggle("runs.get", error.run_id)
    assert (record["status"], record["trace_id"]) == ("failed", error.trace_id)
    end = (await waggle("stream", "assistant", "Hi"))[-1]
    assert (end["type"], end["error"]["type"]) == ("run.failed", error.type)
    assert len(openai.requests) == 2


async def test_what_is_refused(service: Service, openai: OpenAIWire, connect: Connect) -> None:
    """Each in the service's own words, before and instead of a stream too."""
    openai.replies = lambda _: Hang()
    waggle = connect(service.url)
    for method in ("run", "stream", "start"):
        with pytest.raises(NotFound, match="There is no agent 'nobody'") as raised:
            await waggle(method, "nobody", "Hi")
        assert raised.value.request_id
    with pytest.raises(Problem, match=r"\n  body\.timeout_s: Input should be greater than 0"):
        await waggle("run", "assistant", "Hi", timeout_s=-1)
    begun = await waggle("start", "assistant", "Hi", session_id="s")
    with pytest.raises(SessionBusy) as busy:
        await waggle("run", "assistant", "Hi", session_id="s")
    assert busy.value.retry_after
    await waggle("runs.cancel", begun["run_id"])


async def test_who_asks(with_openai: dict[str, Any], connect: Connect) -> None:
    """Nobody is let in without the token; of a tenant's users each has her own."""
    async with serving(**with_openai, api_keys=f"acme:{KEY}") as service:
        with pytest.raises(Problem, match="Authorization: Bearer") as raised:
            await connect(service.url)("run", "assistant", "Hi")
        assert raised.value.status == 401
        acme = connect(service.url, token=KEY, user_id="ann")
        assert (await acme("run", "assistant", "Hi", session_id="s"))["user_id"] == "ann"
        bob = type(acme)(acme.client.for_user("bob"))
        assert await bob("sessions.list") == []
        await bob.close()
        assert (await acme("sessions.get", "s"))["user_id"] == "ann"


async def test_a_service_that_is_not_there(connect: Connect) -> None:
    """Is said to be, with where it was looked for."""
    for method in ("run", "stream"):
        with pytest.raises(Unreachable, match=r"^http://127\.0\.0\.1:9/agents/assistant/") as raised:
            await connect("http://127.0.0.1:9", max_retries=0)(method, "assistant", "Hi")
        assert isinstance(raised.value.__cause__, httpx.ConnectError)


async def test_a_client_of_ones_own_stays_open(service: Service) -> None:
    """It is closed by who made it."""
    with httpx.Client(trust_env=False) as http:
        with Waggle(service.url, http_client=http):
            pass
        assert not http.is_closed
    async with AsyncWaggle(service.url) as waggle, waggle.for_user("ann") as ann:
        await ann.aclose()
        assert [agent["name"] async for agent in waggle.agents()]


async def test_the_example(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Shows what the agent says, and has its question answered."""
    openai.replies = answers
    command = [sys.executable, str(ROOT / "examples" / "python" / "chat.py"), "Order A-17 came broken."]
    async with serving(**with_openai | {"agents_dir": EXAMPLES}) as service:
        variables = {"WAGGLE_URL": service.url, "AGENT": "refunds", "PYTHONPATH": str(ROOT / "clients" / "python")}
        done = await anyio.run_process(command, input=b'{"decision": "approve"}\n', env=variables)
    assert "40.00 euros were paid back for order A-17." in done.stdout.decode()
