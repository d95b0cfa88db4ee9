"""The floor: Starlette that hands the provider's stream on as it comes, with no agent."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

URL = os.environ["MODEL_BASE_URL"] + "/chat/completions"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One HTTP client, without its limit of 100 connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        app.state.client = client
        yield


async def question(request: Request, *, stream: bool) -> dict[str, Any]:
    """What the provider is asked."""
    task = (await request.json())["task"]
    return {"model": "bench", "stream": stream, "messages": [{"role": "user", "content": task}]}


async def run(request: Request) -> Response:
    asked = await question(request, stream=False)
    async with request.app.state.client.post(URL, json=asked) as response:
        return Response(await response.read(), media_type="application/json")


async def stream(request: Request) -> StreamingResponse:
    asked = await question(request, stream=True)

    async def pieces() -> AsyncIterator[bytes]:
        async with request.app.state.client.post(URL, json=asked) as response:
            async for piece in response.content.iter_any():
                yield piece

    return StreamingResponse(pieces(), media_type="text/event-stream")


app = Starlette(
    routes=[Route("/run", run, methods=["POST"]), Route("/stream", stream, methods=["POST"])], lifespan=lifespan
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
