"""A tool that holds the event loop is named in the log while it does so, and the service survives it."""

import re
from pathlib import Path

import anyio
import pytest

from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Request, Text, ToolCall, ToolCalls

SLOW = '''
import time
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat

def count_bees(until):
    while time.monotonic() < until:
        time.sleep(0.01)

async def {tool}(secret: str) -> str:
    """Hold the event loop."""
    count_bees(time.monotonic() + 1.6)
    return "done"

def build(context):
    agent = AssistantAgent("slow", context.model(), tools=[{tool}], reflect_on_tool_use=True)
    return {made}
'''


@pytest.mark.parametrize("made", ["agent", "RoundRobinGroupChat([agent], max_turns=1)"], ids=["agent", "team"])
async def test_who_blocks_the_loop_is_named(openai: OpenAIWire, tmp_path: Path, made: str) -> None:
    """Once a blockage: the run, and the tool's file, line and function; afterwards how long it took. No value."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "slow.py").write_text(SLOW.format(tool="hold_the_loop", made=made))

    def replies(request: Request) -> Text | ToolCalls:
        calls = ToolCalls((ToolCall("hold_the_loop", {"secret": "honey"}),))
        return Text("There.") if request.asked.results else calls

    openai.replies = replies
    variables = {"OPENAI_API_KEY": "sk-test", "MODEL": "openai:gpt-4o-mini", "MODEL_BASE_URL": f"{openai.url}/v1"}
    async with started(tmp_path, variables) as service, service.client() as client:
        run = (await client.post("/agents/slow/run", json={"task": "hi"})).json()
        assert (run["status"], run["output"]) == ("completed", "There.")
        with anyio.fail_after(10):
            while "waggle_event_loop_blocked_total 1.0" not in (metrics := (await client.get("/metrics")).text):
                await anyio.sleep(0.05)
        assert re.search(r"waggle_event_loop_blocked_longest_seconds [1-9]", metrics)
        assert await service.end() == 0
    during, after = (line for line in service.output.splitlines() if "event loop" in line)
    file = re.escape(str(tmp_path / "agents" / "slow.py"))
    assert re.search(rf"is blocked, in {file}:[78] in count_bees, {file}:12 in hold_the_loop", during)
    assert re.search(r"was blocked for \d+\.\d s", after)
    assert all(f"run_id={run['run_id']}" in line for line in (during, after))
    assert "honey" not in service.output
