"""The short way to begin a run.

FastAPI's dependencies take longer than all else that HTTP is for a run. So a request that is plainly right is read here
at once; any other goes FastAPI's way, which alone says what is wrong, and describes the routes for `/openapi.json`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from app.api.beginning import Asked, IdempotencyKey
from app.api.dependencies import SessionHeader, UserHeader, parts_of, permit, principal_of
from app.api.schemas import RunIn

_HEADERS: dict[bytes, TypeAdapter[str | None]] = {
    b"x-user-id": TypeAdapter(UserHeader),
    b"x-session-id": TypeAdapter(SessionHeader),
    b"idempotency-key": TypeAdapter(IdempotencyKey),
}


class Shortcut(APIRoute):
    """Where a `RunIn` begins a run: `endpoint(name, body, asked)`. Other routes are as they always are."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        thorough, endpoint = super().get_route_handler(), self.endpoint
        if endpoint.__annotations__.get("body") is not RunIn:
            return thorough

        async def handle(request: Request) -> Response:
            if (plain := await _plain(request)) is None:
                return await thorough(request)
            body, asked = plain
            await permit(request, asked.principal.caller(asked.user))
            response: Response = await endpoint(request.path_params["name"], body, asked)
            return response

        return handle


async def _plain(request: Request) -> tuple[RunIn, Asked] | None:
    """What it asks for; None where anything is wrong, or is seldom there."""
    headers = dict(reversed(request.scope["headers"]))  # the first of each counts
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json" or b"last-event-id" in headers or request.scope["query_string"]:
        return None
    try:
        body = RunIn.model_validate_json(await request.body())
        given = [
            kind.validate_python(headers[name].decode("latin-1")) if name in headers else None
            for name, kind in _HEADERS.items()
        ]
    except (ValidationError, ClientDisconnect):
        return None
    return body, Asked(request, parts_of(request), principal_of(request), *given)
