"""MCP, as the inspector's command line speaks it: a client of another language, that shows what it is answered."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Drip, HttpError
from tests.service import Service, serving
from tests.wire.callees import ended, replies, written

INSPECTOR = Path(__file__).parent / "inspector" / "node_modules" / ".bin" / "mcp-inspector"
pytestmark = pytest.mark.skipif(not INSPECTOR.exists(), reason="the inspector is not installed: make test does it")


def command(service: Service, *arguments: str) -> list[str]:
    return [str(INSPECTOR), "--cli", f"{service.url}/mcp", "--transport", "http", "--method", *arguments]


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


async def inspected(service: Service, *arguments: str) -> Any:
    """What it prints."""
    done = await anyio.run_process(
        command(service, *arguments), check=False, env=environment(), stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call(agent: str, *arguments: str) -> list[str]:
    given = [word for argument in arguments for word in ("--tool-arg", argument)]
    return ["tools/call", "--tool-name", agent, *given]


async def test_agents_are_listed_and_called(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """A text, a tool, a team, structured output, a picture."""
    openai.replies = replies
    async with serving(**with_openai, agents_dir=written(tmp_path / "agents")) as service:
        tools = await inspected(service, "tools/list")
        names = [tool["name"] for tool in tools["tools"]]
        assert names == ["asking", "assistant", "painter", "research", "support", "ticket", "weather"]
        text, tool, team, ticket, painted = [
            await inspected(service, *call(agent, "task=Hello."))
            for agent in ("assistant", "weather", "research", "ticket", "painter")
        ]
    assert [each["content"][-1]["text"] for each in (text, tool, team)] == ["Bees dance.", "It rains.", "Bees dance."]
    assert ticket["structuredContent"] == {"category": "fault", "urgent": True, "summary": "It broke."}
    words, image = painted["content"]
    assert (words["text"], f"data:{image['mimeType']};base64,{image['data']}") == ("A dot.", data_uri(picture()))


async def test_two_turns(openai: OpenAIWire, service: Service) -> None:
    """By the conversation's name."""
    openai.replies = replies
    for task in ("First.", "Second."):
        await inspected(service, *call("assistant", f"task={task}", "session_id=ours"))
    told = [message["content"] for message in openai.requests[-1].json["messages"][1:]]
    assert told == ["First.", "Bees dance.", "Second."]


async def test_a_run_that_fails(openai: OpenAIWire, service: Service) -> None:
    """Is a result that says so."""
    openai.replies = lambda _: HttpError(401)
    failed = await inspected(service, *call("assistant", "task=Hello."))
    assert failed["isError"] is True
    assert failed["content"][0]["text"] == "The model provider refused the service's credentials."


async def test_a_client_that_is_ended(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Leaves no run behind."""
    openai.replies = lambda _: Drip()
    async with serving(**with_openai, disconnect_grace_s=0.05) as service:
        async with await anyio.open_process(
            command(service, *call("assistant", "task=Hello.")),
            env=environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            await openai.until_streaming(1)
            (run_id,) = service.parts.runner._live
            os.killpg(process.pid, signal.SIGKILL)
        await openai.until_abandoned(1)
        assert (await ended(service, run_id))["status"] == "cancelled"
