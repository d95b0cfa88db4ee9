"""Chats, as frontends have them: the client names the conversation, and shows one that is stored here.

What a person writes in one answers the run that waits for it, if there is one, and begins a run otherwise. A stream
ends with the question that a run asks, since only then may the person write.
"""

from collections.abc import Collection
from typing import NamedTuple

from pydantic import Field

from app.api.dependencies import Parts
from app.api.schemas import Lenient, Metadata, OnDisconnect
from app.caller import Caller
from app.errors import NotFound, SessionConflict, StateGone
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


class Chat(NamedTuple):
    """What is stored of it."""

    session: Session | None
    active: Standing | None
    """The run that goes on in it, or waits for a person."""

    @property
    def waiting(self) -> Standing | None:
        """The run, if it waits."""
        return None if self.active is None or self.active.run.input_request is None else self.active

    @property
    def begun(self) -> bool:
        """Whether something was said in it that is known here."""
        return self.session is not None and self.session.turns > 0


async def chat_of(parts: Parts, session_id: str, caller: Caller, agent: str) -> Chat:
    """The caller's chat of that name; raises SessionConflict where it is another agent's."""
    try:
        session = await parts.sessions.get(session_id, caller)
    except NotFound:
        return Chat(None, None)
    if session.agent != agent:
        raise SessionConflict(f"Session {session_id!r} is a conversation with {session.agent!r}: begin another.")
    if session.active_run_id is None:
        return Chat(session, None)
    standing = await parts.runs.standing(session.active_run_id, caller)
    return Chat(session, None if standing.ended else standing)


async def is_known(parts: Parts, request: RunRequest) -> bool:
    """Whether it is sent again, and its Idempotency-Key stands for a run."""
    return request.key is not None and await parts.runs.joined(request.key, request.caller) is not None


async def waiting_in(parts: Parts, request: RunRequest) -> Standing | None:
    """The run that what is said in the chat answers; none for a message that is sent again."""
    waiting = (await chat_of(parts, request.session_id, request.caller, request.agent)).waiting
    return None if waiting is None or await is_known(parts, request) else waiting


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
