"""An HTTP server whose every byte is scripted: what a provider, or what is between, does to a connection."""

import asyncio
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

After = Literal["keep", "close", "hang", "reset"]


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came; header names are in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What is written, piece by piece, and what becomes of the connection."""

    pieces: tuple[bytes, ...] = ()
    after: After = "keep"


def answer(
    body: bytes,
    *headers: str,
    status: str = "200 OK",
    content_type: str = "text/event-stream",
    pieces: int = 1,
    after: After = "keep",
) -> RawAnswer:
    """A whole answer, whose body is cut into so many pieces."""
    lines = (f"HTTP/1.1 {status}", f"content-type: {content_type}", f"content-length: {len(body)}", *headers)
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    size = max(1, -(-len(body) // pieces))
    return RawAnswer((head, *(body[at : at + size] for at in range(0, len(body), size))), after)


def chunked(*pieces: bytes, end: bool = True, after: After = "keep") -> RawAnswer:
    """A stream, a chunk for each piece; without an end it is not whole."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = tuple(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return RawAnswer((head, *chunks, *([b"0\r\n\r\n"] if end else [])), after)


def gzipped(body: bytes, content_type: str = "text/event-stream") -> RawAnswer:
    """The same, compressed."""
    squeeze = zlib.compressobj(wbits=31)
    packed = squeeze.compress(body) + squeeze.flush()
    return answer(packed, "content-encoding: gzip", content_type=content_type, pieces=5)


class RawServer:
    """Gives the answers one after another, and the last one for ever; use it as an async context manager."""

    def __init__(self, *answers: RawAnswer) -> None:
        self._answers = list(answers)
        self.requests: list[RawRequest] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            after: After = "keep"
            while after == "keep":
                self.requests.append(await _read(reader))
                scripted = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                for piece in scripted.pieces:
                    writer.write(piece)
                    await writer.drain()
                    for _ in range(3):
                        await asyncio.sleep(0)  # so that what reads in this loop has its turn
                after = scripted.after
            if after == "hang":
                await reader.read()
            if after == "reset":
                writer.transport.abort()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # who asked has left, or the test is over
        finally:
            writer.close()
            self._tasks.discard(task)


async def _read(reader: asyncio.StreamReader) -> RawRequest:
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = dict(_headers(lines))
    return RawRequest(line, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()
