"""A file at a URL that a caller chose, fetched as distrustfully as a webhook is sent (see `courier`).

Each connection goes to an address that was checked (see `addresses`), each redirect's target is held to the same rules
as the first, and what comes is bounded while it comes. What went wrong is for the log alone: told to the caller, it
would say what this service can reach.
"""

import ssl
from collections.abc import Sequence
from urllib.parse import urldefrag, urljoin

import httpcore
from anyio import to_thread

from app import VERSION
from app.runs.addresses import Network, Resolve, checked_backends
from app.runs.receivers import Receiver, UrlRefused, receiver_of

MAX_REDIRECTS = 3
CONNECT_S = 5
NO_ANSWER = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError)
_REDIRECTS = {301, 302, 303, 307, 308}


class FetchFailed(Exception):
    """The message says why, without any words of the server's."""


class TooLarge(FetchFailed):
    """More came than there was room for."""


class Room:
    """Bytes that several files share."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Raises TooLarge."""
        if size > self._left:
            raise TooLarge("too large")
        self._left -= size


class Fetcher:
    """Fetches by GET; who asks sets the deadline. `allowed` are the private networks that may be reached."""

    def __init__(self, allowed: Sequence[Network], resolve: Resolve, accept: str) -> None:
        self._allowed = allowed
        self._backends = checked_backends(allowed, resolve)
        self._tls: ssl.SSLContext | None = None
        self._headers = [
            ("accept", accept),
            ("accept-encoding", "identity"),  # what is bounded is what comes
            ("user-agent", f"waggle/{VERSION}"),
        ]

    async def fetch(self, url: str, room: Room) -> bytes:
        """Raises FetchFailed, TooLarge where there is not the room."""
        for _ in range(MAX_REDIRECTS + 1):
            try:
                receiver = receiver_of(url, self._allowed)
                answer = await self._get(receiver, room)
            except UrlRefused:
                raise FetchFailed("not a URL that may be fetched") from None
            except NO_ANSWER as error:
                raise FetchFailed(type(error).__name__) from error
            if isinstance(answer, bytes):
                return answer
            url = _target(url, answer.location)
        raise FetchFailed("too many redirects")

    async def _get(self, receiver: Receiver, room: Room) -> "bytes | _Moved":
        if self._tls is None and receiver.scheme == "https":
            self._tls = await to_thread.run_sync(httpcore.default_ssl_context)  # reads files for 40 ms
        url = httpcore.URL(
            scheme=receiver.scheme, host=receiver.host, port=receiver.port, target=receiver.target.encode()
        )
        backend = self._backends[receiver.scheme]
        async with (
            httpcore.AsyncConnectionPool(self._tls, max_keepalive_connections=0, network_backend=backend) as pool,
            pool.stream(
                "GET",
                url,
                headers=[("host", receiver.authority), *self._headers],
                extensions={"timeout": {"connect": CONNECT_S}},
            ) as response,
        ):
            if response.status in _REDIRECTS:
                return _Moved(_header(response, b"location"))
            if response.status != 200:
                raise FetchFailed(str(response.status))
            return await _content(response, room)


class _Moved:
    def __init__(self, location: str) -> None:
        self.location = location


async def _content(response: httpcore.Response, room: Room) -> bytes:
    parts: list[bytes] = []
    async for part in response.aiter_stream():
        room.take(len(part))
        parts.append(part)
    return b"".join(parts)


def _target(url: str, location: str) -> str:
    """Where a redirect leads; held to the rules when it is fetched."""
    try:
        return urldefrag(urljoin(url, location)).url
    except ValueError:
        raise FetchFailed("redirected to no URL") from None


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value for key, value in response.headers if key.lower() == name), b"").decode("latin-1")
