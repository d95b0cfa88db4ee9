"""Runs that ask a person, for OpenAI's own client: the question is the answer, and what is said next answers it."""

from pathlib import Path
from typing import Any

import openai as sdk
import pytest

from tests.agents.folder import Folder, folder
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.wire.chatting import answers, folder_of
from tests.wire.openai_client import HELLO, chatting, chunks_of, run_id, said, streamed

__all__ = ["folder"]

ASKING = """
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.teams import RoundRobinGroupChat

def build(context):
    writer = AssistantAgent("writer", context.model(), model_client_stream=True)
    return RoundRobinGroupChat([UserProxyAgent("person"), writer], max_turns=2)
"""


@pytest.fixture
def waiting(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Settings of a service with agents that ask."""
    openai.replies = answers
    return with_openai | {"agents_dir": folder_of(tmp_path)}


async def say(client: sdk.AsyncOpenAI, way: str, text: str, model: str = "asking", **more: Any) -> str:
    """A message of session `s`, and what is answered."""
    kept: Any = {"extra_headers": {"X-Session-ID": "s", **more}}
    match way:
        case "chat":
            request: Any = {"messages": [{"role": "user", "content": text}], "model": model, **kept}
            return str((await client.chat.completions.create(**request)).choices[0].message.content)
        case "chunks":
            return said(await chunks_of(client, [{"role": "user", "content": text}], model, **kept))
        case "response":
            return str((await client.responses.create(model=model, input=text, **kept)).output_text)
        case _:
            return (await streamed(client, model=model, input=text, conversation="s"))[1].output_text


WAYS = ("chat", "chunks", "response", "events")


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_said_in_a_session_that_waits_is_the_answer(way: str, waiting: dict[str, Any]) -> None:
    """The same run goes on; what was told with the question is not told again."""
    async with chatting(waiting) as (client, service):
        assert await say(client, way, "Paint.") == "Which colour?"
        assert await say(client, way, "blue") == "It said: blue"
        runs = (await service.get("/sessions/s/runs"))["items"]
        assert await say(client, way, "Again.") == "Which colour?"
    assert [run["status"] for run in runs] == ["completed"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_question_with_a_schema(way: str, waiting: dict[str, Any]) -> None:
    """Is answered by JSON; another answer is refused, and the run waits on."""
    async with chatting(waiting) as (client, _):
        assert "Call tool 'remove'" in await say(client, way, "Remove.", "removing")
        with pytest.raises(sdk.BadRequestError, match="does not fit the schema"):
            await say(client, way, "perhaps", "removing")
        assert await say(client, way, '{"decision": "approve"}', "removing") == "It said: /a is gone"


async def test_what_is_no_answer(waiting: dict[str, Any]) -> None:
    """A message that is sent again, by its key; one to another agent; one that goes on after another response."""
    async with chatting(waiting) as (client, _):
        before = await client.responses.create(model="plain", input="Hello.")
        for _ in range(2):
            assert await say(client, "chat", "Paint.", **{"Idempotency-Key": "once"}) == "Which colour?"
        asks = await client.responses.create(model="asking", input="Paint.")
        for other in ({"conversation": "s"}, {"previous_response_id": asks.id}):
            with pytest.raises(sdk.ConflictError, match="conversation with 'asking'"):
                await client.responses.create(model="plain", input="blue", **other)  # type: ignore[call-overload]
        after = await client.responses.create(model="plain", input="And?", previous_response_id=before.id)
    assert after.output_text == "Bees dance."


async def test_an_answer_in_the_background(waiting: dict[str, Any]) -> None:
    """Nobody waits for what comes of it; it comes."""
    async with chatting(waiting) as (client, _):
        asks = await client.responses.create(model="asking", input="Paint.", background=True)
        events = [event async for event in await client.responses.retrieve(asks.id, stream=True)]
        assert events[-1].type == "response.completed"
        more: Any = {"previous_response_id": asks.id, "background": True}
        queued = await client.responses.create(model="asking", input="blue", **more)
        assert (queued.id, queued.status in ("queued", "in_progress")) == (asks.id, True)
        *_, last = [event async for event in await client.responses.retrieve(asks.id, stream=True)]
    assert last.type == "response.completed"
    assert last.response.output_text == "Which colour?It said: blue"


async def test_a_question_to_a_person(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Is the answer's text: the run waits."""
    folder.add(
        "it.py",
        """
        from autogen_agentchat.agents import UserProxyAgent
        from autogen_agentchat.teams import RoundRobinGroupChat

        def build():
            return RoundRobinGroupChat([UserProxyAgent("person")], max_turns=1)
        """,
    )
    async with chatting(with_openai) as (client, service):
        whole = await client.chat.completions.create(messages=HELLO, model="it")
        chunks = await chunks_of(client, HELLO, "it")
        run = await service.get(f"/runs/{whole.id.removeprefix('chatcmpl-')}")
    assert run["status"] == "input_required"
    assert whole.choices[0].message.content == said(chunks) == run["input_request"]["prompt"]
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_question_is_answered_by_what_follows(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """The same run goes on with it, whole and as a stream."""
    folder.add("it.py", ASKING)
    openai.replies = lambda _: Text("Thank you.")
    async with chatting(with_openai) as (client, service):
        for way in ("whole", "stream"):
            asking = await client.responses.create(model="it", input="Begin.")
            assert (asking.status, bool(asking.output_text)) == ("completed", True)
            request: Any = {"model": "it", "input": "It is red.", "previous_response_id": asking.id}
            final = (
                await client.responses.create(**request) if way == "whole" else (await streamed(client, **request))[1]
            )
            assert final.output_text.endswith("Thank you.")
            run = await service.get(f"/runs/{run_id(asking.id)}")
            assert run["status"] == "completed"
            assert "It is red." in [message["content"] for message in run["messages"]]
