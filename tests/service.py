"""The service under test: a real uvicorn on a free port, in the test's own event loop, and a client for it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import uvicorn
from blockbuster import blockbuster_ctx
from fastapi import FastAPI

from app.api.dependencies import Parts
from app.connections import Connection
from app.main import create_app
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event as it came."""

    id: str
    type: str
    data: dict[str, Any]


class Service:
    """A running service; `client` calls it, `parts` looks inside."""

    def __init__(self, app: FastAPI, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self.client = client
        self.parts: Parts = app.state.parts

    async def run(self, agent: str, task: Any, *, status: int = 200, **fields: Any) -> dict[str, Any]:
        """Run an agent to its end; the answer's JSON."""
        response = await self.client.post(f"/agents/{agent}/run", json={"task": task, **fields})
        assert response.status_code == status, response.text
        body: dict[str, Any] = response.json()
        return body

    async def stream(self, agent: str, task: Any, **fields: Any) -> list[Event]:
        """Stream an agent to its end; the events."""
        async with self.streaming(agent, task, **fields) as events:
            return [event async for event in events]

    @asynccontextmanager
    async def streaming(self, agent: str, task: Any, **fields: Any) -> AsyncIterator[AsyncIterator[Event]]:
        """The events as they come; leaving the block leaves the stream."""
        body = {"task": task, **fields}
        async with self.client.stream("POST", f"/agents/{agent}/stream", json=body) as response:
            assert response.status_code == 200, await response.aread()
            yield events_of(response)

    async def get(self, path: str, user: str | None = None, status: int = 200) -> Any:
        response = await self.client.get(path, headers={"X-User-ID": user} if user else {})
        assert response.status_code == status, response.text
        return response.json()

    async def trace(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The span tree of a run, from the built-in store."""
        spans: list[dict[str, Any]] = (await self.get(f"/runs/{run['run_id']}/trace", run["user_id"]))["spans"]
        return spans


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of an event stream, read as the specification says; comments are passed over."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        elif fields:
            yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Service]:
    """Serve with these settings, `data_dir` among them. A blocking call of ours in the event loop is an error."""
    wanted = Settings(**{"_env_file": None, "agents_dir": Path("no-such-folder"), **settings})
    app = await anyio.to_thread.run_sync(create_app, wanted)  # before the service starts, it may block
    config = uvicorn.Config(
        app, port=0, http=Connection, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=5
    )
    config.load()
    server = uvicorn.Server(config)
    # `Server.serve` would take over the process's signals and poll ten times a second.
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert not server.should_exit, "the service did not start: see the log"
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits, trust_env=False) as client:
            with blockbuster_ctx(scanned_modules=["app"]) as blockbuster:
                for function in blockbuster.functions.values():  # its look for ~/.pgpass, once a connection
                    function.can_block_in("redis/driver_info.py", "__post_init__")  # its own version
                    function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
                    for http in ("httpx", "httpx2"):  # certificates, once a client that a user's recipe makes
                        function.can_block_in(f"{http}/_config.py", "create_ssl_context")
                yield Service(app, url, client)
    finally:
        with anyio.CancelScope(shield=True):
            await server.shutdown()


def tree(spans: list[dict[str, Any]], depth: int = 0) -> str:
    """The names of a trace's spans, two spaces a level."""
    return "\n".join(
        "\n".join(filter(None, ("  " * depth + span["name"], tree(span["children"], depth + 1)))) for span in spans
    )


def flat(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every span of a trace."""
    return [found for span in spans for found in (span, *flat(span["children"]))]
