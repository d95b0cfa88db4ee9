"""/sessions: the caller's conversations, forks of them, and the way back in them."""

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Response
from uuid_utils import uuid7

from app.api.dependencies import CallerDep, Cursor, JsonOnly, Limit, PartsDep, PrincipalDep, cursor_of, place_of
from app.api.events import Message
from app.api.problems import problems
from app.api.schemas import ForkIn, Items, RewindIn
from app.api.streams import LOCATED
from app.events import Run
from app.store.history import Version
from app.store.sessions import Place, Session

router = APIRouter(prefix="/sessions", tags=["sessions"])


class SessionPage(Items[Session]):
    """A page of sessions."""


class MessagePage(Items[Message]):
    """A page of messages."""


class RunPage(Items[Run]):
    """A page of runs."""


class VersionPage(Items[Version]):
    """A page of saved states."""


@router.get("", response_model=SessionPage, responses=problems(422))
async def list_sessions(
    parts: PartsDep, principal: PrincipalDep, caller: CallerDep, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The caller's sessions, the latest first."""
    place = place_of(cursor, datetime, str)
    readable = (
        None if principal.scopes is None else [name for name in parts.registry.cards if principal.may("read", name)]
    )
    items = await parts.sessions.page(caller, limit + 1, (place[0], place[1]) if place else None, agents=readable)
    last = items[limit - 1] if len(items) > limit else None
    return _page(items[:limit], [last.updated_at.isoformat(), last.session_id] if last else None)


@router.get("/{session_id}", response_model=Session, responses=problems(404))
async def get_session(session_id: str, parts: PartsDep, caller: CallerDep) -> Response:
    """One session.

    `turns` is how many completed runs its conversation has, `active_run_id` the run that goes on in it, or waits for a
    person.
    """
    return _json(await parts.sessions.get(session_id, caller))


@router.get("/{session_id}/messages", response_model=MessagePage, responses=problems(404, 422))
async def list_messages(
    session_id: str, parts: PartsDep, caller: CallerDep, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """What was said in the conversation's completed runs, oldest first."""
    await parts.sessions.get(session_id, caller)
    place = place_of(cursor, int, int)
    items = await parts.sessions.messages(session_id, limit + 1, Place(*place) if place else None)
    last = items[limit - 1][0] if len(items) > limit else None
    return _page([message for _, message in items[:limit]], [last.turn, last.position] if last else None)


@router.get("/{session_id}/runs", response_model=RunPage, responses=problems(404, 422))
async def list_runs(
    session_id: str, parts: PartsDep, caller: CallerDep, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The session's runs, the latest first, without their messages."""
    await parts.sessions.get(session_id, caller)
    place = place_of(cursor, str)
    items = await parts.runs.of_session(session_id, caller, limit + 1, place[0] if place else None)
    last = items[limit - 1] if len(items) > limit else None
    return _page(items[:limit], [last.run_id] if last else None)


@router.get("/{session_id}/versions", response_model=VersionPage, responses=problems(404, 422))
async def list_versions(
    session_id: str, parts: PartsDep, caller: CallerDep, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The saved states that are kept, newest first: what the session can be forked from, and go back to."""
    await parts.sessions.get(session_id, caller)
    place = place_of(cursor, int)
    items = await parts.history.versions(session_id, limit + 1, place[0] if place else None)
    last = items[limit - 1] if len(items) > limit else None
    return _page(items[:limit], [last.version] if last else None)


@router.post(
    "/{session_id}/fork",
    response_model=Session,
    status_code=201,
    responses=problems(400, 404, 409, 410, 413, 415, 422) | {201: {"headers": LOCATED}},
    dependencies=[JsonOnly],
)
async def fork_session(session_id: str, body: ForkIn, parts: PartsDep, caller: CallerDep) -> Response:
    """Make a new session of the conversation, up to and with a completed run of it, or as it is now.

    The two are independent from then on. It can be done while a run goes on, which the fork does not have.
    """
    fork = await parts.history.fork(session_id, caller, body.to_point(), body.session_id or str(uuid7()))
    return _json(fork, 201, {"Location": f"/sessions/{fork.session_id}"})


@router.post(
    "/{session_id}/rewind",
    response_model=Session,
    responses=problems(400, 404, 409, 410, 413, 415, 422),
    dependencies=[JsonOnly],
)
async def rewind_session(session_id: str, body: RewindIn, parts: PartsDep, caller: CallerDep) -> Response:
    """Take the conversation back to before a completed run of it, or to a saved state; 409 while a run has not ended.

    The agent knows nothing of what is taken back, and it cannot be brought again: fork the session first to keep it.
    The runs stay readable.
    """
    return _json(await parts.history.rewind(session_id, caller, body.to_point()))


@router.delete("/{session_id}", status_code=204, responses=problems(404, 409))
async def delete_session(session_id: str, parts: PartsDep, caller: CallerDep) -> None:
    """Remove the session with its runs, their events and messages; 409 while one of them is running.

    Runs that wait, for their turn or for a person, go with it. Forks of it stay.
    """
    await parts.deletion.session(session_id, caller)


def _page(items: list[Any], last: list[Any] | None) -> Response:
    return _json({"items": items, "next_cursor": cursor_of(last) if last else None})


def _json(value: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return Response(content, status_code=status_code, media_type="application/json", headers=headers)
