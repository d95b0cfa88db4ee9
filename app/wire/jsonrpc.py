"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification), also as server-sent events: what MCP and A2A are written in."""

from collections.abc import Mapping
from typing import Any

import orjson

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

Id = str | int | None


def answer(request_id: Id, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def error(request_id: Id, code: int, message: str, data: Any = None) -> dict[str, Any]:
    more = {} if data is None else {"data": data}
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message, **more}}


def call(request_id: Id, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """A request; a notification where it has no id."""
    head = {"jsonrpc": "2.0"} if request_id is None else {"jsonrpc": "2.0", "id": request_id}
    return {**head, "method": method, "params": params}


def frame(message: Mapping[str, Any]) -> bytes:
    """As one server-sent event."""
    return b"event: message\ndata: %b\n\n" % orjson.dumps(message)
