"""What AutoGen's model clients lack to be shared by every run of a process.

Upstream (0.7.5) leaves the response of an abandoned stream open, so that the provider goes on writing; its
Anthropic client does not look at the cancellation token between chunks; the token keeps a callback for every
chunk; counting tokens downloads tiktoken's table; and what is no answer comes out as an empty text or as an
error of the interpreter's.

Here each call is a task of its own, which is cancelled at most once. AutoGen awaits tasks inside it: anyio's way
of cancelling again and again would reach them, past the shields of their HTTP library, in the middle of closing
a connection, which then is neither closed nor ever given back to its pool.
"""

import asyncio
import time
from abc import ABC
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResult,
    LLMMessage,
    SystemMessage,
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


class Answer(CreateResult):
    """AutoGen's result, with what it leaves out of the provider's answer; None is what that did not tell."""

    model: str | None = None
    """The one that answered, which an alias or a deployment does not name."""
    cached_tokens: int | None = None
    """Of the prompt's."""
    reasoning_tokens: int | None = None
    """Of the answer's."""
    first_chunk_at: float | None = None
    """When a stream began to come, by `time.perf_counter`; AutoGen hands on nothing of one that only calls tools."""


T = TypeVar("T")
Pieces = AsyncGenerator[str | CreateResult, None]


class SharedClient(ChatCompletionClient, ABC):
    """Stands before one of AutoGen's clients among a class's bases."""

    async def create(self, messages: Sequence[LLMMessage], *args: Any, **options: Any) -> CreateResult:
        create = super().create  # type: ignore[safe-super]  # the next class is AutoGen's
        token, call = options.pop("cancellation_token", None), _Call()
        begin = partial(create, self.sent(messages), *args, cancellation_token=call, **options)
        async with _apart(call.make(begin), token) as task:
            await asyncio.wait([task])
            return _told(self.mended(task.result(), ""), call)

    async def create_stream(self, messages: Sequence[LLMMessage], *args: Any, **options: Any) -> Pieces:
        create_stream = super().create_stream  # type: ignore[safe-super]  # the next class is AutoGen's
        token, call = options.pop("cancellation_token", None), _Call()
        queue: asyncio.Queue[str | CreateResult | None] = asyncio.Queue()
        said: list[str] = []

        async def read() -> None:
            async for piece in create_stream(self.sent(messages), *args, cancellation_token=call, **options):
                queue.put_nowait(piece)

        async with _apart(call.make(read), token) as task:
            task.add_done_callback(lambda _: queue.put_nowait(None))
            while not task.cancelling() and (piece := await queue.get()) is not None:
                if isinstance(piece, str):
                    said.append(piece)
                    yield piece
                elif not isinstance(piece, CreateResult):  # as what a provider says in parts, which AutoGen passes on
                    raise UnreadableAnswerError
                else:
                    yield _told(self.mended(piece, "".join(said)), call)
            await asyncio.wait([task])
            task.result()

    def sent(self, messages: Sequence[LLMMessage]) -> Sequence[LLMMessage]:
        """With one system message, where the model takes no more: a memory adds its own behind the conversation.

        AutoGen joins those that follow one another, and fails with a ValueError where something is between them.
        """
        system = [message.content for message in messages if isinstance(message, SystemMessage)]
        if len(system) < 2 or self.model_info.get("multiple_system_messages", False):
            return messages
        others = [message for message in messages if not isinstance(message, SystemMessage)]
        return [SystemMessage(content="\n\n".join(system)), *others]

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


class _Call(CancellationToken):
    """One call, as the token that AutoGen is given for it.

    AutoGen links every future to its token. The first is the request, the last one finds a stream's end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._request: asyncio.Future[Any] | None = None
        self._chunk: asyncio.Future[Any] | None = None
        self._end: asyncio.Future[Any] | None = None
        self._first_chunk_at: float | None = None

    def link_future(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        if self._request is None:
            self._request = future
        elif self._end is self._request:
            future.add_done_callback(self._first_came)
        self._chunk, self._end = self._end, future
        return future

    def _first_came(self, _: asyncio.Future[Any]) -> None:
        self._first_chunk_at = time.perf_counter()

    @property
    def first_chunk_at(self) -> float | None:
        """AutoGen links no chunk of Anthropic's: the stream knows."""
        told: float | None = getattr(self.answer, "first_at", None)
        return told or self._first_chunk_at

    @property
    def answer(self) -> Any:
        """The provider's own: whole, or a stream's last chunk, which tells what was used."""
        told = self._chunk or self._request
        done = told is not None and told.done() and not told.cancelled() and not told.exception()
        return told.result() if told is not None and done else None

    async def make(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Let AutoGen make it; raises UnreadableAnswerError where that makes no sense of the answer."""
        try:
            return await begin()
        except GARBLED as error:
            if self._request is None:
                raise
            raise UnreadableAnswerError from error
        finally:
            await self._close_response()

    async def _close_response(self) -> None:
        """Close what AutoGen left open, cancelled before it took the response or between two chunks."""
        request = self._request
        if request is None or not request.done() or request.cancelled() or request.exception():
            return
        response = request.result()
        # The SDKs' streams have `close`, Ollama's generator has `aclose`. Whole answers have neither, but may have a
        # field of the name, for the SDKs' models take any that a provider sends.
        close = getattr(response, "close", None) or getattr(response, "aclose", None)
        if callable(close):
            await close()


class Overheard(_Call):
    """The token of a call through a client that is none of ours: the run's, and what is linked to it is heard."""

    def __init__(self, token: CancellationToken | None) -> None:
        super().__init__()
        self._token = CancellationToken() if token is None else token

    def cancel(self) -> None:
        self._token.cancel()

    def is_cancelled(self) -> bool:
        return self._token.is_cancelled()

    def add_callback(self, callback: Callable[[], None]) -> None:
        self._token.add_callback(callback)

    def link_future(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        if asyncio.isfuture(future):
            super().link_future(future)
        return self._token.link_future(future)

    def told(self, result: CreateResult) -> "Answer":
        """The result, with what the provider's answer tells besides."""
        return _told(result, self)


@asynccontextmanager
async def _apart(work: Coroutine[Any, Any, T], token: CancellationToken | None) -> AsyncIterator[asyncio.Task[T]]:
    """A task that ends with the block, and at once when the token is cancelled."""
    task = asyncio.get_running_loop().create_task(work)
    if token is not None:
        token.link_future(task)
    try:
        yield task
    finally:
        if not task.done() and not task.cancelling():
            task.cancel()
        with anyio.move_on_after(CLOSE_S, shield=True):
            await asyncio.wait([task])
        if task.done() and not task.cancelled():
            task.exception()  # seen: whoever left did not want to know


def _told(result: CreateResult, call: _Call) -> Answer:
    """By OpenAI's names, Anthropic's and Ollama's; a chunk of OpenAI's may come in an event of its SDK."""
    answer = call.answer
    answer = getattr(answer, "chunk", answer)
    usage = getattr(answer, "usage", None)
    cached = _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens")
    model = getattr(answer, "model", None)
    return Answer(
        **{name: getattr(result, name) for name in CreateResult.model_fields},
        model=model if isinstance(model, str) else None,
        cached_tokens=_count(usage, "cache_read_input_tokens") if cached is None else cached,
        reasoning_tokens=_count(getattr(usage, "completion_tokens_details", None), "reasoning_tokens"),
        first_chunk_at=call.first_chunk_at,
    )


def _count(told: Any, name: str) -> int | None:
    value = getattr(told, name, None)
    return value if isinstance(value, int) else None


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
