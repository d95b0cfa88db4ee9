"""Models that think before they answer, streamed over each wire that tells their thoughts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.agents.folder import Folder, folder
from tests.servers.anthropic_wire import AnthropicWire
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Reply, Request, Text, ToolCall, ToolCalls
from tests.servers.wire import Wire
from tests.service import Event, Service, flat, serving

__all__ = ["folder"]

AGENT = """
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.anthropic import AnthropicChatCompletionClient
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    INFO = dict(vision=False, function_calling=True, json_output=True, structured_output=False, family="unknown")
    OPTIONS = dict(thinking={"type": "enabled", "budget_tokens": 2000}, max_tokens=4000, model_info=INFO)

    async def add(a: int, b: int) -> int:
        '''Add two numbers.'''
        return a + b

    def build(context):
        return AssistantAgent(
            "agent", {client}, model_client_stream=True, tools=[add], reflect_on_tool_use=True,
        )
"""
CLIENTS = {
    "anthropic, own": (
        AnthropicWire,
        'AnthropicChatCompletionClient(model="claude-haiku-4-5", api_key="sk-own", base_url=$url, **OPTIONS)',
    ),
    "anthropic, the service's": (AnthropicWire, 'context.model("anthropic:claude-haiku-4-5")'),
    "openai, own": (
        OpenAIWire,
        'OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="sk-own", base_url=$url + "/v1")',
    ),
    "openai, the service's": (OpenAIWire, "context.model()"),
}
THOUGHT = "think: 2 and 3 <b>is</b> 5, I think"
each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture
async def wire(client: str) -> AsyncIterator[Wire]:
    """The client's provider."""
    async with CLIENTS[client][0]() as wire:
        yield wire


@asynccontextmanager
async def thinking(client: str, wire: Wire, folder: Folder, **settings: Any) -> AsyncIterator[Service]:
    """A service with an agent of that client."""
    folder.add("thinker.py", AGENT.replace("{client}", CLIENTS[client][1]), url=wire.url)
    model = {"model": "openai:gpt-4o-mini", "model_base_url": f"{wire.url}/v1", "openai_api_key": "sk-test"}
    if isinstance(wire, AnthropicWire):
        model = {"model": "anthropic:claude-haiku-4-5", "model_base_url": wire.url, "anthropic_api_key": "sk-test"}
    async with serving(**model, **settings, data_dir=folder.path.parent, agents_dir=folder.path) as service:
        yield service


@pytest.fixture
async def thinker(client: str, wire: Wire, folder: Folder) -> AsyncIterator[Service]:
    async with thinking(client, wire, folder) as service:
        yield service


def said(events: list[Event]) -> list[tuple[str, Any]]:
    """The messages, once it is seen that each one's deltas add up to it."""
    told = [event.data["message"] for event in events if event.type == "message"]
    for message in told:
        kind = {"text": "text.delta", "thought": "thought.delta"}.get(message["type"])
        deltas = [event for event in events if event.data.get("message_id") == message["id"]]
        if deltas:
            assert "".join(event.data["delta"] for event in deltas) == message["content"]
            assert kind in ("text.delta", "thought.delta")
    ids = {message["id"] for message in told}
    assert {event.data["message_id"] for event in events if event.type.endswith("delta")} <= ids
    return [(message["type"], message.get("content")) for message in told]


@each_client
async def test_a_thought_before_an_answer(wire: Wire, thinker: Service) -> None:
    """Thought and answer are streamed apart, and what spans show of the answer is the answer."""
    wire.replies = [Text("It is 5.", thought=THOUGHT)]
    events = await thinker.stream("thinker", "2 and 3?")
    assert said(events) == [("text", "2 and 3?"), ("thought", THOUGHT), ("text", "It is 5.")]
    assert "".join(event.data["delta"] for event in events if event.type == "thought.delta") == THOUGHT
    assert "".join(event.data["delta"] for event in events if event.type == "text.delta") == "It is 5."
    run = await thinker.get(f"/runs/{events[0].data['run_id']}")
    assert run["output"] == "It is 5."
    assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (11, 7)
    (chat,) = [span for span in flat(await thinker.trace(run)) if span["name"].startswith("chat ")]
    assert chat["attributes"]["output.value"] == "It is 5."
    assert "<think>" not in str(chat["attributes"])


@each_client
async def test_thoughts_around_a_tool(wire: Wire, thinker: Service) -> None:
    """Words before a tool call, and a thought in the reflection on its result."""

    def replies(request: Request) -> Reply:
        if request.asked.results:
            return Text(f"It is {request.asked.results[-1]}.", thought=THOUGHT)
        return ToolCalls((ToolCall("add", {"a": 2, "b": 3}),), text="Let me see.")

    wire.replies = replies
    events = await thinker.stream("thinker", "2 and 3?")
    assert said(events) == [
        ("text", "2 and 3?"),
        ("thought", "Let me see."),
        ("tool_call", None),
        ("tool_result", "5"),
        ("thought", THOUGHT),
        ("text", "It is 5."),
    ]


@each_client
async def test_an_answer_without_a_thought(wire: Wire, thinker: Service) -> None:
    """No tags come into an answer, nor out of one that speaks of them."""
    wire.replies = [Text("Write </think> behind <think>.")]
    events = await thinker.stream("thinker", "How?")
    assert said(events) == [("text", "How?"), ("text", "Write </think> behind <think>.")]
    assert "thought.delta" not in {event.type for event in events}


@each_client
async def test_the_next_turn(wire: Wire, thinker: Service) -> None:
    """A conversation with thoughts in it goes on."""
    wire.replies = [Text("It is 5.", thought=THOUGHT), Text("It is 6.", thought="3 more.")]
    await thinker.run("thinker", "2 and 3?", session_id="s")
    run = await thinker.run("thinker", "3 and 3?", session_id="s")
    assert [message["type"] for message in run["messages"]] == ["text", "thought", "text"]
    assert run["output"] == "It is 6."
    assert "It is 5." in str(wire.requests[-1].json["messages"])


@each_client
async def test_a_stream_that_is_left(wire: Wire, thinker: Service) -> None:
    """The provider is told to stop, whoever's client it is."""
    wire.replies = [Drip()]
    async with thinker.streaming("thinker", "Talk.") as events:
        started = await anext(events)
        async for event in events:
            if event.type == "text.delta":
                break
        await thinker.client.post(f"/runs/{started.data['run_id']}/cancel")
        with anyio.fail_after(5):
            await wire.until_abandoned()
    wire.replies = [Text("Here.")]
    assert (await thinker.run("thinker", "Still there?"))["output"] == "Here."


@each_client
async def test_beside_the_sdks_own_spans(client: str, wire: Wire, folder: Folder) -> None:
    """An instrumentor that has its hands in the SDK's stream changes nothing of what is streamed."""
    async with thinking(client, wire, folder, llm_spans="openinference") as service:
        wire.replies = [Text("It is 5.", thought=THOUGHT)]
        events = await service.stream("thinker", "2 and 3?")
        assert said(events) == [("text", "2 and 3?"), ("thought", THOUGHT), ("text", "It is 5.")]
        wire.replies = [Drip()]
        async with service.streaming("thinker", "Talk.") as streamed:
            started = await anext(streamed)
            with anyio.fail_after(5):
                await wire.until_streaming(2)
                await service.client.post(f"/runs/{started.data['run_id']}/cancel")
                await wire.until_abandoned()
