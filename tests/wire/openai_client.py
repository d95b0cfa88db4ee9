"""OpenAI's own client, of a service of the test's, and what came to it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai as sdk
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from tests.servers.openai_wire import OpenAIWire
from tests.service import Service, serving

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


async def streamed(client: sdk.AsyncOpenAI, **request: Any) -> tuple[list[ResponseStreamEvent], Response]:
    """The events as they came, put together by the client on the way, and the response at the end."""
    async with client.responses.stream(**request) as stream:
        events: list[Any] = [event async for event in stream]
        if events[-1].type == "response.completed":
            assert (await stream.get_final_response()).output_text == events[-1].response.output_text
        return events, events[-1].response


def run_id(answer: str) -> str:
    """The run that a completion, or a response, is."""
    return answer.removeprefix("resp_").removeprefix("chatcmpl-")
