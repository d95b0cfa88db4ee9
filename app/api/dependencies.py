"""What routes ask for: the service's parts, who calls, and pages of lists."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Query, Request

from app.agents.registry import Registry
from app.api.identity.gate import Identity
from app.api.identity.principal import Action, Principal
from app.api.schemas import SessionId, UserId
from app.caller import Caller
from app.errors import InvalidInput, NotFound, UnsupportedMediaType
from app.runs.control import Control
from app.runs.deletion import Deletion
from app.runs.keeper import Keeper
from app.runs.pages import Writer
from app.runs.runner import Runner
from app.runs.tidying import Tidying
from app.runs.viewing import Viewing
from app.runs.webhooks import Webhooks
from app.settings import Settings
from app.siblings import Siblings
from app.store.database import Database
from app.store.export import Export
from app.store.history import History
from app.store.page import Pages
from app.store.peers import Peers
from app.store.rates import Rates
from app.store.runs import RunStore
from app.store.sessions import SessionStore
from app.telemetry.provider import Telemetry


@dataclass(frozen=True, slots=True)
class Parts:
    """What `create_app` wired."""

    settings: Settings
    database: Database
    runs: RunStore
    sessions: SessionStore
    history: History
    export: Export
    registry: Registry
    runner: Runner
    viewing: Viewing
    control: Control
    deletion: Deletion
    webhooks: Webhooks
    keeper: Keeper
    tidying: Tidying
    peers: Peers
    siblings: Siblings | None
    pages: Pages | None
    writer: Writer | None
    telemetry: Telemetry
    identity: Identity
    rates: Rates | None


def parts_of(request: Request) -> Parts:
    """What every dependency of a run's begin asks for: FastAPI's own way to it costs more than what it finds."""
    parts: Parts = request.app.state.parts
    return parts


async def _parts(request: Request) -> Parts:
    return parts_of(request)


async def _json_only(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType("Send the body as JSON, with the header 'Content-Type: application/json'.")


UserHeader = Annotated[
    UserId | None, Header(alias="X-User-ID", description="The end user whose sessions and runs are meant.")
]
SessionHeader = Annotated[
    SessionId | None, Header(alias="X-Session-ID", description="The conversation to go on with, as `session_id`.")
]
UserQuery = Annotated[
    UserId | None, Query(alias="user_id", description="As X-User-ID, for clients that send no headers.")
]


def principal_of(request: Request) -> Principal:
    """Whom the gate let in."""
    principal: Principal = request.state.principal
    return principal


async def _principal(request: Request) -> Principal:
    return principal_of(request)


PrincipalDep = Annotated[Principal, Depends(_principal)]


async def _caller(request: Request, user_header: UserHeader = None, user_query: UserQuery = None) -> Caller:
    """Whom the credentials stand for: of a tenant's users the one that the X-User-ID header, or the query, names."""
    return principal_of(request).caller(either(user_header, user_query, "X-User-ID", ["query", "user_id"]))


def either(header: str | None, field: str | None, header_name: str, loc: list[str]) -> str | None:
    """A header stands in for a field: whichever is given; both and different is InvalidInput."""
    if header is not None and field is not None and header != field:
        raise InvalidInput(
            f"The header {header_name} and the field {loc[-1]} differ: send one of them.",
            errors=[{"loc": loc, "msg": f"Differs from the header {header_name}."}],
        )
    return field if header is None else header


PartsDep = Annotated[Parts, Depends(_parts)]
CallerDep = Annotated[Caller, Depends(_caller)]


async def permit(request: Request, caller: CallerDep) -> None:
    """Whether the scopes of the credentials allow it, for the agent that the path leads to: every route is held to it.

    Raises Forbidden, and NotFound where there is no such run or session of the caller's.
    """
    path = request.path_params
    if any("\0" in str(part) for part in path.values()):  # which Postgres does not even compare
        raise NotFound(f"{request.url.path!r} does not exist.")
    principal = principal_of(request)
    if principal.scopes is None:
        return
    action: Action = "read" if request.method in ("GET", "HEAD") else "run"
    if "name" in path:
        principal.must(action, path["name"])
    elif "run_id" in path:
        principal.must(action, (await parts_of(request).runs.standing(path["run_id"], caller)).run.agent)
    elif "session_id" in path:
        principal.must(action, (await parts_of(request).sessions.get(path["session_id"], caller)).agent)


Permitted = Depends(permit)
JsonOnly = Depends(_json_only)
Limit = Annotated[int, Query(ge=1, le=100, description="Items a page.")]
Cursor = Annotated[str | None, Query(max_length=1024, description="`next_cursor` of the page before.")]


def cursor_of(place: list[Any]) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(cursor: str | None, *types: type) -> list[Any] | None:
    """What `cursor_of` was given; InvalidInput for a cursor that is none of ours."""
    if cursor is None:
        return None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(place, list) and len(place) == len(types):
            return [_part(part, kind) for part, kind in zip(place, types, strict=True)]
    except (binascii.Error, ValueError, OverflowError):
        pass  # answered below
    raise InvalidInput(
        "The cursor is not one that this list gave out.",
        errors=[{"loc": ["query", "cursor"], "msg": "Unknown."}],
    )


def _part(part: Any, kind: type[Any]) -> Any:
    """As the columns of a database hold it; raises ValueError or OverflowError for what they cannot."""
    if kind is datetime and isinstance(part, str):
        return datetime.fromisoformat(part).astimezone(UTC)
    fits: bool = type(part) is kind and (0 <= part < 2**31 if kind is int else "\0" not in part)
    if not fits:
        raise ValueError(f"it is no {kind.__name__}")
    return part
