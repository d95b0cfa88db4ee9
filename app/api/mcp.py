"""/mcp: agents as tools, over MCP's streamable HTTP. Any replica answers any request of a client."""

import asyncio
from importlib import import_module
from typing import Any

from fastapi import APIRouter, Response

from app.api.beginning import AskedDep
from app.api.dependencies import JsonOnly
from app.api.problems import problems

router = APIRouter(tags=["mcp"])


ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The response; to `tools/call` as server-sent events, with what comes before it.",
        "content": {"application/json": {}, "text/event-stream": {}},
    },
    202: {"description": "A notification, or a response of the client's, was taken."},
}


@router.post(
    "/mcp",
    operation_id="call_mcp",
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422) | ANSWERED,
    dependencies=[JsonOnly],
)
async def post_mcp(asked: AskedDep) -> Response:
    """One message of an MCP client, as JSON-RPC; a call's answer is an event stream, others are JSON.

    https://modelcontextprotocol.io/specification/2025-06-18/basic/transports#streamable-http
    """
    calls = await asyncio.to_thread(import_module, "app.api.mcp_calls")  # 0.3 s, the first time
    answer: Response = await calls.answered(asked, await asked.request.body())
    return answer
