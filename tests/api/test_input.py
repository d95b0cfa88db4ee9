"""A person in the loop, over HTTP: who is asked, who answers, and what the run makes of it."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Reply, Request, Text, ToolCall, ToolCalls
from tests.service import Event, Service, events_of, serving

AGENTS = {
    "review": '''
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat

def build(context):
    """A writer, and a person who approves."""
    writer = AssistantAgent("writer", context.model(), model_client_stream=True)
    person = UserProxyAgent("person", input_func=input)
    return RoundRobinGroupChat([writer, person], termination_condition=TextMentionTermination("OK", sources=["person"]))
''',
    "desk": '''
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import HandoffTermination, TextMentionTermination
from autogen_agentchat.teams import Swarm

def build(context):
    """Hands over to the user."""
    agent = AssistantAgent("agent", context.model(), handoffs=["user"])
    return Swarm([agent], termination_condition=HandoffTermination("user") | TextMentionTermination("BYE"))
''',
    "files": '''
from anyio import Path
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import needs_approval

@needs_approval
async def remove(path: str) -> str:
    """Remove a file."""
    async with await Path("removed").open("a") as log:
        await log.write(path + "\\n")
    return f"{path} is gone"

def build(context):
    """Removes files, if a person lets it."""
    return AssistantAgent("files", context.model(), tools=[remove], reflect_on_tool_use=True)
''',
    "patient": '''
import anyio
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import ask

async def wait() -> str:
    """Asks, and then waits for ever."""
    await ask("Shall I?")
    return await anyio.sleep_forever()

def build(context):
    """Waits."""
    return AssistantAgent("patient", context.model(), tools=[wait])
''',
}


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder = tmp_path / "agents"
    folder.mkdir()
    for name, text in AGENTS.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return with_openai | {"agents_dir": folder, "disconnect_grace_s": 0.05}


def reply(request: Request) -> Reply:
    """Writes drafts; calls the tool or hands over at first, and says what came of it then."""
    messages = request.json["messages"]
    tools = [tool["function"]["name"] for tool in request.json.get("tools", [])]
    last = messages[-1]
    if last["role"] == "tool" and "remove" in str(messages):
        return Text(f"It said: {last['content']}")
    if tools == ["remove"]:
        return ToolCalls((ToolCall("remove", {"path": "/a"}),))
    if tools:
        told = str(last["content"])
        return Text(f"You said {told}. BYE") if "blue" in told else ToolCalls((ToolCall(tools[0], {}),))
    return Text(f"draft {sum(message['role'] == 'assistant' for message in messages) + 1}")


async def answer(service: Service, run_id: str, value: Any, **more: Any) -> httpx.Response:
    return await service.client.post(f"/runs/{run_id}/input", json={"input": value, **more})


async def ended(service: Service, run_id: str) -> dict[str, Any]:
    """Once it has, or asks again."""
    with anyio.fail_after(20):
        while (run := await service.get(f"/runs/{run_id}"))["status"] in ("queued", "running"):
            await anyio.sleep(0.01)
    found: dict[str, Any] = run
    return found


async def test_a_proxy_is_answered_by_a_person(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """Twice in one run: one stream shows it all, numbered without a gap, and nothing is said twice."""
    openai.replies = reply
    async with serving(**settings) as service:
        events: list[Event] = []
        async with service.streaming("review", "Write.", session_id="s") as stream:
            async for event in stream:
                events.append(event)
                if event.type == "input.required":
                    word = "shorter" if event.data["source"] and len(openai.requests) == 1 else "OK"
                    assert event.data["schema"] is None
                    sent = await answer(service, event.data["run_id"], word, input_id=event.data["input_id"])
                    assert sent.status_code == 202, sent.text
        assert [event.data["seq"] for event in events] == list(range(1, len(events) + 1))
        said = [
            (event.data["message"]["source"], event.data["message"]["content"])
            for event in events
            if event.type == "message"
        ]
        assert said == [
            ("user", "Write."),
            ("writer", "draft 1"),
            ("person", "shorter"),
            ("writer", "draft 2"),
            ("person", "OK"),
        ]
        assert events[-1].type == "run.completed"
        assert len(openai.requests) == 2
        run = await service.get(f"/runs/{events[0].data['run_id']}")
        assert [(message["source"], message["content"]) for message in run["messages"]] == said
        assert run["usage"]["input_tokens"] == 22
        listed = await service.get("/sessions/s/messages")
        assert [(message["source"], message["content"]) for message in listed["items"]] == said


async def test_it_waits_over_a_restart(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """Who asks for the run sees what it waits for; the answer finds it in the next process; its session was held."""
    openai.replies = reply
    async with serving(**settings) as service:
        run = await service.run("review", "Write.", session_id="s")
        assert (run["status"], run["input_request"]["source"]) == ("input_required", "person")
        assert run["finished_at"] is None
        await service.run("review", "Another.", session_id="s", status=409)
    async with serving(**settings) as service:
        assert (await service.get(f"/runs/{run['run_id']}"))["input_request"] == run["input_request"]
        async with service.client.stream("GET", f"/runs/{run['run_id']}/stream") as response:
            stream = events_of(response)
            seen = [await anext(stream) for _ in range(4)]
            assert [event.type for event in seen] == ["run.started", "message", "message", "input.required"]
            assert (await answer(service, run["run_id"], "OK")).status_code == 202
            rest = [event async for event in stream]
        assert [event.type for event in rest] == ["message", "run.completed"]
        assert len(openai.requests) == 1
        again = await service.run("review", "And now?", session_id="s")
        assert [message["content"] for message in again["messages"]] == ["And now?", "draft 2"]


async def test_a_handoff_to_a_person_is_answered(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """The team goes on with the answer, in the same run."""
    openai.replies = reply
    async with serving(**settings) as service:
        run = await service.run("desk", "Paint it.")
        assert (run["status"], run["input_request"]["source"]) == ("input_required", "agent")
        await answer(service, run["run_id"], "blue")
        done = await ended(service, run["run_id"])
    assert (done["status"], done["output"]) == ("completed", "You said blue. BYE")
    assert [message["type"] for message in done["messages"]].count("handoff") == 2


async def test_who_answers_need_not_watch(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """`run` was answered with the question: what follows the answer goes on unwatched, until a viewer leaves."""
    openai.replies = reply
    async with serving(**settings) as service:
        run = await service.run("review", "Write.")
        openai.replies = lambda _: Drip()
        assert (await answer(service, run["run_id"], "shorter")).status_code == 202
        await openai.until_streaming(2)
        await anyio.sleep(settings["disconnect_grace_s"] * 3)  # it is the absence of a stop that is looked for
        assert (await service.get(f"/runs/{run['run_id']}"))["status"] == "running"
        async with service.client.stream("GET", f"/runs/{run['run_id']}/stream") as response:
            assert (await anext(events_of(response))).type == "run.started"
        assert (await ended(service, run["run_id"]))["stop_reason"] == "Nobody was watching any more."


async def test_a_question_that_was_answered_is_no_outcome(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """Who joins the run by its key while it goes on after the answer waits for its next question, or its end."""
    openai.replies = [ToolCalls((ToolCall("wait", {}),))]
    body, headers = {"task": "Wait."}, {"Idempotency-Key": "k"}
    joined: list[httpx.Response] = []
    async with serving(**settings) as service:

        async def join() -> None:
            joined.append(await service.client.post("/agents/patient/run", json=body, headers=headers))

        await join()
        run_id = joined[0].json()["run_id"]
        assert (await answer(service, run_id, "Go.")).status_code == 202
        with anyio.fail_after(10):
            while (await service.get(f"/runs/{run_id}"))["status"] != "running":
                await anyio.sleep(0.01)
        async with anyio.create_task_group() as group:
            group.start_soon(join)
            with anyio.move_on_after(0.3):  # it is the absence of an answer that is looked for
                while len(joined) == 1:
                    await anyio.sleep(0.01)
            await service.client.post(f"/runs/{run_id}/cancel")
    assert [answer.json()["status"] for answer in joined] == ["input_required", "cancelled"]


@pytest.mark.parametrize(
    ("decision", "removed", "output"),
    [
        ({"decision": "approve"}, "/a\n", "It said: /a is gone"),
        ({"decision": "approve", "arguments": {"path": "/b"}}, "/b\n", "It said: /b is gone"),
        ({"decision": "deny", "reason": "it is mine"}, "", "it is mine"),
    ],
    ids=["approve", "edit", "deny"],
)
async def test_a_tool_waits_for_approval(
    settings: dict[str, Any], openai: OpenAIWire, tmp_path: Path, decision: Any, removed: str, output: str
) -> None:
    """In a background run; the tool runs once with what was approved, or never."""
    openai.replies = reply
    async with serving(**settings) as service:
        started = await service.client.post("/agents/files/runs", json={"task": "Remove /a."})
        run = await ended(service, started.json()["run_id"])
        assert "remove" in run["input_request"]["prompt"]
        assert not (tmp_path / "removed").exists()
        for wrong in ("yes", {"decision": "perhaps"}, {}):
            assert (await answer(service, run["run_id"], wrong)).status_code == 422
        first, second = await answer(service, run["run_id"], decision), await answer(service, run["run_id"], decision)
        assert (first.status_code, second.status_code) == (202, 202)
        done = await ended(service, run["run_id"])
        third = await answer(service, run["run_id"], decision)
        assert (third.status_code, third.json()["status"]) == (202, "completed")
        assert (await answer(service, run["run_id"], {"decision": "deny"})).status_code == 409
    assert done["status"] == "completed"
    assert output in done["output"]
    assert ((tmp_path / "removed").read_text() if removed else "") == removed


async def test_a_run_that_waits_can_be_cancelled_or_interrupted(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """At once, since nobody executes it; its answer comes too late."""
    openai.replies = reply
    async with serving(**settings) as service:
        first = await service.run("review", "One.", session_id="s")
        cancelled = await service.client.post(f"/runs/{first['run_id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        assert (await answer(service, first["run_id"], "OK")).status_code == 409
        second = await service.run("review", "Two.", session_id="s")
        third = await service.run("review", "Three.", session_id="s", if_busy="interrupt")
        assert (await service.get(f"/runs/{second['run_id']}"))["status"] == "cancelled"
        assert third["status"] == "input_required"


async def test_nobody_else_may_answer(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """To others the run does not exist; one that asks nothing is not answered."""
    openai.replies = reply
    async with serving(**settings) as service:
        run = await service.run("review", "Write.", user_id="ann")
        url, body = f"/runs/{run['run_id']}/input", {"input": "OK"}
        assert (await service.client.post(url, json=body)).status_code == 404
        assert (await service.client.post(url, json=body, headers={"X-User-ID": "bob"})).status_code == 404
        assert (await service.client.post(url, json={"input": 7}, headers={"X-User-ID": "ann"})).status_code == 422
        assert (await service.client.post(url, json=body, headers={"X-User-ID": "ann"})).status_code == 202
        plain = await service.run("assistant", "hi")
        assert (await answer(service, plain["run_id"], "OK")).status_code == 409


async def test_an_unanswered_question_fails_the_run(settings: dict[str, Any], openai: OpenAIWire) -> None:
    """INPUT_TIMEOUT_S later, with a problem that says so; its viewers are told."""
    openai.replies = reply
    async with serving(**settings, input_timeout_s=0.1) as service:
        events = await service.stream("review", "Write.", session_id="s")
        assert events[-1].type == "run.failed"
        assert events[-1].data["error"]["type"] == "urn:waggle:problem:input-expired"
        assert [event.data["seq"] for event in events] == list(range(1, len(events) + 1))
        assert (await service.get("/sessions/s/messages"))["items"] == []


@pytest.mark.parametrize(
    "value", [rb'"\ud800"', rb'{"\udfff": 1}', b"1" * 50, b"NaN", b"[Infinity]", b"[" * 300 + b"]" * 300], ids=repr
)
async def test_an_answer_that_cannot_be_told_on(value: bytes, settings: dict[str, Any], openai: OpenAIWire) -> None:
    """422, and the run waits on: half a character, a number that JSON has not, a nest without an end."""
    openai.replies = reply
    async with serving(**settings) as service:
        run = await service.run("review", "Write.")
        refused = await service.client.post(
            f"/runs/{run['run_id']}/input",
            content=b'{"input": ' + value + b"}",
            headers={"Content-Type": "application/json"},
        )
        assert refused.status_code == 422, refused.text
        assert (await answer(service, run["run_id"], "OK")).status_code == 202
