"""`waggle run` on a terminal: colour, Ctrl-C, questions."""

import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.cli.command import asks, replaying, terminal, waggle
from tests.process import ROOT, started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Reply, Request, Text, ToolCall, ToolCalls

CALL = {"tool_calls": [{"name": "weather", "arguments": {"city": "Lisbon", "day": "tomorrow" + "!" * 200}}]}
SLEEPER = """\
import time
from autogen_agentchat.agents import AssistantAgent

def sleep() -> str:
    print("ASLEEP", flush=True)
    time.sleep(1000)
    return ""

def build(context):
    return AssistantAgent("sleeper", model_client=context.model(), tools=[sleep])
"""


def refunding(request: Request) -> Reply:
    if request.asked.results:
        return Text("Done.")
    return ToolCalls((ToolCall("refund", {"order": "A1", "euros": 5}),))


async def test_it_is_coloured_and_folded(tmp_path: Path) -> None:
    """A tool's call takes one line of the terminal, however long its arguments are."""
    async with terminal(tmp_path, replaying(tmp_path, CALL, "It rains."), "run", "weather", "Rain?") as shown:
        assert await shown.ended() == 0, shown.output
    [call] = [line for line in shown.output.splitlines() if "→ weather" in line]
    assert "\x1b[36m→ weather(" in call
    assert "…" in call
    assert "It rains.\r\n" in shown.output
    assert "\x1b[32m✓ completed" in shown.output


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
async def test_colour_can_be_declined(variables: dict[str, str], tmp_path: Path) -> None:
    """As https://no-color.org has it."""
    async with terminal(tmp_path, replaying(tmp_path, "It rains.") | variables, "run", "assistant", "Rain?") as shown:
        assert await shown.ended() == 0, shown.output
    assert "✓ completed" in shown.output
    assert not re.search(r"\x1b\[[\d;]*m", shown.output)


async def test_ctrl_c_cancels_the_run(openai: OpenAIWire, tmp_path: Path) -> None:
    """Its model call stops, what was said is kept as cancelled, and the exit status is a shell's."""
    openai.replies = lambda _: Drip()
    async with terminal(tmp_path, asks(openai), "run", "assistant", "Hi", "-s", "s") as shown:
        await shown.until("tick tick")
        shown.type("\x03")
        with anyio.fail_after(30):
            assert await shown.ended() == 130, shown.output
    assert "■ cancelled" in shown.output
    assert "Traceback" not in shown.output
    assert openai.abandoned == 1


async def test_ctrl_c_cancels_a_servers_run_too(openai: OpenAIWire, tmp_path: Path) -> None:
    """And waits until it has stopped."""
    openai.replies = lambda _: Drip()
    async with started(tmp_path, asks(openai)) as service, service.client() as client:
        words = ("run", "assistant", "Hi", "-s", "s", "--url", service.url)
        async with terminal(tmp_path, {}, *words) as shown:
            await shown.until("tick tick")
            shown.type("\x03")
            with anyio.fail_after(30):
                assert await shown.ended() == 130, shown.output
        [run] = await runs_of(client, "s")
        assert run["status"] == "cancelled"
    assert "■ cancelled" in shown.output


async def test_ctrl_c_waits_for_no_thread(tmp_path: Path) -> None:
    """A tool that blocks for ever is left behind."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "sleeper.py").write_text(SLEEPER)
    script = replaying(tmp_path, {"tool_calls": [{"name": "sleep", "arguments": {}}]})
    async with terminal(tmp_path, {**script, "CANCEL_TIMEOUT_S": "0.1"}, "run", "sleeper", "Hi") as shown:
        await shown.until("ASLEEP")
        shown.type("\x03")
        with anyio.fail_after(40):
            assert await shown.ended() == 130, shown.output


@pytest.mark.parametrize(
    ("typed", "answered"),
    [
        pytest.param("y\n", "5.00 euros were paid back for order A1.", id="allowed"),
        pytest.param("what?\nn too much\n", "too much", id="denied, at the second attempt"),
        pytest.param('{"decision": "maybe"}\n{"decision": "approve", "arguments": {"order": "B", "euros": 1}}\n',
                     "1.00 euros were paid back for order B.", id="with other arguments"),
    ],
)  # fmt: skip
async def test_a_question_is_put_to_the_person(typed: str, answered: str, openai: OpenAIWire, tmp_path: Path) -> None:
    """The run goes on with the answer; one that does not fit is asked for again."""
    openai.replies = refunding
    variables = asks(openai) | {"AGENTS_DIR": str(ROOT / "examples/agents")}
    async with terminal(tmp_path, variables, "run", "refunds", "Pay me back.") as shown:
        for line in typed.splitlines(keepends=True):
            asked = shown.output.count("Ctrl-D leaves")
            while shown.output.count("Ctrl-D leaves") == asked:
                await shown.more()
            shown.type(line)
        assert await shown.ended() == 0, shown.output
    assert answered in shown.output
    assert "Done." in shown.output


async def test_a_question_that_nobody_answers_stays(openai: OpenAIWire, tmp_path: Path) -> None:
    """With Ctrl-D, or where there is no terminal, it waits in the database; the exit status says so."""
    openai.replies = refunding
    variables = asks(openai) | {"AGENTS_DIR": str(ROOT / "examples/agents")}
    async with terminal(tmp_path, variables, "run", "refunds", "Pay me back.") as shown:
        await shown.until("Ctrl-D leaves")
        shown.type("\x04")
        assert await shown.ended() == 3, shown.output
    said = await waggle(tmp_path, variables, "run", "refunds", "Pay me back.", "-s", "s")
    assert said.status == 3
    assert "It waits for an answer: POST /runs/" in said.err
    async with started(tmp_path / "data", variables) as service, service.client() as client:
        [run] = await runs_of(client, "s")
        assert run["status"] == "input_required"


async def runs_of(client: httpx.AsyncClient, session: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(f"/sessions/{session}/runs")).json()["items"]
    return items
