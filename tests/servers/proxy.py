"""A network that breaks: a TCP proxy in front of the service, which cuts event streams off in mid-byte."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import cycle
from urllib.parse import urlsplit


class Proxy:
    """Its connections go to the upstreams in turn.

    A connection is broken once so many bytes of the answer to a `GET` of a stream have passed: as many as the next of
    `cuts` says, for one such request after the other. When there are no more, nothing is cut.
    """

    def __init__(self, upstreams: Iterable[str], cuts: Iterable[int]) -> None:
        self._upstreams = cycle([(url.hostname, url.port) for url in map(urlsplit, upstreams)])
        self._cuts = iter(cuts)
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.requests: list[bytes] = []
        """Those of streams."""
        self.cut = 0
        """How many of them were cut off."""

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Break what is open."""
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def limit(self, request: bytes) -> int | None:
        """How much of the answer may pass."""
        line = request.partition(b"\r\n")[0]
        if not line.startswith(b"GET ") or b"/stream" not in line:
            return None
        self.requests.append(request)
        return next(self._cuts, None)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_connection(*next(self._upstreams))
        connection = _Connection(self, reader, writer, answers, upstream)
        sending = asyncio.create_task(connection.send())
        receiving = asyncio.create_task(connection.receive())
        try:
            await asyncio.wait([sending, receiving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
            upstream.transport.abort()
            writer.transport.abort()


class _Connection:
    """A client's, which may ask several times, one request after the other."""

    def __init__(
        self,
        proxy: Proxy,
        requests: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._requests, self._client = requests, client
        self._answers, self._upstream = answers, upstream
        self._left: int | None = None

    async def send(self) -> None:
        """What the client asks, until it leaves; a `GET` comes in one piece."""
        while piece := await self._requests.read(65536):
            self._left = self._proxy.limit(piece)
            self._upstream.write(piece)
            await self._upstream.drain()

    async def receive(self) -> None:
        """What it is answered, until the end, or the cut."""
        while piece := await self._answers.read(65536):
            whole = self._left is None or len(piece) < self._left
            self._client.write(piece if whole else piece[: self._left])
            await self._client.drain()
            if not whole:
                self._proxy.cut += 1
                return
            if self._left is not None:
                self._left -= len(piece)


@asynccontextmanager
async def breaking(upstreams: Iterable[str], cuts: Iterable[int], kind: type[Proxy] = Proxy) -> AsyncIterator[Proxy]:
    """A proxy on a free port, in front of these URLs."""
    proxy = kind(upstreams, cuts)
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
