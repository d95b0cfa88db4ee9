"""Agents with tools of an MCP server: a real one, over stdio."""

import gc
import os
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import autogen_ext.models.openai  # noqa: F401 a second's work, done before any deadline begins
import pytest
from autogen_ext.tools.mcp import McpSessionActor

from app.agents import registry
from tests.agents.folder import reasons
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

SERVER = Path(__file__).with_name("mcp_server.py")
AGENT = dedent("""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.teams import RoundRobinGroupChat
    from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

    async def build(context):
        server = StdioServerParams(command={python!r}, args={arguments!r}, read_timeout_seconds=60)
        agent = AssistantAgent(
            "agent", model_client=context.model(), model_client_stream=True, workbench={workbench},
            reflect_on_tool_use=True,
        )
        return {made}
""")


class Servers:
    """The servers that an agents' folder starts, known by their process ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._note = folder.parent / "pids"

    def add(self, name: str, *arguments: str, made: str = "agent", workbench: str = "McpWorkbench(server)") -> None:
        command = [str(SERVER), str(self._note), *arguments]
        agent = AGENT.format(python=sys.executable, arguments=command, made=made, workbench=workbench)
        (self.folder / f"{name}.py").write_text(agent, encoding="utf-8")

    @property
    def pids(self) -> list[int]:
        """All that were ever started."""
        return [int(line) for line in self._note.read_text(encoding="utf-8").split()] if self._note.exists() else []

    @property
    def alive(self) -> list[int]:
        return [pid for pid in self.pids if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def servers(tmp_path: Path, with_openai: dict[str, object]) -> Servers:
    folder = tmp_path / "agents"
    folder.mkdir()
    with_openai["agents_dir"] = folder
    return Servers(folder)


def calling(tool: str, **arguments: Any) -> Any:
    def replies(request: Request) -> Reply:
        if request.asked.results:
            return Text(f"It said: {request.asked.results[-1]}")
        return ToolCalls((ToolCall(tool, arguments),))

    return replies


@pytest.mark.parametrize(
    "workbench", ["McpWorkbench(server)", "await context.enter(McpWorkbench(server))"], ids=["handed over", "entered"]
)
async def test_a_tool_of_an_mcp_server(
    workbench: str, openai: OpenAIWire, with_openai: dict[str, Any], servers: Servers
) -> None:
    """It is listed with its schema, called in a run, and each server is gone after what it was started for."""
    servers.add("helper", workbench=workbench)
    async with serving(**with_openai) as service:
        assert servers.alive == []
        assert len(servers.pids) == 1, "the try-out starts one"
        card = await service.get("/agents/helper")
        assert [tool["name"] for tool in card["tools"]] == ["whoami", "fail", "hang"]
        assert card["tools"][0]["description"] == "The number of the server's process."
        assert list(card["tools"][1]["parameters"]["properties"]) == ["secret"]
        openai.replies = calling("whoami")
        first = await service.run("helper", "Who are you?", session_id="s")
        second = await service.run("helper", "And now?", session_id="s")
        assert servers.alive == []
        assert len(servers.pids) == 3
        told = [message["content"] for run in (first, second) for message in run["messages"][2:3]]
        assert told == [str(pid) for pid in servers.pids[1:]]
        assert second["output"] == f"It said: {servers.pids[2]}"
        gc.collect()  # AutoGen has each session closed when the process ends: none is kept until then
        assert not [thing for thing in gc.get_objects() if isinstance(thing, McpSessionActor)]


async def test_a_tool_that_fails(openai: OpenAIWire, with_openai: dict[str, Any], servers: Servers) -> None:
    """The model is told, and the run goes on."""
    servers.add("helper")
    openai.replies = calling("fail", secret="it")
    async with serving(**with_openai) as service:
        run = await service.run("helper", "Fail.")
    assert run["status"] == "completed"
    (result,) = [message for message in run["messages"] if message["type"] == "tool_result"]
    assert result["is_error"] is True
    assert "cannot do that with it" in result["content"]
    assert run["output"] == f"It said: {result['content']}"


@pytest.mark.parametrize("made", ["agent", "RoundRobinGroupChat([agent], max_turns=1)"], ids=["agent", "team"])
async def test_a_run_cancelled_in_a_tool(
    openai: OpenAIWire, with_openai: dict[str, Any], servers: Servers, tmp_path: Path, made: str
) -> None:
    """A tool that hangs keeps neither its run nor its server."""
    servers.add("helper", made=made)
    called = tmp_path / "called"
    openai.replies = calling("hang", marker=str(called))
    async with serving(**with_openai) as service:
        async with service.streaming("helper", "Hang.") as events:
            started = await anext(events)
            await until(called.exists)
            response = await service.client.post(f"/runs/{started.data['run_id']}/cancel")
            assert response.json()["status"] == "cancelled"
        await until(lambda: not servers.alive)


async def test_a_server_that_is_silent(
    with_openai: dict[str, Any], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent is invalid, the others are served, and the server is ended."""
    monkeypatch.setattr(registry, "BUILD_TIMEOUT_S", 4)
    monkeypatch.setattr("app.agents.adoption.CLOSE_TIMEOUT_S", 0.2)
    servers.add("helper", "silent")
    async with serving(**with_openai) as service:
        assert (await reasons(service))["helper"] == "it took too long to build"
        assert (await service.run("assistant", "hi"))["status"] == "completed"
        assert len(servers.pids) == 1
        await until(lambda: not servers.alive)


async def test_a_server_that_is_not_there(with_openai: dict[str, Any], servers: Servers, tmp_path: Path) -> None:
    """The agent is invalid, and nobody is told the command."""
    servers.add("helper")
    file = servers.folder / "helper.py"
    file.write_text(file.read_text(encoding="utf-8").replace(sys.executable, str(tmp_path / "no-such-program")))
    async with serving(**with_openai) as service:
        reason = (await reasons(service))["helper"]
        assert "no-such-program" not in reason
        assert (await service.run("assistant", "hi"))["status"] == "completed"


async def until(condition: Any) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.01)


def test_the_pid_of_this_process_is_alive(tmp_path: Path) -> None:
    """The tests above would see a server that is left over."""
    servers = Servers(tmp_path / "agents")
    (tmp_path / "pids").write_text(f"{os.getpid()}\n", encoding="utf-8")
    assert servers.alive == [os.getpid()]
