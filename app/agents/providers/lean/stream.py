"""An answer that is streamed.

Pieces of a text, or of a thought, that come in one read are one chunk: the way from here to a viewer costs more than
all that comes before it. What comes alone waits for nothing, and under overload a read brings more.
"""

from collections import deque
from contextlib import suppress
from typing import Any

from aiohttp import ClientResponse
from openai import APIError

from app.agents.providers.lean.errors import request
from app.agents.providers.lean.frames import Frames
from app.agents.providers.lean.reading import Reader
from app.agents.providers.lean.values import Chunk, parsed, piece_of

DONE = b"[DONE]"
DRAIN_S = 0.1
"""Seconds in which the end of the answer may come after its last event; without it, its connection is closed."""


class Stream:
    """The chunks of one answer."""

    def __init__(self, response: ClientResponse, timeout_s: float) -> None:
        self._response = response
        self._reader = Reader(response, timeout_s)
        self._frames = Frames()
        self._events: deque[bytes] = deque()

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Chunk:
        try:
            return self._chunk(await self._event())
        except BaseException:
            self._reader.close()
            raise

    async def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        """Close the connection, if the answer is not over; who waits for a chunk sees that it is closed."""
        self._reader.close()

    async def _event(self) -> bytes:
        while not self._events:
            if not (more := await self._reader.received()):
                raise StopAsyncIteration
            self._events += self._frames.feed(more)
        if self._events[0].startswith(DONE):
            await self._end()
            raise StopAsyncIteration
        return self._events.popleft()

    async def _end(self) -> None:
        """Let the connection be used again, if the answer ends with its last event."""
        with suppress(APIError):
            await Reader(self._response, DRAIN_S).content()

    def _chunk(self, event: bytes) -> Chunk:
        fields = parsed(event)
        if isinstance(fields, dict) and (error := fields.get("error")):
            said = error.get("message") if isinstance(error, dict) else None
            message = said if said and isinstance(said, str) else "An error occurred during streaming"
            raise APIError(message, request(self._response.url), body=error)
        return Chunk(self._joined(fields) if self._events else fields)

    def _joined(self, fields: Any) -> Any:
        """The last chunk of those that go on with this one's text, with the text of all; else this one."""
        piece, texts = piece_of(fields), []
        while piece is not None:
            delta = fields["choices"][0]["delta"]
            texts.append(delta[piece[0]])
            following = self._following()
            if piece_of(following) != piece:
                delta[piece[0]] = "".join(texts)
                break
            self._events.popleft()
            fields = following
        return fields

    def _following(self) -> Any:
        """What the next event that has come tells, if it can be read."""
        try:
            return parsed(self._events[0]) if self._events else None
        except ValueError:
            return None  # it fails when it is its turn
