"""One call of a model, as the cancellation token that AutoGen is given for it: so it is seen what comes of the call."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from autogen_core import CancellationToken
from autogen_core.models import CreateResult

from app.agents.provider_errors import UnreadableAnswerError

T = TypeVar("T")

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


class Call(CancellationToken):
    """One call, as the token that AutoGen is given for it.

    AutoGen links every future to its token. The first is the request, the last one finds a stream's end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._request: asyncio.Future[Any] | None = None
        self._chunk: asyncio.Future[Any] | None = None
        self._end: asyncio.Future[Any] | None = None
        self._first_chunk_at: float | None = None
        self._said: Any = None

    def link_future(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        if self._request is None:
            self._request = future
        elif self._end is self._request:
            future.add_done_callback(self._first_came)
        self._chunk, self._end = self._end, future
        return future

    def heard(self, chunk: Any) -> None:
        """The next chunk, of a stream whose chunks are not linked."""
        if self._said is None:
            self._first_chunk_at = time.perf_counter()
        self._said = chunk

    def cut(self) -> None:
        """End the request, or the stream that came of it."""
        if self._request is not None and not self._request.done():
            self._request.cancel()
        elif callable(cut := getattr(self._response, "cut", None)):  # which whole answers have not
            cut()

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
        if self._said is not None:
            return self._said
        told = self._chunk or self._request
        done = told is not None and told.done() and not told.cancelled() and not told.exception()
        return told.result() if told is not None and done else None

    @property
    def _response(self) -> Any:
        """What the request came to, if it came to something."""
        request = self._request
        if request is None or not request.done() or request.cancelled() or request.exception():
            return None
        return request.result()

    async def make(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Let AutoGen make it; raises UnreadableAnswerError where that makes no sense of the answer."""
        try:
            return await begin()
        except GARBLED as error:
            self.check_read(error)
            raise
        finally:
            await self.close_response()

    def check_read(self, error: Exception) -> None:
        """Raises UnreadableAnswerError where AutoGen made no sense of the answer."""
        if self._request is not None and isinstance(error, GARBLED):
            raise UnreadableAnswerError from error

    async def close_response(self) -> None:
        """Close what AutoGen left open, cancelled before it took the response or between two chunks."""
        response = self._response
        # The SDKs' streams have `close`, Ollama's generator has `aclose`. Whole answers have neither, but may have a
        # field of the name, for the SDKs' models take any that a provider sends.
        close = getattr(response, "close", None) or getattr(response, "aclose", None)
        if callable(close):
            await close()


class Overheard(Call):
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
        return told(result, self)


def told(result: CreateResult, call: Call) -> Answer:
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
