"""Chats, as frontends have them: the client names the conversation, and shows one that is stored here.

What a person writes in one answers the run that waits for it, if there is one, and begins a run otherwise. A stream
ends with the question that a run asks, since only then may the person write.
"""

from collections.abc import Collection
from typing import Any

import orjson
from pydantic import Field
from pydantic_core import PydanticCustomError

from app.api.bounds import writable
from app.api.dependencies import Parts
from app.api.schemas import Lenient, Metadata, OnDisconnect
from app.caller import Caller
from app.errors import NotFound, SessionConflict, StateGone
from app.events import Position
from app.runs.run import RunRequest
from app.store.history import Point
from app.store.runs import IfBusy, Standing
from app.store.sessions import Session


class RunOptions(Lenient):
    """What a page may ask for beside."""

    metadata: Metadata = Field(default_factory=dict)
    """Up to 16 pairs of strings, on every span of the run."""
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Seconds the run may take."""
    if_busy: IfBusy = "interrupt"
    """What to do when the chat has a run going on: by default, it is stopped for what is said now."""
    on_disconnect: OnDisconnect | None = None
    """`continue`: the run goes on also if the page does not come back."""


async def chat_of(parts: Parts, session_id: str, caller: Caller, agent: str) -> Session | None:
    """The session, where there is one of the caller's; raises SessionConflict where it is another agent's."""
    try:
        session = await parts.sessions.get(session_id, caller)
    except NotFound:
        return None
    if session.agent != agent:
        raise SessionConflict(f"Session {session_id!r} is a conversation with {session.agent!r}: begin another.")
    return session


async def active_run(parts: Parts, chat: Session | None, caller: Caller) -> Standing | None:
    """The run that goes on in it, or waits for a person."""
    if chat is None or chat.active_run_id is None:
        return None
    standing = await parts.runs.standing(chat.active_run_id, caller)
    return None if standing.ended else standing


def asked_at(waiting: Standing) -> Position:
    """Where the run has asked what it waits with: that is its last event."""
    return Position(waiting.attempt, waiting.last_seq or 0)


async def is_known(parts: Parts, request: RunRequest) -> bool:
    """Whether it is sent again, and its Idempotency-Key stands for a run."""
    return request.key is not None and await parts.runs.joined(request.key, request.caller) is not None


async def taken_back(parts: Parts, chat: Session, caller: Caller, left: Collection[str]) -> Session:
    """The chat as it was when these were its last runs: what was said after them, the client has taken back.

    A run that still goes on is stopped for that. Raises StateGone where that state is no longer kept.
    """
    if chat.active_run_id is not None:
        await parts.control.cancel(chat.active_run_id, caller)
    kept = await parts.history.versions(chat.session_id, parts.settings.state_versions + 1, None)
    version = next((each.version for each in kept if each.run_id in left), 0)
    if version == 0 and left and kept and kept[-1].turn > 1:
        raise StateGone(f"What session {chat.session_id!r} knew then is no longer kept: begin another chat.")
    return await parts.history.rewind(chat.session_id, caller, Point(version=version))


def json_or_text(text: str) -> Any:
    """What a person wrote where an answer has a schema."""
    try:
        return writable(orjson.loads(text))
    except (orjson.JSONDecodeError, PydanticCustomError):
        return text
