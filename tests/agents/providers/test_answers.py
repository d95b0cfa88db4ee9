"""What agents see of an answer, and what the provider sees of the question."""

import json
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import (
    ModelClientStreamingChunkEvent,
    TextMessage,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
)
from autogen_core import FunctionCall
from autogen_core.models import RequestUsage, SystemMessage, UserMessage
from autogen_core.tools import FunctionTool

from tests.agents.providers.cases import CASES, Case, ask, each, each_provider, each_way
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Request, Text, ToolCall, ToolCalls, Usage

QUESTION = [
    SystemMessage(content="Be brief."),
    UserMessage(content="What is the weather in Paris?", source="user"),
]


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def time_of_day(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


TOOLS = [FunctionTool(weather, "The weather."), FunctionTool(time_of_day, "The time.")]
BOTH = ToolCalls((ToolCall("weather", {"city": "Rome"}), ToolCall("time_of_day", {"city": "Oslo"})), usage=Usage(20, 9))


def called(content: str | list[FunctionCall]) -> list[tuple[str, Any]]:
    assert isinstance(content, list)
    return [(call.name, json.loads(call.arguments)) for call in content]


@each_way
@each_provider
async def test_a_text(case: Case, stream: bool) -> None:
    """The words, streamed as they come, and the tokens, whether streamed or not."""
    async with case.wire() as wire:
        models = case.models(wire.url)
        result, pieces = await ask(models.client(), stream, QUESTION)
        await models.aclose()
    assert result.content == "You said: What is the weather in Paris?"
    assert result.usage == RequestUsage(prompt_tokens=11, completion_tokens=7)
    assert result.finish_reason == "stop"
    assert "".join(pieces) == (result.content if stream else "")
    assert len(pieces) <= 8
    if case.wire is not OpenAIWire:  # whose pieces are joined where they come at once
        assert len(pieces) == (8 if stream else 0)


@each_way
@each_provider
async def test_the_request(case: Case, stream: bool) -> None:
    """It goes to the right place with the right key, for the right model; a stream asks for its tokens."""
    async with case.wire(key=case.credential[1].removeprefix("Bearer ")) as wire:
        models = case.models(wire.url)
        await ask(models.client(), stream, QUESTION, tools=TOOLS)
        await models.aclose()
    (request,) = wire.requests
    header, credential = case.credential
    assert request.path == case.path
    assert request.headers[header] == credential
    assert request.asked.model == case.name
    assert request.asked.stream is stream
    assert [tool.name for tool in request.asked.tools] == ["weather", "time_of_day"]
    usage_asked_for = request.json.get("stream_options") == {"include_usage": True}
    assert usage_asked_for == (stream and "chat/completions" in case.path)
    assert request.query == ({"api-version": "2024-10-21"} if case.model.startswith("azure") else {})


@each_way
@each_provider
async def test_a_tool(case: Case, stream: bool) -> None:
    """A call of a tool, with its arguments."""
    async with case.wire() as wire:
        models = case.models(wire.url)
        result, _ = await ask(models.client(), stream, QUESTION, tools=TOOLS)
        await models.aclose()
    assert called(result.content) == [("weather", {"city": "Paris"})]
    assert result.finish_reason == "function_calls"
    assert result.usage == RequestUsage(prompt_tokens=11, completion_tokens=7)


@each_way
@each_provider
async def test_parallel_tools(case: Case, stream: bool) -> None:
    """Calls of two tools at once, told apart by their ids."""
    async with case.wire([BOTH]) as wire:
        models = case.models(wire.url)
        result, _ = await ask(models.client(), stream, QUESTION, tools=TOOLS)
        await models.aclose()
    assert called(result.content) == [("weather", {"city": "Rome"}), ("time_of_day", {"city": "Oslo"})]
    assert len({call.id for call in result.content if isinstance(call, FunctionCall)}) == 2
    assert result.usage == RequestUsage(prompt_tokens=20, completion_tokens=9)


@each_way
@each_provider
async def test_words_beside_a_tool(case: Case, stream: bool) -> None:
    """What the model says beside a call is its thought."""
    reply = ToolCalls((ToolCall("weather", {"city": "Rome"}),), text="Let me look.")
    async with case.wire([reply]) as wire:
        models = case.models(wire.url)
        result, _ = await ask(models.client(), stream, QUESTION, tools=TOOLS)
        await models.aclose()
    assert called(result.content) == [("weather", {"city": "Rome"})]
    assert result.thought == "Let me look."


@each_way
@each_provider
async def test_an_agent_with_tools(case: Case, stream: bool) -> None:
    """An agent calls both tools, hands their results back under the right ids, and answers."""

    def answer(request: Request) -> Text | ToolCalls:
        results = request.asked.results
        return Text(" and ".join(results), usage=Usage(30, 5)) if results else BOTH

    async with case.wire(answer) as wire:
        models = case.models(wire.url)
        agent = AssistantAgent(
            "agent",
            models.client(),
            tools=[weather, time_of_day],
            max_tool_iterations=2,
            model_client_stream=stream,
        )
        told = [message async for message in agent.run_stream(task="Weather in Rome, time in Oslo?")]
        await models.aclose()
    (asked,) = [event for event in told if isinstance(event, ToolCallRequestEvent)]
    (done,) = [event for event in told if isinstance(event, ToolCallExecutionEvent)]
    *_, last = [event for event in told if isinstance(event, TextMessage)]
    assert {result.call_id: result.content for result in done.content} == {
        call.id: {"weather": "sunny in Rome", "time_of_day": "noon in Oslo"}[call.name] for call in asked.content
    }
    assert asked.models_usage == RequestUsage(prompt_tokens=20, completion_tokens=9)
    assert last.content == "sunny in Rome and noon in Oslo"
    assert last.models_usage == RequestUsage(prompt_tokens=30, completion_tokens=5)
    chunks = [event.content for event in told if isinstance(event, ModelClientStreamingChunkEvent)]
    assert "".join(chunks) == (last.content if stream else "")
    assert len(wire.requests) == 2


@each_way
@each({name: case for name, case in CASES.items() if name != "ollama"})  # whose thoughts AutoGen does not read
async def test_a_thought(case: Case, stream: bool) -> None:
    """A reasoning model's thought is whole, first letters included, and apart from what it says."""
    async with case.wire([Text("Rome.", thought="think: it is in Italy")]) as wire:
        models = case.models(wire.url)
        result, _ = await ask(models.client(), stream, QUESTION)
        await models.aclose()
    assert result.content == "Rome."
    assert result.thought == "think: it is in Italy"
