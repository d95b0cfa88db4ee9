"""What sessions knew: their saved states, forks from them, and the way back to them.

A conversation is its session's messages that have a turn, and each saved state knows those up to its own. Going back
takes the later messages out of the conversation, though not out of their runs' records, and removes the later states.
So every state that is kept is one of the conversation as it is, and can be forked from and gone back to.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, literal, select, union, update
from sqlalchemy.dialects.postgresql import insert as insert_unless

from app.caller import Caller
from app.errors import NotFound, NotInConversation, SessionBusy, SessionExists, StateGone
from app.store.database import Database
from app.store.rows import owned_by, rows, runs_of, session_row, unended
from app.store.sessions import Session, no_session, the_session
from app.store.tables import MessageRow, RunRow, SessionRow, StateRow, Utc


@dataclass(frozen=True, slots=True)
class Version:
    """A state that was saved, and is kept."""

    version: int
    """Its number: what a fork or a rewind names it by."""
    run_id: str | None
    """The run that saved it; null where that is not known."""
    turn: int
    """How many completed runs it knows."""
    created_at: datetime
    """When it was saved."""
    bytes: int
    """How large it is."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point in a conversation: a completed run of it, or a version; where neither is given, its end."""

    run_id: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known at a point: so many turns, by the state of that version; None where there was no turn yet."""

    turn: int
    version: int | None


class History:
    """Of all callers' sessions; whoever asks names the caller. Each function is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(self, session_id: str, limit: int, before: int | None) -> list[Version]:
        """The states that are kept, newest first, older than that. The session must have been found for the caller."""
        query = (
            select(
                StateRow.version,
                StateRow.run_id,
                StateRow.turn,
                StateRow.created_at,
                func.length(StateRow.state).label("bytes"),
            )
            .where(StateRow.session_id == session_id)
            .order_by(StateRow.version.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(StateRow.version < before)
        return [Version(*row) for row in await self._database.read(rows, query)]

    async def fork(self, session_id: str, caller: Caller, at: Point, new_id: str) -> Session:
        """A new session of the caller's, with the conversation up to and with that point; the first is left as it is.

        Raises NotFound, SessionExists, NotInConversation, and StateGone.
        """
        return await self._database.write(_fork, session_id, caller, at, new_id)

    async def rewind(self, session_id: str, caller: Caller, to: Point) -> Session:
        """Take the conversation back to before that run, or to that version; nothing is done where it is there already.

        Raises NotFound, NotInConversation, StateGone, and SessionBusy while a run has not ended.
        """
        return await self._database.write(_rewind, session_id, caller, to)


def _fork(connection: Connection, session_id: str, caller: Caller, at: Point, new_id: str) -> Session:
    now = datetime.now(UTC)
    origin = _locked(connection, session_id, caller)
    if at.run_id is not None:
        known = _at_turn(connection, session_id, _turn_of(connection, session_id, caller, at.run_id))
    else:
        version = origin.version if at.version is None else at.version
        known = _at_version(connection, session_id, origin.version, version)
    made = insert_unless(SessionRow).values(
        id=new_id,
        **owned_by(caller),
        agent=origin.agent,
        version=0 if known.version is None else 1,
        created_at=now,
        updated_at=now,
    )
    if connection.execute(made.on_conflict_do_nothing().returning(SessionRow.id)).first() is None:
        the_session(connection, new_id, caller)  # another caller's is not told of
        raise SessionExists(f"There is a session {new_id!r} already: take another session_id, or leave it out.")
    if known.version is not None:
        _copy_state(connection, session_id, known.version, new_id, 1, now)
    columns = (MessageRow.run_id, MessageRow.position, MessageRow.turn, MessageRow.body)
    connection.execute(
        insert(MessageRow).from_select(
            [MessageRow.session_id, *columns],
            select(literal(new_id), *columns).where(MessageRow.session_id == session_id, MessageRow.turn <= known.turn),
        )
    )
    return the_session(connection, new_id, caller)


def _rewind(connection: Connection, session_id: str, caller: Caller, to: Point) -> Session:
    now = datetime.now(UTC)
    session = _locked(connection, session_id, caller)
    if going_on := unended(connection, session_id):
        raise SessionBusy(
            f"Session {session_id!r} has a run that has not ended: wait for {going_on[0].id!r}, or cancel it.",
            retry_after_s=1,
        )
    if to.run_id is not None:
        turn = _turn_of(connection, session_id, caller, to.run_id)
        known = _at_turn(connection, session_id, turn - 1)
    else:
        known = _at_version(connection, session_id, session.version, to.version or 0)
    now_known = _at_version(connection, session_id, session.version, session.version)
    if known.turn < now_known.turn:
        _go_back(connection, session_id, session.version + 1, known, now)
    return the_session(connection, session_id, caller)


def _locked(connection: Connection, session_id: str, caller: Caller) -> Row[Any]:
    row: Row[Any] | None = session_row(connection, session_id, caller)
    if row is None:
        raise no_session(session_id)
    return row


def _turn_of(connection: Connection, session_id: str, caller: Caller, run_id: str) -> int:
    """Which turn of the conversation that run is; in a fork, it is a run of the first session."""
    tables = (MessageRow, StateRow)
    of_run = [select(row.turn).where(row.session_id == session_id, row.run_id == run_id) for row in tables]
    turn: int | None = connection.scalar(select(func.max(union(*of_run).subquery().c.turn)))
    if turn is None:
        if connection.execute(runs_of(caller).where(RunRow.id == run_id)).first() is None:
            raise NotFound(f"There is no run {run_id!r}.")
        raise NotInConversation(
            f"Run {run_id!r} is no completed run of session {session_id!r}, or was taken out of its conversation."
        )
    return turn


def _at_turn(connection: Connection, session_id: str, turn: int) -> _Known:
    if turn == 0:
        return _Known(0, None)
    query = select(func.max(StateRow.version)).where(StateRow.session_id == session_id, StateRow.turn == turn)
    version: int | None = connection.scalar(query)
    if version is None:
        raise _gone(session_id)
    return _Known(turn, version)


def _at_version(connection: Connection, session_id: str, current: int, version: int) -> _Known:
    query = select(StateRow.turn).where(StateRow.session_id == session_id, StateRow.version == version)
    turn: int | None = connection.scalar(query)
    if turn is not None:
        return _Known(turn, version)
    if version in (0, current):
        return _Known(0, None)
    if version > current:
        raise NotFound(f"Session {session_id!r} has no version {version} yet: it is at {current}.")
    raise _gone(session_id)


def _gone(session_id: str) -> StateGone:
    return StateGone(f"That state is no longer kept: GET /sessions/{session_id}/versions lists those that are.")


def _copy_state(
    connection: Connection, from_id: str, from_version: int, to_id: str, to_version: int, now: datetime
) -> None:
    same = (StateRow.run_id, StateRow.turn, StateRow.state)
    connection.execute(
        insert(StateRow).from_select(
            [StateRow.session_id, StateRow.version, StateRow.created_at, *same],
            select(literal(to_id), literal(to_version), literal(now, Utc), *same).where(
                StateRow.session_id == from_id, StateRow.version == from_version
            ),
        )
    )


def _go_back(connection: Connection, session_id: str, version: int, to: _Known, now: datetime) -> None:
    """The new version has what was known then. It is not the old one's number: whoever has loaded that could save."""
    if to.version is not None:
        _copy_state(connection, session_id, to.version, session_id, version, now)
    connection.execute(delete(StateRow).where(StateRow.session_id == session_id, StateRow.turn > to.turn))
    connection.execute(
        update(MessageRow).where(MessageRow.session_id == session_id, MessageRow.turn > to.turn).values(turn=None)
    )
    connection.execute(update(SessionRow).where(SessionRow.id == session_id).values(version=version, updated_at=now))
