"""MODEL=replay: a model that follows a script."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, Team
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import RequestUsage, UserMessage

from app.agents.models import Models
from app.agents.spec import AgentContext
from app.errors import ModelUnavailable
from tests.agents.providers.cases import Given, ask, each_way

QUESTION = [UserMessage(content="Hello?", source="user")]


def played(folder: Path, script: Any) -> Models:
    """The models of a service whose MODEL is this script."""
    file = folder / "script.json"
    file.write_text(script if isinstance(script, str) else json.dumps(script))
    return Models(Given(model=f"replay:{file}"))


@each_way
async def test_every_form(tmp_path: Path, stream: bool) -> None:
    """Strings, texts with tokens and calls of tools, each in its turn; what is streamed is the very text."""
    call = {"id": "c1", "name": "weather", "arguments": {"city": "Paris"}}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    script = [
        " Two  words,\n\tand more. ",
        {"text": "Counted.", "usage": usage},
        {"tool_calls": [call, {"name": "weather", "arguments": "{}"}]},
        "",
    ]
    client = played(tmp_path, script).client()
    plain, pieces = await ask(client, stream, QUESTION)
    counted, _ = await ask(client, stream, QUESTION)
    calls, _ = await ask(client, stream, QUESTION)
    nothing, _ = await ask(client, stream, QUESTION)
    assert plain.content == script[0]
    assert "".join(pieces) == (script[0] if stream else "")
    assert len(pieces) == (5 if stream else 0)
    assert (counted.content, counted.usage) == ("Counted.", RequestUsage(**usage))
    assert calls.content == [
        FunctionCall(id="c1", name="weather", arguments='{"city": "Paris"}'),
        FunctionCall(id=calls.content[1].id, name="weather", arguments="{}"),  # type: ignore[union-attr]
    ]
    assert nothing.content == ""


async def test_each_run_begins_anew(tmp_path: Path) -> None:
    """The script begins when the client is asked for, which is when a run's agent is built, whoever plays beside."""
    models = played(tmp_path, ["First.", "Second."])
    for agent in [AssistantAgent("agent", models.client()) for _ in range(3)]:
        first = await agent.run(task="Hello?")
        second = await agent.run(task="Hello again?")
        assert [run.messages[-1].to_text() for run in (first, second)] == ["First.", "Second."]


async def test_a_team_plays_one_script(tmp_path: Path) -> None:
    """Its agents, built before they run, take turns in it."""
    context = AgentContext(played(tmp_path, ["One.", "Two.", "Three."]).client, AsyncExitStack())
    agents: list[ChatAgent | Team] = [AssistantAgent(name, context.model()) for name in ("a", "b")]
    result = await RoundRobinGroupChat(agents, max_turns=3).run(task="Count.")
    assert [message.to_text() for message in result.messages[1:]] == ["One.", "Two.", "Three."]


async def test_the_script_ends(tmp_path: Path) -> None:
    """A run that asks for more fails."""
    client = played(tmp_path, ["Only this."]).client()
    await client.create(QUESTION)
    with pytest.raises(ValueError, match="No more"):
        await client.create(QUESTION)


@pytest.mark.parametrize(
    "script",
    ["not json", "{}", [1], [{"txet": "?"}], [{"tool_calls": []}], [{"text": "?", "tool_calls": [{"name": "f"}]}]],
    ids=str,
)
def test_what_is_no_script(tmp_path: Path, script: Any) -> None:
    """The sentence says what one is."""
    with pytest.raises(ModelUnavailable, match=r"a JSON list of strings, \{\"text\""):
        played(tmp_path, script).client()


def test_a_missing_script() -> None:
    """The sentence does not tell callers what the server's folders are called."""
    with pytest.raises(ModelUnavailable, match="cannot be read") as raised:
        Models(Given(model="replay:/srv/secret/script.json")).client()
    assert "/srv" not in raised.value.detail
