"""An answer that is streamed, as AutoGen reads it: it makes a task of what `anext` returns, if that is none yet.

So a chunk that has come already is handed on as a future that is done, without a task and without a turn of the event
loop; a task is made only where the network is waited for.
"""

import asyncio
from collections import deque
from contextlib import suppress

from aiohttp import ClientResponse
from openai import APIError

from app.agents.providers.lean.errors import received, request
from app.agents.providers.lean.frames import Frames
from app.agents.providers.lean.values import Chunk, parsed

DONE = b"[DONE]"
DRAIN_S = 0.1
"""Seconds in which the end of the answer may come after its last event; without it, its connection is closed."""
UNREADABLE = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What reading an event may raise that is not what it should be."""


class Stream:
    """The chunks of one answer."""

    def __init__(self, response: ClientResponse, timeout_s: float) -> None:
        self._response = response
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._events: deque[bytes] = deque()

    def __aiter__(self) -> "Stream":
        return self

    def __anext__(self) -> "asyncio.Future[Chunk]":
        if not self._events or self._events[0].startswith(DONE):
            return self._loop.create_task(self._read())
        chunk: asyncio.Future[Chunk] = self._loop.create_future()
        try:
            chunk.set_result(self._chunk(self._events.popleft()))
        except (*UNREADABLE, APIError) as error:
            self._response.close()
            chunk.set_exception(error)
        return chunk

    async def close(self) -> None:
        """Close the connection, if the answer is not over."""
        self._response.close()

    async def _read(self) -> Chunk:
        while not self._events:
            if not (more := await received(self._response, self._timeout_s)):
                self._response.close()
                raise StopAsyncIteration
            self._events += self._frames.feed(more)
        if self._events[0].startswith(DONE):
            await self._end()
            raise StopAsyncIteration
        try:
            return self._chunk(self._events.popleft())
        except (*UNREADABLE, APIError):
            self._response.close()
            raise

    async def _end(self) -> None:
        """Let the connection be used again, if the answer ends with its last event."""
        with suppress(APIError):
            while await received(self._response, DRAIN_S):
                pass
        self._response.close()

    def _chunk(self, event: bytes) -> Chunk:
        fields = parsed(event)
        if isinstance(fields, dict) and (error := fields.get("error")):
            said = error.get("message") if isinstance(error, dict) else None
            message = said if said and isinstance(said, str) else "An error occurred during streaming"
            raise APIError(message, request(self._response.url), body=error)
        return Chunk(fields)
