"""Errors as OpenAI's clients read them: https://developers.openai.com/api/docs/guides/error-codes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def error(problem: Mapping[str, Any]) -> bytes:
    """A problem as OpenAI's error object."""
    listed = problem.get("errors") or ()
    details = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in listed)
    status = problem["status"]
    found = {
        "message": f"{problem['detail']} {details}".strip(),
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": ".".join(map(str, listed[0]["loc"][1:])) if listed else None,
        "code": _code(problem),
    }
    return orjson.dumps({"error": found | {k: problem[k] for k in ("run_id", "trace_id") if problem.get(k)}})


def _code(problem: Mapping[str, Any]) -> str:
    """The problem's kind, or, of one that is of HTTP alone, its status: `method_not_allowed`."""
    kind = str(problem["type"]).rpartition(":")[2]
    return (HTTPStatus(problem["status"]).name.lower() if kind == "blank" else kind).replace("-", "_")
