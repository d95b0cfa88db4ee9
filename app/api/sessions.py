"""/sessions: the caller's conversations."""

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Response

from app.api.dependencies import CallerDep, Cursor, Limit, PartsDep, cursor_of, place_of
from app.api.problems import problems
from app.store.sessions import Place

router = APIRouter(prefix="/sessions", tags=["sessions"])


@router.get("", responses=problems(422))
async def list_sessions(parts: PartsDep, caller: CallerDep, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """The caller's sessions, the latest first."""
    place = place_of(cursor, str, str)
    after = (datetime.fromisoformat(place[0]), place[1]) if place else None
    items = await parts.sessions.page(caller, limit + 1, after)
    last = items[limit - 1] if len(items) > limit else None
    return _page(items[:limit], [last.updated_at.isoformat(), last.session_id] if last else None)


@router.get("/{session_id}", responses=problems(404))
async def get_session(session_id: str, parts: PartsDep, caller: CallerDep) -> Response:
    """One session."""
    return _json(await parts.sessions.get(session_id, caller))


@router.get("/{session_id}/messages", responses=problems(404, 422))
async def list_messages(
    session_id: str, parts: PartsDep, caller: CallerDep, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """What was said in the session's completed runs, oldest first."""
    await parts.sessions.get(session_id, caller)
    place = place_of(cursor, str, int)
    items = await parts.sessions.messages(session_id, limit + 1, Place(*place) if place else None)
    last = items[limit - 1][0] if len(items) > limit else None
    return _page([message for _, message in items[:limit]], [last.run_id, last.position] if last else None)


@router.get("/{session_id}/runs", responses=problems(404, 422))
async def list_runs(
    session_id: str, parts: PartsDep, caller: CallerDep, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The session's runs, the latest first, without their messages."""
    await parts.sessions.get(session_id, caller)
    place = place_of(cursor, str)
    items = await parts.runs.of_session(session_id, caller, limit + 1, place[0] if place else None)
    last = items[limit - 1] if len(items) > limit else None
    return _page(items[:limit], [last.run_id] if last else None)


@router.delete("/{session_id}", status_code=204, responses=problems(404, 409))
async def delete_session(session_id: str, parts: PartsDep, caller: CallerDep) -> None:
    """Remove the session with its runs and messages; 409 while one of them goes on."""
    await parts.sessions.delete(session_id, caller)


def _page(items: list[Any], last: list[Any] | None) -> Response:
    return _json({"items": items, "next_cursor": cursor_of(last) if last else None})


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), media_type="application/json")
