"""Reading an answer for as long as its provider may be silent."""

import asyncio

from aiohttp import ClientError, ClientResponse
from openai import APIConnectionError

from app.agents.providers.lean.errors import as_the_sdk


class Reader:
    """One answer's, with one timer, which looks how long the last wait has been.

    A timer for each wait would cost as much as all the rest of a token does here. aiohttp's own ends with its
    connection, and aiohttp (3.14) tells nobody that it has closed that where the framing was broken.
    """

    def __init__(self, response: ClientResponse, timeout_s: float) -> None:
        self._response = response
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        """When the provider will have been silent too long, while it is waited for."""
        self._late = False

    async def received(self) -> bytes:
        """What has come; nothing at the end. Raises the SDK's errors, and then the answer is closed."""
        self._until = self._loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._look)
        try:
            more = await self._response.content.readany()
        except (ClientError, OSError) as error:
            self.close()
            raise self._failure(error) from error
        except BaseException:
            self.close()
            raise
        self._until = None
        if not more:
            self._rest()
        return more

    async def content(self) -> bytes:
        """All of it."""
        parts = []
        while part := await self.received():
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the connection, if the answer is not over; who waits for more sees that it is closed."""
        self._rest()
        self._response.close()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._loop.time() >= self._until:
            self._late = True
            self._response.close()
        else:
            self._timer = self._loop.call_at(self._until, self._look)

    def _failure(self, error: ClientError | OSError) -> APIConnectionError:
        return as_the_sdk(TimeoutError() if self._late else error, self._response.url)
