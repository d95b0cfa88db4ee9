"""Errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.api.schemas import Problem
from app.errors import AppError, BadRequest, BudgetSpent, Forbidden, InvalidInput, QueueFull, RateLimited, SessionFull
from app.telemetry.metrics import Metrics
from app.telemetry.provider import current_trace_id

NOT_JSON = "The body is not JSON."
LIMITS = (Forbidden, RateLimited, BudgetSpent, SessionFull)
"""Refusals that are counted here; others are where they are known to be one."""
MAX_ERRORS = 20
"""Of a problem; whoever has more knows enough."""
MEDIA_TYPE = "application/problem+json"


def problem_response(
    problem: Mapping[str, Any], *, retry_after_s: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The problem, with its own status."""
    more = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
    return Response(
        orjson.dumps(problem),
        status_code=problem["status"],
        media_type=MEDIA_TYPE,
        headers={**(headers or {}), **more},
    )


def install(app: FastAPI) -> None:
    """Have every error leave as a problem."""

    @app.exception_handler(AppError)
    async def app_error(request: Request, error: AppError) -> Response:
        counted(request.app.state.parts.telemetry.metrics, error)
        problem = error.problem(instance=request.url.path, trace_id=_trace_id())
        return problem_response(problem, retry_after_s=error.retry_after_s)

    @app.exception_handler(RequestValidationError)
    async def wrong_request(request: Request, error: RequestValidationError) -> Response:
        return await app_error(request, invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # the framework's word for a body that no parser gets through
            return await app_error(request, BadRequest(NOT_JSON))
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(error.status_code).phrase,
            "status": error.status_code,
            "detail": f"{request.method} {request.url.path}: {error.detail}",
            "instance": request.url.path,
        }
        return problem_response(problem, headers=error.headers)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:  # noqa: ARG001 the server logs it
        problem = AppError("The service failed; its log says why.").problem(
            instance=request.url.path, trace_id=_trace_id()
        )
        if (words := getattr(request.state, "words", None)) is None:
            return problem_response(problem)
        status, body, headers = words(problem)
        return Response(body, status, headers, media_type="application/json")


def counted(metrics: Metrics, error: AppError) -> None:
    """Count a refusal."""
    if isinstance(error, LIMITS):
        metrics.rejected(error.kind)
    elif isinstance(error, QueueFull):
        metrics.rejected("queue")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these."""
    return {
        status: {
            "model": Problem,
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def _trace_id() -> str | None:
    trace_id = current_trace_id()
    return trace_id if trace_id.strip("0") else None


def invalid(errors: Sequence[Any]) -> AppError:
    """What pydantic found, without the values: they may be secrets."""
    if any(error["type"] == "json_invalid" for error in errors):
        return BadRequest(NOT_JSON)
    listed = [{"loc": [_cut(part) for part in error["loc"]], "msg": error["msg"]} for error in errors[:MAX_ERRORS]]
    fields = ", ".join(sorted({".".join(str(part) for part in error["loc"][1:]) or "body" for error in listed}))
    return InvalidInput(f"Wrong or missing: {fields}. See `errors`.", errors=listed)


def _cut(part: Any) -> Any:
    """A place in the request; a name in it is the client's."""
    return f"{part[:100]}…" if isinstance(part, str) and len(part) > 100 else part
