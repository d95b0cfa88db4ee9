"""What AutoGen's model clients lack to be shared by every run of a process.

Upstream (0.7.5) leaves the response of an abandoned stream open, so that the provider goes on writing; its
Anthropic client does not look at the cancellation token between chunks; the token keeps a callback for every
chunk; counting tokens downloads tiktoken's table; and what is no answer comes out as an empty text or as an
error of the interpreter's.
"""

import asyncio
from abc import ABC
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import anyio
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResult,
    LLMMessage,
)
from autogen_core.tools import Tool, ToolSchema

from app.agents.provider_errors import UnreadableAnswerError

CLOSE_S = 1
"""Seconds that closing a response may take."""
CONTEXT_TOKENS = 128_000
"""The context of a model that AutoGen does not know."""
IMAGE_TOKENS = 765
"""What OpenAI charges for 1024 × 1024 pixels."""

GARBLED = (ValueError, LookupError, AttributeError, TypeError)
"""What the SDKs and AutoGen raise, once they have begun to call, when an answer is not what they expect."""

T = TypeVar("T")
Pieces = AsyncGenerator[str | CreateResult, None]


class SharedClient(ChatCompletionClient, ABC):
    """Stands before one of AutoGen's clients among a class's bases."""

    async def create(self, *args: Any, **options: Any) -> CreateResult:
        create = super().create  # type: ignore[safe-super]  # the next class is AutoGen's
        with _Exchange(options.pop("cancellation_token", None)) as exchange:
            call = partial(create, *args, cancellation_token=exchange, **options)
            return self.mended(await exchange.step(call), "")

    async def create_stream(self, *args: Any, **options: Any) -> Pieces:
        create_stream = super().create_stream  # type: ignore[safe-super]  # the next class is AutoGen's
        with _Exchange(options.pop("cancellation_token", None)) as exchange:
            pieces = create_stream(*args, cancellation_token=exchange, **options)
            read = partial(anext, pieces, None)
            said: list[str] = []
            try:
                while (piece := await exchange.step(read)) is not None:
                    if isinstance(piece, CreateResult):
                        yield self.mended(piece, "".join(said))
                    else:
                        said.append(piece)
                        yield piece
            finally:
                with anyio.move_on_after(CLOSE_S, shield=True):
                    await pieces.aclose()
                    await exchange.close_response()

    def mended(self, result: CreateResult, said: str) -> CreateResult:  # noqa: ARG002  # its heirs need it
        """The result without what AutoGen got wrong; `said` is what was streamed before.

        A page of HTML with status 200 has no events, for instance, and comes out as an answer without words.
        """
        if not result.content and result.finish_reason == "unknown":
            raise UnreadableAnswerError
        return result

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """An estimate: a token for every four characters, and four for what frames a message."""
        schemas = [tool.schema if isinstance(tool, Tool) else tool for tool in tools]
        said = sum(_tokens(message.content) + 4 for message in messages)
        return said + sum(len(str(schema)) // 4 for schema in schemas)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        remaining = super().remaining_tokens  # type: ignore[safe-super]  # the next class is AutoGen's
        try:
            return remaining(messages, tools=tools)
        except KeyError:
            return CONTEXT_TOKENS - self.count_tokens(messages, tools=tools)


class _Exchange(CancellationToken):
    """One call, as the token that AutoGen is given for it.

    AutoGen links every future to its token. The first is the request, whose result is the open response of a
    stream, which is how we come by it; the others are forgotten. The caller's token ends the step under way.
    """

    def __init__(self, token: CancellationToken | None) -> None:
        super().__init__()
        self._request: asyncio.Future[Any] | None = None
        self._step: asyncio.Timeout | None = None
        self._end = asyncio.get_running_loop().create_future()
        self._end.add_done_callback(self._interrupt)
        if token is not None:
            token.link_future(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the caller's token."""
        if not self._end.done():
            self._end.set_result(None)

    def link_future(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        self._request = self._request or future
        return future

    async def step(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Its result; CancelledError as soon as the caller's token is cancelled."""
        if self._end.cancelled():
            raise asyncio.CancelledError
        try:
            # A deadline interrupts what its own task awaits; a task for each chunk, as upstream has it, would
            # cost more, and tear the contexts of traces.
            async with asyncio.timeout(None) as self._step:
                result = await begin()
        except TimeoutError:
            if self._end.cancelled():
                raise asyncio.CancelledError from None
            raise
        except GARBLED as error:
            if self._request is None:
                raise
            raise UnreadableAnswerError from error
        finally:
            self._step = None
        return result

    async def close_response(self) -> None:
        request = self._request
        if request is None or not request.done() or request.cancelled() or request.exception():
            return
        response = request.result()
        # The SDKs' streams have `close`, and Ollama's generator `aclose`. What OpenAI's parsed streams begin
        # with, an event, has neither: AutoGen closes those itself.
        close = getattr(response, "close", None) or getattr(response, "aclose", None)
        if close is not None:
            await close()

    def _interrupt(self, end: asyncio.Future[None]) -> None:
        if end.cancelled() and self._step is not None:
            self._step.reschedule(asyncio.get_running_loop().time())


def _tokens(content: object) -> int:
    match content:
        case str():
            return len(content) // 4
        case list():
            return sum(map(_tokens, content))
        case FunctionCall(name=name, arguments=arguments):
            return len(name + arguments) // 4
        case FunctionExecutionResult(content=result):
            return len(result) // 4
        case _:
            return IMAGE_TOKENS
