"""What AutoGen's model clients lack to be shared by every run of a process.

Upstream (0.7.5) leaves the response of an abandoned stream open, so that the provider goes on writing; its
Anthropic client does not look at the cancellation token between chunks; the token keeps a callback for every
chunk; counting tokens downloads tiktoken's table; and what is no answer comes out as an empty text or as an
error of the interpreter's.

Here each call is a task of its own, which is cancelled at most once. AutoGen awaits tasks inside it: anyio's way
of cancelling again and again would reach them, past the shields of their HTTP library, in the middle of closing
a connection, which then is neither closed nor ever given back to its pool. A call that is cut at once needs none.
"""

import asyncio
from abc import ABC
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
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
from app.agents.providers.call import Call, told

CLOSE_S = 1
"""Seconds that closing a response may take."""
CONTEXT_TOKENS = 128_000
"""The context of a model that AutoGen does not know."""
IMAGE_TOKENS = 765
"""What OpenAI charges for 1024 × 1024 pixels."""

T = TypeVar("T")
Pieces = AsyncGenerator[str | CreateResult, None]


class SharedClient(ChatCompletionClient, ABC):
    """Stands before one of AutoGen's clients among a class's bases."""

    async def create(self, messages: Sequence[LLMMessage], *args: Any, **options: Any) -> CreateResult:
        create = super().create  # type: ignore[safe-super]  # the next class is AutoGen's
        token, call = options.pop("cancellation_token", None), Call()
        begin = partial(create, self.sent(messages), *args, cancellation_token=call, **options)
        if self.is_cut_at_once(**options):
            with _cut(call, token):
                result = await begin()
        else:
            async with _apart(call.make(begin), token) as task:
                await asyncio.wait([task])
                result = task.result()
        return told(self.mended(result, ""), call)

    async def create_stream(self, messages: Sequence[LLMMessage], *args: Any, **options: Any) -> Pieces:
        create_stream = super().create_stream  # type: ignore[safe-super]  # the next class is AutoGen's
        token, call = options.pop("cancellation_token", None), Call()
        read = _here if self.is_cut_at_once(**options) else _in_a_task
        begin = partial(create_stream, self.sent(messages), *args, cancellation_token=call, **options)
        said: list[str] = []
        async with aclosing(read(begin, call, token)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    said.append(piece)
                    yield piece
                elif not isinstance(piece, CreateResult):  # as what a provider says in parts, which AutoGen passes on
                    raise UnreadableAnswerError
                else:
                    yield told(self.mended(piece, "".join(said)), call)

    def is_cut_at_once(self, **options: Any) -> bool:  # noqa: ARG002  # its heirs need them
        """Whether such a call is ended by one call of a function, during which nothing is awaited."""
        return False

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


async def _in_a_task(begin: Callable[[], Pieces], call: Call, token: CancellationToken | None) -> Pieces:
    """The pieces of a stream that is read in a task of its own."""
    queue: asyncio.Queue[str | CreateResult | None] = asyncio.Queue()

    async def read() -> None:
        async for piece in begin():
            queue.put_nowait(piece)

    async with _apart(call.make(read), token) as task:
        task.add_done_callback(lambda _: queue.put_nowait(None))
        while not task.cancelling() and (piece := await queue.get()) is not None:
            yield piece
        await asyncio.wait([task])
        task.result()


@contextmanager
def _cut(call: Call, token: CancellationToken | None) -> Iterator["asyncio.Future[None]"]:
    """Around a call, which is cut when the block is left or the token is cancelled: then the future is done."""
    left = asyncio.get_running_loop().create_future()
    left.add_done_callback(lambda _: call.cut())
    if token is not None:
        token.link_future(left)
    try:
        yield left
    except Exception as error:
        if left.done():  # what was cut looks like a failure from below
            raise asyncio.CancelledError from None
        call.check_read(error)
        raise
    finally:
        left.cancel()


async def _here(begin: Callable[[], Pieces], call: Call, token: CancellationToken | None) -> Pieces:
    """The pieces of a stream that is cut at once."""
    pieces = begin()
    try:
        with _cut(call, token) as left:
            while not left.done():
                if (piece := await anext(pieces, None)) is None:
                    return
                yield piece
    finally:
        await pieces.aclose()
        await call.close_response()
    raise asyncio.CancelledError


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
