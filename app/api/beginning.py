"""What each way to begin a run takes beside its task, and the short way to it.

FastAPI's dependencies take longer than all else that HTTP is for a run. So a request that is plainly right is read here
at once; any other goes FastAPI's way, which alone says what is wrong, and describes the routes for `/openapi.json`.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from app.api.dependencies import Parts, SessionHeader, UserHeader, parts_of, permit, principal_of
from app.api.identity.principal import Principal
from app.api.schemas import RunIn

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key and body within 24 hours are the same run: joined while it goes on, then replayed.",
    ),
]
_HEADERS: dict[bytes, TypeAdapter[str | None]] = {
    b"x-user-id": TypeAdapter(UserHeader),
    b"x-session-id": TypeAdapter(SessionHeader),
    b"idempotency-key": TypeAdapter(IdempotencyKey),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What each way to begin a run takes beside its task."""

    request: Request
    parts: Parts
    principal: Principal
    user: str | None
    session: str | None
    key: str | None


async def _asked(
    request: Request,
    user: UserHeader = None,
    session: SessionHeader = None,
    key: IdempotencyKey = None,
) -> Asked:
    return Asked(request, parts_of(request), principal_of(request), user, session, key)


AskedDep = Annotated[Asked, Depends(_asked)]


class Beginning(APIRoute):
    """Where a body begins a run: `endpoint(name, body, asked)`. Routes without a body are as they always are."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        thorough, endpoint = super().get_route_handler(), self.endpoint
        if self.body_field is None:
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
    if headers.get(b"content-type") != b"application/json" or request.scope["query_string"]:
        return None
    if b"last-event-id" in headers:
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
