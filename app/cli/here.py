"""The service in this process, asked without a socket: for as long as a command lasts, nobody else can reach it."""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx
import typer
from anyio.abc import TaskGroup

from app.api.dependencies import Parts
from app.cli.environment import quiet, settings
from app.cli.place import Needs
from app.main import create_app
from app.settings import Settings


@asynccontextmanager
async def here(headers: dict[str, str], needs: Needs) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it. What is raised inside comes out in groups, but for a cancellation.

    Without credentials the caller is the one that a service without any has: who can start this process may read its
    database anyway.
    """
    found = settings()
    quiet(found)
    try:
        app = create_app(_settings(found, trusted="Authorization" not in headers))
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    async with _opened(app, needs), anyio.create_task_group() as group:
        async with httpx.AsyncClient(
            transport=InProcess(app, group), base_url="http://localhost", headers=headers
        ) as client:
            yield client
        group.cancel_scope.cancel()


def _settings(found: Settings, *, trusted: bool) -> Settings:
    update: dict[str, Any] = {"role": "all", "allowed_hosts": ()}
    if trusted:
        update |= {"api_keys": None, "api_keys_file": None, "jwt_issuer": None, "rate_limit": None}
    return found.model_copy(update=update)


def _opened(app: Any, needs: Needs) -> AbstractAsyncContextManager[None]:
    match needs:
        case "all":
            opened: AbstractAsyncContextManager[None] = app.router.lifespan_context(app)
            return opened
        case "agents":
            return _agents(app.state.parts)
        case "store":
            return _store(app.state.parts)


@asynccontextmanager
async def _agents(parts: Parts) -> AsyncIterator[None]:
    try:
        await parts.registry.start()
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await parts.registry.close()


@asynccontextmanager
async def _store(parts: Parts) -> AsyncIterator[None]:
    """Without agents, models and traces, which take seconds."""
    try:
        await parts.database.start()
        await parts.peers.start()
        if parts.pages is not None:
            await parts.pages.start()
        yield
    finally:
        with anyio.CancelScope(shield=True):
            if parts.pages is not None:
                await parts.pages.close()
            await parts.peers.close()
            await parts.database.close()


class InProcess(httpx.AsyncBaseTransport):
    """Requests to an ASGI application, each a task of that group; answers come as they are made.

    `httpx.ASGITransport` gives an answer out once it is whole, which an event stream is at its end.
    """

    def __init__(self, app: Any, group: TaskGroup) -> None:
        self._app = app
        self._group = group

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 0),
            "server": (request.url.host, 80),
        }
        exchange = _Exchange(await request.aread())
        self._group.start_soon(self._app, scope, exchange.receive, exchange.send)
        await exchange.begun.wait()
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer. Closing it is the client's leaving."""

    def __init__(self, body: bytes) -> None:
        self.begun = anyio.Event()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._body: bytes | None = body
        self._left = anyio.Event()
        self._give, self._take = anyio.create_memory_object_stream[bytes](math.inf)

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message.get("headers", [])
            self.begun.set()
        elif not self._left.is_set():
            self._give.send_nowait(message.get("body", b""))
            if not message.get("more_body", False):
                self._give.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._take:
            yield piece

    async def aclose(self) -> None:
        self._left.set()
        self._give.close()
        self._take.close()
