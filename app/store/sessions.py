"""Sessions as their owner sees them: listed, read, deleted. Runs write them (see `runs`); `history` takes them back."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, select, text, tuple_

from app.caller import Caller
from app.errors import NotFound, SessionBusy
from app.events import RunStatus
from app.messages import Message
from app.store.database import Database
from app.store.rows import MESSAGES, owned_by, rows, session_row, unended
from app.store.tables import HELD, MessageRow, RunRow, SessionRow, StateRow


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's conversation."""

    session_id: str
    """The session's id."""
    agent: str
    """The agent's name."""
    user_id: str | None
    """The end user that it belongs to."""
    version: int
    """Raised with each state that is saved, and by going back."""
    turns: int
    """How many completed runs the conversation has."""
    active_run_id: str | None
    """The run that goes on, or waits for a person."""
    created_at: datetime
    """When its first run was asked for, or it was forked."""
    updated_at: datetime
    """When something last happened in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A message's place in its session: the turn it belongs to, and its position there."""

    turn: int
    position: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """What went with a session: all its runs, and those of them that had not ended."""

    run_ids: list[str]
    unended: list[str]


class SessionStore:
    """Sessions of all callers; whoever asks names the caller, and finds only the caller's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, caller: Caller, limit: int, after: tuple[datetime, str] | None, *, agents: Collection[str] | None = None
    ) -> list[Session]:
        """The caller's sessions, of these agents where any are named, the latest first.

        They come from after the one updated at that time with that id.
        """
        query = _mine(caller).order_by(SessionRow.updated_at.desc(), SessionRow.id.desc()).limit(limit)
        if agents is not None:
            query = query.where(SessionRow.agent.in_(agents))
        if after is not None:
            query = query.where(tuple_(SessionRow.updated_at, SessionRow.id) < tuple_(*after))
        return [_session(row) for row in await self._database.read(rows, query)]

    async def get(self, session_id: str, caller: Caller) -> Session:
        """Raises NotFound."""
        return await self._database.read(the_session, session_id, caller)

    async def messages(self, session_id: str, limit: int, after: Place | None) -> list[tuple[Place, Message]]:
        """What the conversation holds, oldest first. The session must have been found for the caller."""
        query = (
            select(MessageRow.turn, MessageRow.position, MessageRow.body)
            .where(MessageRow.session_id == session_id, MessageRow.turn.is_not(None))
            .order_by(MessageRow.turn, MessageRow.position)
            .limit(limit)
        )
        if after is not None:
            place = tuple_(MessageRow.turn, MessageRow.position)
            query = query.where(place > tuple_(after.turn, after.position))
        found: Any = await self._database.read(rows, query)
        return [(Place(turn, position), MESSAGES.validate_json(body)) for turn, position, body in found]

    async def delete(self, session_id: str, caller: Caller) -> Deleted:
        """Remove the session with its runs and messages, those too that wait: for their turn, or for a person.

        Raises NotFound, and SessionBusy while a process executes one.
        """
        return await self._database.write(_delete, session_id, caller)


def _delete(connection: Connection, session_id: str, caller: Caller) -> Deleted:
    if session_row(connection, session_id, caller) is None:
        raise no_session(session_id)
    unended(connection, session_id)
    gone = connection.execute(
        delete(RunRow)
        .where(RunRow.session_id == session_id, RunRow.status != RunStatus.RUNNING)
        .returning(RunRow.id, RunRow.finished_at)
    ).all()
    # Looked for afterwards: a process that was taking one from the queue has it now, and kept it from going.
    running = connection.scalar(select(RunRow.id).where(RunRow.session_id == session_id))
    if running is not None:
        raise SessionBusy(f"Session {session_id!r} has a run going on: cancel run {running!r} first.", retry_after_s=1)
    connection.execute(delete(SessionRow).where(SessionRow.id == session_id))
    return Deleted([row.id for row in gone], [row.id for row in gone if row.finished_at is None])


def no_session(session_id: str) -> NotFound:
    return NotFound(f"There is no session {session_id!r}.")


def the_session(connection: Connection, session_id: str, caller: Caller) -> Session:
    """Raises NotFound."""
    row = connection.execute(_mine(caller).where(SessionRow.id == session_id)).first()
    if row is None:
        raise no_session(session_id)
    return _session(row)


_ACTIVE = (
    select(RunRow.id)
    .where(RunRow.session_id == SessionRow.id, text(HELD))  # the index's own words: there is one at most
    .correlate(SessionRow)
    .scalar_subquery()
    .label("active_run_id")
)


def _mine(caller: Caller) -> Any:
    owner = owned_by(caller)
    return (
        select(SessionRow.__table__, StateRow.turn, _ACTIVE)
        .outerjoin(StateRow, and_(StateRow.session_id == SessionRow.id, StateRow.version == SessionRow.version))
        .where(SessionRow.tenant == owner["tenant"], SessionRow.user_id == owner["user_id"])
    )


def _session(row: Any) -> Session:
    return Session(
        session_id=row.id,
        agent=row.agent,
        user_id=row.user_id or None,
        version=row.version,
        turns=row.turn or 0,
        active_run_id=row.active_run_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
