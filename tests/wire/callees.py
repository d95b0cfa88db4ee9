"""Agents that the tests of protocols serve beside those there are, and what their model answers."""

from pathlib import Path
from typing import Any

import anyio

from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import Service
from tests.wire import chatting

AGENTS = {
    "painter": chatting.AGENTS["painter"],
    "asking": '''
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import ask, needs_approval

async def colour() -> str:
    """Asks for the colour."""
    return await ask("Which colour?")

@needs_approval
async def remove(path: str) -> str:
    """Remove a file."""
    return f"{path} is gone"

def build(context):
    """Asks a person."""
    return AssistantAgent("asking", context.model(), tools=[colour, remove], reflect_on_tool_use=True)
''',
}


def written(folder: Path) -> Path:
    """The agents as files."""
    folder.mkdir()
    for name, text in AGENTS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def replies(request: Request) -> Reply:
    """Calls the tool that there is, then says what it answered; in one piece, so that a stream is always the same."""
    if request.asked.results:
        return Text("It rains.", chunks=("It rains.",))
    for tool in request.asked.tools:
        return ToolCalls((ToolCall(tool.name, {"city": "Paris", "day": "2026-07-14"}, id="call"),))
    if "Sort" in str(request.json["messages"][0]["content"]):
        ticket = '{"category":"fault","urgent":true,"summary":"It broke."}'
        return Text(ticket, chunks=(ticket,))
    return Text("Bees dance.", chunks=("Bees dance.",))


def asks(request: Request) -> Reply:
    """Asks for the colour, or removes the file, as the task says."""
    if request.asked.results:
        return Text(request.asked.results[-1], chunks=(request.asked.results[-1],))
    if "colour" in request.asked.text:
        return ToolCalls((ToolCall("colour", {}, id="call"),))
    return ToolCalls((ToolCall("remove", {"path": "a.txt"}, id="call"),))


async def ended(service: Service, run_id: str) -> dict[str, Any]:
    """The run's record, once it is."""
    with anyio.fail_after(10):
        if (run := service.parts.runner._live.get(run_id)) is not None:
            await run.finished
    found: dict[str, Any] = await service.get(f"/runs/{run_id}")
    return found
