"""Tools that misbehave, from outside: the service, the session and the other runs are none the worse for it."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.agents.folder import Folder, folder
from tests.faults.harness import SESSION, closed_spans, counted, survived
from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

__all__ = ["folder"]

FAULTY = '''
import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from tests.faults.test_tools import RELEASED

class Odd(BaseException):
    """No Exception."""

async def fault() -> str:
    """Misbehave."""
    {code}
    return "never"

def blocking() -> str:
    """Misbehave in a thread."""
    {blocking}
    return "never"

def build(context):
    agent = AssistantAgent("faulty", context.model(), tools=[fault, blocking], reflect_on_tool_use=True)
    return {made}
'''
RELEASED = threading.Event()
MADE = {"agent": "agent", "team": "RoundRobinGroupChat([agent], max_turns=1)"}


@asynccontextmanager
async def releasing() -> AsyncIterator[None]:
    """Threads of a test end with it."""
    RELEASED.clear()
    yield
    RELEASED.set()


@dataclass(frozen=True, slots=True)
class Row:
    code: str
    tool: str = "fault"
    status: int = 200
    fields: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    """What the model is told of it."""
    kind: str = ""


SHORT = {"timeout_s": 0.5}
TABLE = {
    "raises": Row("raise ValueError('It fell.')", told="It fell."),
    "raises nonsense": Row("raise ValueError(chr(0xD800) * 3)"),
    "ends the program": Row("raise SystemExit(3)", told="3"),
    "is interrupted": Row("raise KeyboardInterrupt", told="KeyboardInterrupt"),
    "raises no Exception": Row("raise Odd('odd')", told="Odd"),
    "ends the program, in a thread": Row("raise SystemExit(3)", "blocking", told="3"),
    "is interrupted, in a thread": Row("raise KeyboardInterrupt", "blocking", told="KeyboardInterrupt"),
    "raises no Exception, in a thread": Row("raise Odd('odd')", "blocking", told="Odd"),
    "never returns": Row("await asyncio.Event().wait()", status=504, fields=SHORT, kind="run-timeout"),
    "never returns, in a thread": Row("RELEASED.wait()", "blocking", status=504, fields=SHORT, kind="run-timeout"),
    "floods": Row("return 'x' * 100_000_000", told="… [cut: 99990050 characters more]"),
    "floods, in a thread": Row("return 'x' * 100_000_000", "blocking", told="… [cut: 99990050 characters more]"),
    "floods with what it raises": Row("raise ValueError('x' * 100_000_000)", told="characters more]"),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("fault", TABLE)
async def test_a_tool_misbehaves(
    fault: str, made: str, openai: OpenAIWire, with_openai: dict[str, Any], folder: Folder
) -> None:
    """Its model is told, or its run ends; nothing that was started is left, and the next run works."""
    row = TABLE[fault]
    code = {"code": row.code, "blocking": "pass"} if row.tool == "fault" else {"code": "pass", "blocking": row.code}
    folder.add("faulty.py", FAULTY.format(**code, made=MADE[made]))
    told: list[str] = []

    def replies(request: Request) -> Reply:
        told.extend(request.asked.results)
        return Text("I see.") if request.asked.results else ToolCalls((ToolCall(row.tool, {}),))

    settings = {"max_message_chars": 10_000, "cancel_timeout_s": 0.5}
    async with releasing(), serving(**with_openai | settings) as service, survived(service, openai, "faulty"):
        openai.replies = replies
        answer = await service.run("faulty", "hi", status=row.status, session_id="other", **row.fields)
        assert answer.get("type", "").rpartition(":")[2] == row.kind
        assert [len(result) for result in told if row.told not in result or len(result) > 10_000] == []
        assert told == [] or row.told in told[0][-200:]
        assert len(told) == (row.status == 200)
        await closed_spans(service, answer["run_id"])
        run = await service.get(f"/runs/{answer['run_id']}")
        assert len(str(run)) < 100_000
        assert await counted(service, "waggle_runs_total", 'agent="faulty"', f'status="{run["status"]}"')


STUCK = """
import threading
from autogen_agentchat.agents import AssistantAgent

def stuck() -> str:
    \"\"\"Never return.\"\"\"
    threading.Event().wait()

def build(context):
    return AssistantAgent("stuck", context.model(), tools=[stuck])
"""


async def test_threads_that_never_end(openai: OpenAIWire, tmp_path: Path) -> None:
    """More of them than a pool has: the service goes on, looks names up, and ends when it is told to."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "stuck.py").write_text(STUCK)
    openai.replies = lambda request: ToolCalls((ToolCall("stuck", {}),)) if request.asked.tools else Text("Well.")
    url = openai.url.replace("127.0.0.1", "localhost")
    variables = {"OPENAI_API_KEY": "sk-test", "MODEL": "openai:gpt-4o-mini", "MODEL_BASE_URL": f"{url}/v1"}
    async with started(tmp_path, variables | {"CANCEL_TIMEOUT_S": "0.2"}) as service, service.client() as client:

        async def run() -> None:
            answer = await client.post("/agents/stuck/run", json={"task": "hi", "timeout_s": 1})
            assert answer.status_code == 504

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(run)
        assert (await client.post("/agents/assistant/run", json={"task": "hi"})).json()["output"] == "Well."
        assert (await client.get("/metrics")).status_code == 200
        with anyio.fail_after(10):
            assert await service.end() == 0
    assert "A thread did not end" in service.output


ODD = """
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import StructuredMessage, TextMessage
from pydantic import BaseModel

class Count(BaseModel):
    bees: int

class Odd(BaseChatAgent):
    produced_message_types = (TextMessage, StructuredMessage[Count])

    async def on_messages(self, messages, cancellation_token):
        said = messages[-1].content
        if said == "hi":
            return Response(chat_message=StructuredMessage[Count](content=Count(bees=2**70), source=self.name))
        return Response(chat_message=TextMessage(content="Well.", source=self.name))

    async def on_reset(self, cancellation_token):
        pass

def build(context):
    return Odd("odd", "Says what no UTF-8 holds.")
"""


async def test_what_cannot_be_written_down(openai: OpenAIWire, with_openai: dict[str, Any], folder: Folder) -> None:
    """A number that no JSON of ours has: the run has failed, and its session does not wait for it."""
    folder.add("odd.py", ODD)
    async with serving(**with_openai) as service, survived(service, openai, "odd"):
        answer = await service.run("odd", "hi", status=500, session_id=SESSION)
        assert answer["type"] == "urn:waggle:problem:run-failed"
        assert (await service.get(f"/runs/{answer['run_id']}"))["status"] == "failed"


@pytest.mark.parametrize("agent", ["assistant", "research"])
async def test_half_a_character(agent: str, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A model's, as a stream has it where one is cut in two: it is replaced, and the run goes on."""
    async with serving(**with_openai) as service, survived(service, openai, agent):
        openai.replies = lambda _: Text("Bees \ud83d buzz", chunks=("Bees ", "\ud83d", " buzz"))
        run = await service.run(agent, "hi", session_id="other")
        assert (run["status"], run["output"]) == ("completed", "Bees \ufffd buzz")
        events = await service.stream(agent, "hi", session_id="other")
        assert events[-1].type == "run.completed"
