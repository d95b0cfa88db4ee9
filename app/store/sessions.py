"""Sessions as their owner sees them: listed, read, deleted. Runs write them (see `runs`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_

from app.caller import Caller
from app.errors import NotFound, SessionBusy
from app.events import RunStatus
from app.messages import Message
from app.store.database import Database
from app.store.runs import MESSAGES, owned_by
from app.store.tables import MessageRow, RunRow, SessionRow


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's conversation."""

    session_id: str
    agent: str
    user_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """A message's place in its session: the run it belongs to, and its position there."""

    run_id: str
    position: int


class SessionStore:
    """Sessions of all callers; whoever asks names the caller, and finds only the caller's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, caller: Caller, limit: int, after: tuple[datetime, str] | None) -> list[Session]:
        """The caller's sessions, the latest first, from after the one updated at that time with that id."""
        query = _mine(caller).order_by(SessionRow.updated_at.desc(), SessionRow.id.desc()).limit(limit)
        if after is not None:
            query = query.where(tuple_(SessionRow.updated_at, SessionRow.id) < tuple_(*after))
        async with self._database.reading() as connection:
            return [_session(row) for row in await connection.execute(query)]

    async def get(self, session_id: str, caller: Caller) -> Session:
        """Raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_mine(caller).where(SessionRow.id == session_id))).first()
        if row is None:
            raise NotFound(f"There is no session {session_id!r}.")
        return _session(row)

    async def messages(self, session_id: str, limit: int, after: Place | None) -> list[tuple[Place, Message]]:
        """What was said in the completed runs, oldest first. The session must have been found for the caller."""
        query = (
            select(MessageRow.run_id, MessageRow.position, MessageRow.body)
            .join(RunRow, RunRow.id == MessageRow.run_id)
            .where(MessageRow.session_id == session_id, RunRow.status == RunStatus.COMPLETED)
            .order_by(MessageRow.run_id, MessageRow.position)
            .limit(limit)
        )
        if after is not None:
            place = tuple_(MessageRow.run_id, MessageRow.position)
            query = query.where(place > tuple_(after.run_id, after.position))
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
            return [(Place(run_id, position), MESSAGES.validate_json(body)) for run_id, position, body in rows]

    async def delete(self, session_id: str, caller: Caller) -> None:
        """Remove the session with its runs and messages; raises NotFound, or SessionBusy while one runs."""
        owner = owned_by(caller)
        async with self._database.writing() as connection:
            running = await connection.scalar(
                select(RunRow.id).where(
                    RunRow.session_id == session_id,
                    RunRow.tenant == owner["tenant"],
                    RunRow.user_id == owner["user_id"],
                    RunRow.status == RunStatus.RUNNING,
                )
            )
            if running is not None:
                raise SessionBusy(
                    f"Session {session_id!r} has a run going on: cancel run {running!r} first.",
                    retry_after_s=1,
                )
            deleted = await connection.execute(
                delete(SessionRow)
                .where(
                    SessionRow.id == session_id,
                    SessionRow.tenant == owner["tenant"],
                    SessionRow.user_id == owner["user_id"],
                )
                .returning(SessionRow.id)
            )
            if deleted.first() is None:
                raise NotFound(f"There is no session {session_id!r}.")


def _mine(caller: Caller) -> Any:
    owner = owned_by(caller)
    return select(SessionRow.__table__).where(
        SessionRow.tenant == owner["tenant"], SessionRow.user_id == owner["user_id"]
    )


def _session(row: Any) -> Session:
    return Session(row.id, row.agent, row.user_id or None, row.created_at, row.updated_at)
