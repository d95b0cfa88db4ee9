"""OpenAI's chat completions, by OpenAI's own client."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai as sdk
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.agents.folder import Folder, folder, until
from tests.agents.test_conversation import PIXEL, REMEMBERING, add
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError, Text, ToolCall, ToolCalls
from tests.service import Service, serving

__all__ = ["folder"]

HELLO: Any = [{"role": "user", "content": "Say hello."}]
TALK: Any = [
    {"role": "system", "content": "Speak like a pirate."},
    {"role": "user", "content": "My name is Zoe."},
    {"role": "assistant", "content": "Aye, Zoe!"},
    {"role": "user", "content": "Who am I?"},
]


@asynccontextmanager
async def chatting(settings: dict[str, Any], key: str = "none") -> AsyncIterator[tuple[sdk.AsyncOpenAI, Service]]:
    async with (
        serving(**settings) as service,
        sdk.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as client,
    ):
        yield client, service


async def chunks_of(client: sdk.AsyncOpenAI, messages: Any, model: str, **more: Any) -> list[ChatCompletionChunk]:
    async with await client.chat.completions.create(messages=messages, model=model, stream=True, **more) as stream:
        return [chunk async for chunk in stream]


def said(chunks: Sequence[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def shown(chunks: Sequence[ChatCompletionChunk]) -> list[Any]:
    """What the extension tells of what the agents did."""
    return [chunk.model_extra["waggle"]["message"]["type"] for chunk in chunks if chunk.model_extra]


def told(openai: OpenAIWire) -> list[tuple[str, Any]]:
    """The messages of the last call of the model."""
    return [(message["role"], message["content"]) for message in openai.requests[-1].json["messages"]]


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


REFUSED: dict[str, dict[str, Any]] = {
    "n": {"n": 2},
    "tool_choice": {"tool_choice": "required"},
    "response_format": {"response_format": {"type": "json_object"}},
    "modalities": {"modalities": ["audio"]},
    "messages": {"messages": [{"role": "assistant", "content": "Hm."}]},
    "messages.0.user.content": {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
    "user": {"user": "with space"},
}


@pytest.mark.parametrize("field", REFUSED)
async def test_what_cannot_be_heeded(field: str, with_openai: dict[str, Any]) -> None:
    """Is refused, by name, in OpenAI's words."""
    request: Any = {"messages": HELLO, "model": "assistant", **REFUSED[field]}
    async with chatting(with_openai) as (client, _):
        with pytest.raises(sdk.BadRequestError) as refused:
            await client.chat.completions.create(**request)
    assert (refused.value.type, refused.value.code) == ("invalid_request_error", "invalid_input")
    assert (refused.value.param or "").startswith(field)


async def test_other_refusals(with_openai: dict[str, Any]) -> None:
    """Whoever refuses, the client raises what OpenAI's own refusals make it raise."""
    with_openai["api_keys"] = "acme:sk-acme-0123456789abcdef"
    async with chatting(with_openai, key="sk-wrong") as (client, service):
        with pytest.raises(sdk.AuthenticationError) as refused:
            await client.models.list()
        assert refused.value.type == "authentication_error"
        known = client.with_options(api_key="sk-acme-0123456789abcdef")
        with pytest.raises(sdk.NotFoundError):
            await known.chat.completions.create(messages=HELLO, model="nobody")
        with pytest.raises(sdk.APIStatusError) as large:
            await known.chat.completions.create(
                messages=[{"role": "user", "content": "x" * (5 * 2**20)}], model="assistant"
            )
        assert large.value.status_code == 413
        auth = {"Authorization": "Bearer sk-acme-0123456789abcdef"}
        text = await service.client.post("/v1/chat/completions", content="{", headers=auth)
        assert (text.status_code, text.json()["error"]["code"]) == (415, "unsupported_media_type")
        headers = auth | {"Content-Type": "application/json"}
        broken = await service.client.post("/v1/chat/completions", content="{", headers=headers)
        assert (broken.status_code, broken.json()["error"]["code"]) == (400, "bad_request")
        assert (await service.client.get("/v1/nothing", headers=auth)).json()["error"]["type"] == "not_found_error"
        assert (await service.client.get("/agents/nobody", headers=auth)).json()["type"].startswith("urn:")


async def test_a_run_that_fails(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Is told once, and not tried again, though the client would: tools may have been called."""
    openai.replies = lambda _: HttpError(401)
    async with chatting(with_openai) as (client, service):
        eager = client.with_options(max_retries=3)
        with pytest.raises(sdk.InternalServerError) as failed:
            await eager.chat.completions.create(messages=HELLO, model="assistant")
        assert (failed.value.status_code, failed.value.code) == (502, "provider_failed")
        run_id = failed.value.body["run_id"]  # type: ignore[index]
        assert (await service.get(f"/runs/{run_id}"))["status"] == "failed"
        with pytest.raises(sdk.APIError, match="provider") as broken:
            await chunks_of(eager, HELLO, "assistant")
        assert broken.value.code == "provider_failed"
        assert len(openai.requests) == 2


async def test_a_client_that_leaves(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Leaves no model call behind."""
    openai.replies = lambda _: Drip()
    with_openai["disconnect_grace_s"] = 0
    async with chatting(with_openai) as (client, service):
        async with await client.chat.completions.create(messages=HELLO, model="assistant", stream=True) as stream:
            first = await anext(aiter(stream))
            await until(lambda: openai.open_streams == 1)
        await until(lambda: openai.abandoned == 1)
        waiting = asyncio.create_task(client.chat.completions.create(messages=HELLO, model="assistant"))
        await until(lambda: openai.open_requests == 1)
        waiting.cancel()
        await until(lambda: openai.abandoned == 2)
        run_id = first.id.removeprefix("chatcmpl-")
        await until(lambda: service.parts.runner.attempts() == {})
        assert (await service.get(f"/runs/{run_id}"))["status"] == "cancelled"


async def test_a_run_that_is_cancelled(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """By somebody else: the stream says so."""
    openai.replies = lambda _: Drip()
    async with (
        chatting(with_openai) as (client, service),
        await client.chat.completions.create(messages=HELLO, model="assistant", stream=True) as stream,
    ):
        chunks = aiter(stream)
        run_id = (await anext(chunks)).id.removeprefix("chatcmpl-")
        await service.client.post(f"/runs/{run_id}/cancel")
        with pytest.raises(sdk.APIError, match="ancelled"):
            async for _ in chunks:
                pass


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
