"""OpenAI's chat completions, by OpenAI's own client."""

import json
from typing import Any

import openai as sdk
import pytest

from tests.agents.folder import Folder, folder
from tests.agents.test_conversation import PIXEL, REMEMBERING, add
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text, ToolCall, ToolCalls
from tests.wire.openai_client import HELLO, TALK, chatting, chunks_of, said, shown, told

__all__ = ["folder"]


async def test_an_answer(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Whole and in chunks it is the same, with the tokens it took."""
    openai.replies = lambda _: Text("Hello, you.")
    async with chatting(with_openai) as (client, service):
        whole = await client.chat.completions.create(messages=HELLO, model="assistant", temperature=0.2, max_tokens=50)
        chunks = await chunks_of(client, HELLO, "assistant", stream_options={"include_usage": True})
        plain = await chunks_of(client, HELLO, "assistant")
        run = await service.get(f"/runs/{whole.id.removeprefix('chatcmpl-')}")
    assert whole.choices[0].message.content == said(chunks) == said(plain) == "Hello, you."
    assert whole.choices[0].finish_reason == chunks[-2].choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage == chunks[-1].usage
    assert whole.usage.total_tokens == 18
    assert plain[-1].choices[0].finish_reason == "stop"
    assert {chunk.model for chunk in chunks} == {whole.model} == {"assistant"}
    assert (run["status"], run["output"]) == ("completed", "Hello, you.")


async def test_the_messages_are_the_conversation(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """All of it reaches the model as it was sent, after the agent's own instructions; nothing is remembered."""
    async with chatting(with_openai) as (client, _):
        await client.chat.completions.create(messages=TALK, model="assistant")
        instructions, *rest = told(openai)
        assert instructions[0] == "system"
        assert rest == [(message["role"], message["content"]) for message in TALK]
        await client.chat.completions.create(messages=HELLO, model="assistant")
        assert told(openai)[1:] == [("user", "Say hello.")]


async def test_a_stored_session(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """With its id only the user's last message is taken: the rest is known."""
    session = {"X-Session-ID": "s-1"}
    openai.replies = lambda _: Text("Noted.")
    async with chatting(with_openai) as (client, service):
        await client.chat.completions.create(messages=HELLO, model="assistant", extra_headers=session)
        await client.chat.completions.create(messages=TALK, model="assistant", extra_headers=session)
        assert told(openai)[1:] == [("user", "Say hello."), ("assistant", "Noted."), ("user", "Who am I?")]
        messages = (await service.get("/sessions/s-1/messages"))["items"]
    assert [message["content"] for message in messages] == ["Say hello.", "Noted.", "Who am I?", "Noted."]


@pytest.mark.parametrize("kind", [*REMEMBERING, "own"])
async def test_every_kind_of_agent_knows_the_conversation(
    kind: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """What was said before is the past to it: no part of the answer, and no reason to end."""
    add(folder, REMEMBERING.get(kind, 'Counter("ann")'))
    openai.replies = lambda request: Text('{"right": true}' if "response_format" in request.json else "Ahoy.")
    async with chatting(with_openai) as (client, service):
        answer = await client.chat.completions.create(messages=TALK, model="it")
        streamed = await chunks_of(client, TALK, "it")
        run = await service.get(f"/runs/{answer.id.removeprefix('chatcmpl-')}")
        again = await service.run("it", "And now?", session_id=run["session_id"])
    assert answer.choices[0].message.content
    assert "Zoe" not in answer.choices[0].message.content + said(streamed)
    assert [message["content"] for message in run["messages"] if message["source"] == "user"] == ["Who am I?"]
    assert again["status"] == "completed"
    if kind != "own" and "society" not in kind:  # which tells its last agent alone
        assert all(
            "My name is Zoe." in str(request.json["messages"]) and "pirate" in str(request.json["messages"])
            for request in openai.requests
        )


async def test_a_word_of_the_past_ends_no_team(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A team that stops at a word, and said it in its last answer, answers the next question all the same."""
    folder.add(
        "it.py",
        """
        from autogen_agentchat.agents import AssistantAgent
        from autogen_agentchat.conditions import TextMentionTermination
        from autogen_agentchat.teams import RoundRobinGroupChat

        def build(context):
            writer = AssistantAgent("writer", context.model(), model_client_stream=True)
            return RoundRobinGroupChat([writer], termination_condition=TextMentionTermination("DONE"))
        """,
    )
    openai.replies = lambda _: Text("Again. DONE")
    talk: Any = [HELLO[0], {"role": "assistant", "content": "Hello. DONE"}, {"role": "user", "content": "Again!"}]
    async with chatting(with_openai) as (client, _):
        answer = await client.chat.completions.create(messages=talk, model="it")
    assert answer.choices[0].message.content == "Again. DONE"


async def test_tools_are_called_here(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The client sees the answer, and by the extension what was done; it is asked to call nothing."""
    calls = ToolCalls((ToolCall("weather", {"city": "Paris"}),))
    openai.replies = lambda request: Text("Sunny.") if request.asked.results else calls
    tools: Any = [{"type": "function", "function": {"name": "mine", "parameters": {"type": "object"}}}]
    async with chatting(with_openai) as (client, _):
        chunks = await chunks_of(client, HELLO, "weather", tools=tools)
        whole = await client.chat.completions.create(messages=HELLO, model="weather", tools=tools)
    assert said(chunks) == whole.choices[0].message.content == "Sunny."
    assert whole.choices[0].message.tool_calls is None
    assert whole.choices[0].finish_reason == "stop"
    assert shown(chunks) == ["tool_call", "tool_result"]


async def test_thoughts(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Are where DeepSeek's and vLLM's clients look for them."""
    openai.replies = lambda _: Text("Four.", thought="Two and two.")
    async with chatting(with_openai) as (client, _):
        chunks = await chunks_of(client, HELLO, "assistant")
        whole = await client.chat.completions.create(messages=HELLO, model="assistant")
    thoughts = [(chunk.choices[0].delta.model_extra or {}).get("reasoning_content", "") for chunk in chunks]
    assert "".join(thoughts) == (whole.choices[0].message.model_extra or {})["reasoning_content"] == "Two and two."
    assert said(chunks) == whole.choices[0].message.content == "Four."


async def test_a_team(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Each message is a paragraph."""
    add(folder, 'team(agent("ann"), agent("bob"))')
    async with chatting(with_openai) as (client, _):
        openai.replies = [Text("I am Ann."), Text("I am Bob.")]
        chunks = await chunks_of(client, HELLO, "it")
        openai.replies = [Text("I am Ann."), Text("I am Bob.")]
        whole = await client.chat.completions.create(messages=HELLO, model="it")
    assert said(chunks) == whole.choices[0].message.content == "I am Ann.\n\nI am Bob."


async def test_images(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Of the question, and of those before it."""
    parts: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    talk: Any = [{"role": "user", "content": parts}, {"role": "assistant", "content": "Red."}]
    async with chatting(with_openai) as (client, _):
        await client.chat.completions.create(messages=[*talk, {"role": "user", "content": parts}], model="assistant")
        assert str(told(openai)).count("data:image/png;base64,") == 2
        broken: Any = [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
        ]
        with pytest.raises(sdk.BadRequestError) as refused:
            await client.chat.completions.create(messages=broken, model="assistant")
    assert refused.value.code == "invalid_input"


async def test_models(folder: Folder, with_openai: dict[str, Any]) -> None:
    """Those that can be talked to."""
    folder.add("broken.py", "nonsense")
    async with chatting(with_openai) as (client, _):
        names = [model.id async for model in await client.models.list()]
        assert "assistant" in names
        assert "broken" not in names
        assert (await client.models.retrieve("assistant")).owned_by == "waggle"
        with pytest.raises(sdk.NotFoundError):
            await client.models.retrieve("nobody")


async def test_whose_it_is(with_openai: dict[str, Any]) -> None:
    """`user` and `metadata` are the run's."""
    async with chatting(with_openai) as (client, service):
        answer = await client.chat.completions.create(
            messages=HELLO, model="assistant", user="alice", metadata={"plan": "pro"}
        )
        path = f"/runs/{answer.id.removeprefix('chatcmpl-')}"
        run = await service.get(path, user="alice")
        await service.get(path, status=404)
    assert (run["user_id"], run["metadata"]) == ("alice", {"plan": "pro"})


async def test_structured_output(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Is its JSON."""
    add(folder, 'agent("ann", output_content_type=Verdict)')
    openai.replies = lambda _: Text('{"right": true}')
    async with chatting(with_openai) as (client, _):
        whole = await client.chat.completions.create(messages=HELLO, model="it")
        chunks = await chunks_of(client, HELLO, "it")
    assert json.loads(whole.choices[0].message.content or "") == json.loads(said(chunks)) == {"right": True}
