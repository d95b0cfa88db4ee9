"""A fake model provider: real HTTP on loopback, plain ASGI on uvicorn, in the test's own event loop.

What differs from provider to provider (paths, credentials, frames) is in `openai_wire`, `anthropic_wire`
and `ollama_wire`; what they say is scripted with `replies`, or left to `echo`.
"""

import itertools
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self, assert_never
from urllib.parse import parse_qsl

import anyio
import uvicorn

from tests.servers.echo import echo
from tests.servers.replies import (
    Asked,
    Cut,
    Drip,
    Garbage,
    Hang,
    HttpError,
    Reply,
    Request,
    Text,
    ToolCalls,
)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Wire(ABC):
    """One provider; use it as an async context manager.

    `replies` decides what is answered: a function of the request, or a queue of replies, after whose end
    `echo` answers. It may be replaced at any time. With `key`, any other credential is refused with 401.
    """

    event_stream: ClassVar[str] = "text/event-stream"
    nonsense: ClassVar[bytes]
    """A frame of a stream whose JSON is broken."""

    def __init__(
        self,
        replies: Callable[[Request], Reply] | Iterable[Reply] = (),
        *,
        key: str | None = None,
    ) -> None:
        self.replies = replies
        self.key = key
        self._port = 0
        self.requests: list[Request] = []
        self.open_requests = 0
        """Requests whose answer is neither complete nor abandoned."""
        self.open_streams = 0
        """Of these, streams that have begun."""
        self.streams = 0
        """How many streams have begun, ever."""
        self.abandoned = 0
        """How many clients left before their answer was complete, ever."""
        self._changed = anyio.Event()

    @property
    def replies(self) -> Callable[[Request], Reply] | deque[Reply]:
        return self._replies

    @replies.setter
    def replies(self, replies: Callable[[Request], Reply] | Iterable[Reply]) -> None:
        self._replies = replies if callable(replies) else deque(replies)

    # What a provider is made of.

    @abstractmethod
    def serves(self, path: str) -> bool:
        """Whether chat requests go there."""

    @abstractmethod
    def credential(self, headers: Mapping[str, str]) -> str:
        """The key that the request carries, or nothing."""

    @abstractmethod
    def asked(self, path: str, body: Any) -> Asked: ...

    @abstractmethod
    def document(self, request: Request, reply: Text | ToolCalls) -> Any:
        """The whole answer as JSON."""

    @abstractmethod
    def frames(self, request: Request, reply: Text | ToolCalls) -> Iterator[bytes]:
        """The whole answer as a stream."""

    @abstractmethod
    def opening(self, request: Request, texts: Iterable[str]) -> Iterator[bytes]:
        """The beginning of a streamed text that says `texts`, which may be endless."""

    @abstractmethod
    def error(self, status: int, message: str) -> Any:
        """The provider's form of a refusal, as JSON."""

    # The server.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        """Listen; after a stop, where it did before."""
        config = uvicorn.Config(
            self._app,
            port=self._port,
            log_config=None,
            access_log=False,
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            ws="none",
            reset_contextvars=True,
        )
        config.load()
        self._server = uvicorn.Server(config)
        # `Server.serve` would take over the process's signals and poll ten times a second.
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup()
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Break every connection; from now on nobody listens."""
        for listener in self._server.servers:
            listener.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        with anyio.fail_after(5, shield=True):
            await self._until(lambda: not self.open_requests)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    # What a test can wait for.

    async def until_asked(self, count: int = 1) -> None:
        """Until so many requests have come."""
        await self._until(lambda: len(self.requests) >= count)

    async def until_streaming(self, count: int = 1) -> None:
        """Until so many streams have begun."""
        await self._until(lambda: self.streams >= count)

    async def until_abandoned(self, count: int = 1) -> None:
        """Until so many clients have left before their answer was complete."""
        await self._until(lambda: self.abandoned >= count)

    async def until_idle(self) -> None:
        """Until no request is open."""
        await self._until(lambda: not self.open_requests)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # One request.

    async def _app(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        if not self.serves(scope["path"]):
            await _send_json(send, 404, self.error(404, f"nothing at {scope['path']}"))
            return
        request = self._read(scope, body)
        self.requests.append(request)
        self.open_requests += 1
        answer = _Answer(self, request, send)
        self._notify()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_leave, receive, tasks.cancel_scope)
                await answer.give(self._choose(request))
                tasks.cancel_scope.cancel()
        finally:
            self.open_requests -= 1
            self.open_streams -= answer.streaming
            self.abandoned += not answer.complete
            self._notify()

    def _read(self, scope: Mapping[str, Any], body: bytes) -> Request:
        content = json.loads(body)
        return Request(
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            json=content,
            asked=self.asked(scope["path"], content),
        )

    def _choose(self, request: Request) -> Reply:
        if self.key is not None and self.credential(request.headers) != self.key:
            return HttpError(401)
        if callable(self.replies):
            return self.replies(request)
        return self.replies.popleft() if self.replies else echo(request)

    def began(self) -> None:
        self.open_streams += 1
        self.streams += 1
        self._notify()


class _Answer:
    """The answer to one request, and how far it has come."""

    def __init__(self, wire: Wire, request: Request, send: Send) -> None:
        self.wire, self.request, self.send = wire, request, send
        self.streaming = False
        self.complete = False

    async def give(self, reply: Reply) -> None:
        match reply:
            case Text() | ToolCalls():
                await self._whole(reply)
            case HttpError():
                await self._refuse(reply)
            case Garbage():
                await self._garbage(reply)
            case Hang(()):
                await anyio.sleep_forever()
            case Hang(chunks):
                await self._stream(self.wire.opening(self.request, chunks))
                await anyio.sleep_forever()
            case Drip(token, interval_s):
                endless = self.wire.opening(self.request, itertools.repeat(token))
                await self._stream(endless, interval_s)
            case Cut(chunks):
                await self._stream(self.wire.opening(self.request, chunks))
                self.complete = True  # nothing more was meant to come: uvicorn breaks the connection
                return
            case _:
                assert_never(reply)
        self.complete = True

    async def _whole(self, reply: Text | ToolCalls) -> None:
        if self.request.asked.stream:
            interval_s = reply.interval_s if isinstance(reply, Text) else 0
            await self._stream(self.wire.frames(self.request, reply), interval_s)
            await self.send({"type": "http.response.body", "body": b""})
        else:
            await _send_json(self.send, 200, self.wire.document(self.request, reply))

    async def _stream(self, frames: Iterator[bytes], interval_s: float = 0) -> None:
        await _send_head(self.send, 200, self.wire.event_stream)
        for frame in frames:
            await self.send({"type": "http.response.body", "body": frame, "more_body": True})
            if not self.streaming:
                self.streaming = True
                self.wire.began()
            await anyio.sleep(interval_s)

    async def _refuse(self, reply: HttpError) -> None:
        body = reply.body
        if body is None:
            body = json.dumps(self.wire.error(reply.status, reply.message)).encode()
        headers = {}
        if reply.retry_after is not None:
            # The SDKs prefer milliseconds, where a provider gives them.
            headers = {
                "retry-after": f"{reply.retry_after:g}",
                "retry-after-ms": f"{reply.retry_after * 1000:g}",
            }
        await _send_head(self.send, reply.status, "application/json", headers)
        await self.send({"type": "http.response.body", "body": body})

    async def _garbage(self, reply: Garbage) -> None:
        stream = self.request.asked.stream
        usual_type = self.wire.event_stream if stream else "application/json"
        usual_body = self.wire.nonsense if stream else b"{not json"
        await _send_head(self.send, 200, reply.content_type or usual_type)
        body = usual_body if reply.body is None else reply.body
        await self.send({"type": "http.response.body", "body": body})


async def _leave(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _send_json(send: Send, status: int, content: Any) -> None:
    await _send_head(send, status, "application/json")
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


async def _send_head(send: Send, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
    every = {"content-type": content_type} | dict(headers or {})
    pairs = [(name.encode(), value.encode()) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
