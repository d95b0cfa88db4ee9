"""AutoGen's OpenAI client, pointed at the embedded model: started when first needed, every stream closed.

What differs from upstream's, and why: the address is known once the process runs, and is another when it
died and was started again; upstream leaves an abandoned stream open, which keeps one of the few slots busy
until the whole answer is written; upstream counts tokens with a table that it downloads. A `tool_choice` that
names a tool counts as `auto`, for llama.cpp does not know it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import anyio
from autogen_core import CancellationToken
from autogen_core.models import CreateResult, LLMMessage, ModelFamily, ModelInfo
from autogen_core.tools import Tool, ToolSchema
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openai import NOT_GIVEN, APIConnectionError, AsyncStream, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam

_T = TypeVar("_T")

CLOSE_S = 2
"""Seconds that closing a stream may take."""
TOOLS_TOKENS = 200
"""What `qwen_tools.jinja` says about tools, beside their schemas."""


class LocalChatCompletionClient(OpenAIChatCompletionClient):
    """A client of the embedded model, wherever `base_url()` says that it is at the moment."""

    def __init__(
        self,
        *,
        name: str,
        api_key: str,
        base_url: Callable[[], Awaitable[str]],
        context_tokens: int,
        max_tokens: int,
        **create_args: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "model_info": ModelInfo(
                vision=False,
                function_calling=True,
                json_output=True,
                structured_output=True,
                family=ModelFamily.UNKNOWN,
                multiple_system_messages=False,
            ),
            "temperature": 0.0,
            "max_tokens": max_tokens,
            "timeout": 300,  # seconds; with all slots busy a prompt waits for its turn
        }
        fixed: dict[str, Any] = {
            "model": name,
            "api_key": api_key,
            "base_url": "http://127.0.0.1:9/v1",  # until `base_url` tells
            # The server closes after a stream while announcing keep-alive: 15 of 60 calls failed.
            "default_headers": {"Connection": "close"},
            # HTTP_PROXY and the like are not for the loopback.
            "http_client": DefaultAsyncHttpxClient(trust_env=False),
        }
        super().__init__(**(defaults | create_args | fixed))
        self._base_url = base_url
        self._context_tokens = context_tokens
        self._max_tokens = max_tokens

    async def create(self, *args: Any, **kwargs: Any) -> CreateResult:
        """Answer in one piece.

        Raises LocalModelError when the process cannot be started, and openai.BadRequestError when the
        conversation is longer than the context.
        """
        create = super().create
        return await self._call(lambda: create(*args, **kwargs), kwargs.get("cancellation_token"))

    async def create_stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[str | CreateResult, None]:
        """Answer in pieces, then whole with the tokens used; raises what `create` raises."""
        if kwargs.get("include_usage") is None:
            kwargs["include_usage"] = True
        await self._locate(kwargs.get("cancellation_token"))
        async with aclosing(super().create_stream(*args, **kwargs)) as pieces:
            async for piece in pieces:
                yield piece

    async def _create_stream_chunks(
        self,
        tool_params: list[ChatCompletionToolParam],
        oai_messages: list[ChatCompletionMessageParam],
        create_args: dict[str, Any],
        cancellation_token: CancellationToken | None,
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Upstream's, but the response is closed however this ends, which frees the slot."""

        async def open_stream() -> AsyncStream[ChatCompletionChunk]:
            tools: Any = tool_params or NOT_GIVEN
            opening = self._client.chat.completions.create(
                messages=oai_messages, stream=True, tools=tools, **create_args
            )
            return await _linked(opening, cancellation_token)

        stream = await self._call(open_stream, cancellation_token)
        try:
            while (chunk := await _linked(anext(stream, None), cancellation_token)) is not None:
                yield chunk
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await stream.close()

    async def _call(self, call: Callable[[], Awaitable[_T]], token: CancellationToken | None) -> _T:
        """`call` the process; once more if it turns out to have died before it said anything."""
        address = await self._locate(token)
        try:
            return await call()
        except APIConnectionError:
            if await self._locate(token) == address:
                raise
            return await call()

    async def _locate(self, token: CancellationToken | None) -> str:
        self._client.base_url = address = await _linked(self._base_url(), token)
        return address

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """An estimate, rather too high: a token for every 3 bytes, 8 for what frames a message.

        Prose has 4 bytes a token, code 3.7, Chinese 5.
        """
        schemas = [tool.schema if isinstance(tool, Tool) else tool for tool in tools]
        texts = [str(message.content) for message in messages] + [str(schema) for schema in schemas]
        return sum(len(text.encode()) // 3 + 8 for text in texts) + (TOOLS_TOKENS if tools else 0)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """What is left of the context beside the conversation and the longest answer."""
        return self._context_tokens - self._max_tokens - self.count_tokens(messages, tools=tools)


async def _linked(work: Awaitable[_T], token: CancellationToken | None) -> _T:
    """Await `work`, which cancelling AutoGen's token cancels."""
    future = asyncio.ensure_future(work)
    if token is not None:
        token.link_future(future)
    return await future
