"""The client of the embedded model: OpenAI's, at an address that is known once the process runs.

When the process died since the last call, the call is made again where the next one is, if nothing was answered yet.
A `tool_choice` that names a tool counts as `auto`, for llama.cpp does not know it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any

import anyio
from autogen_core import CancellationToken
from autogen_core.models import CreateResult, LLMMessage, ModelFamily, ModelInfo
from autogen_core.tools import Tool, ToolSchema
from openai import APIConnectionError, DefaultAsyncHttpxClient

from app.agents.providers.openai import OpenAIClient
from app.agents.providers.shared import Pieces

CANCEL_S = 5
"""Seconds that a start may take to be cancelled."""
TOOLS_TOKENS = 200
"""What `qwen_tools.jinja` says about tools, beside their schemas."""


class LocalChatCompletionClient(OpenAIClient):
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
            "http_client": DefaultAsyncHttpxClient(**loopback()),
        }
        super().__init__(**(defaults | create_args | fixed))
        self._base_url = base_url
        self._context_tokens = context_tokens
        self._max_tokens = max_tokens

    async def create(self, *args: Any, **options: Any) -> CreateResult:
        """Answer in one piece.

        Raises LocalModelError when the process cannot be started, and openai.BadRequestError when the conversation
        is longer than the context.
        """
        token, create = options.get("cancellation_token"), super().create
        address = await self._locate(token)
        try:
            return await create(*args, **options)
        except APIConnectionError:
            if await self._locate(token) == address:
                raise
            return await create(*args, **options)

    async def create_stream(self, *args: Any, **options: Any) -> Pieces:
        """Answer in pieces, and then whole with the tokens used; raises what `create` raises."""
        token, create_stream = options.get("cancellation_token"), super().create_stream
        address, begun = await self._locate(token), False
        for again in (False, True):
            try:
                async with aclosing(create_stream(*args, **options)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
            except APIConnectionError:
                if again or begun or await self._locate(token) == address:
                    raise
            else:
                return

    async def _locate(self, token: CancellationToken | None) -> str:
        """Have the client speak to where the process is, which is started if need be."""
        locating = asyncio.ensure_future(self._base_url())
        if token is not None:
            token.link_future(locating)
        try:
            await asyncio.wait([locating])
        finally:
            locating.cancel()  # only once, unlike anyio's way, so that it can end what it began to start
            with anyio.move_on_after(CANCEL_S, shield=True):
                await asyncio.wait([locating])
        self._client.base_url = address = locating.result()
        return address

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """An estimate: a token for every 3 bytes, and 8 for what frames a message.

        Prose has 4 bytes a token, code 3.7, Chinese 5; only what is mostly digits and signs has fewer, 2.5.
        """
        schemas = [tool.schema if isinstance(tool, Tool) else tool for tool in tools]
        texts = [str(message.content) for message in messages] + [str(schema) for schema in schemas]
        return sum(len(text.encode()) // 3 + 8 for text in texts) + (TOOLS_TOKENS if tools else 0)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """What is left of the context beside the conversation and the longest answer."""
        return self._context_tokens - self._max_tokens - self.count_tokens(messages, tools=tools)


def loopback() -> dict[str, Any]:
    """Options of an HTTP client that speaks to this machine alone.

    HTTP_PROXY is not for it, nor are the world's certificates, which would take 20 ms to read.
    """
    return {"trust_env": False, "verify": SSLContext(PROTOCOL_TLS_CLIENT)}
