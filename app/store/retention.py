"""What has had its time is removed, a few rows at a time, so that nobody waits; several processes may do it at once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Select, delete, exists, select

from app.events import ENDED
from app.store.database import Database
from app.store.tables import IdempotencyRow, MessageRow, RunRow, SessionRow

BATCH = 100


@dataclass(frozen=True, slots=True)
class Removed:
    """How many sessions, and which runs went with them."""

    sessions: int = 0
    run_ids: list[str] = field(default_factory=list)


class Retention:
    """Of sessions and of runs, None keeps them for ever, and of Idempotency-Keys."""

    def __init__(self, database: Database, sessions: timedelta | None, runs: timedelta | None, keys: timedelta) -> None:
        self._database = database
        self._sessions = sessions
        self._runs = runs
        self._keys = keys

    async def expire_keys(self) -> None:
        """Remove keys that stand for nothing any more."""
        old = IdempotencyRow.created_at < datetime.now(UTC) - self._keys
        await self._database.write(Connection.execute, delete(IdempotencyRow).where(old))

    async def expire_sessions(self) -> Removed:
        """Remove sessions in which nothing has happened for so long, with everything of theirs.

        A session with a run that has not ended stays.
        """
        if self._sessions is None:
            return Removed()
        before = datetime.now(UTC) - self._sessions
        recent = (RunRow.status.not_in(ENDED)) | (RunRow.id >= _first_id(before))
        old = (
            select(SessionRow.id)
            .where(SessionRow.updated_at < before, ~exists().where(RunRow.session_id == SessionRow.id, recent))
            .order_by(SessionRow.updated_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        return await self._database.write(_remove_sessions, old)

    async def expire_runs(self) -> list[str]:
        """Remove ended runs of that age, with what was asked and said of them; the conversation they made stays."""
        if self._runs is None:
            return []
        old = (
            select(RunRow.id)
            .where(RunRow.id < _first_id(datetime.now(UTC) - self._runs), RunRow.status.in_(ENDED))
            .order_by(RunRow.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        return await self._database.write(_remove_runs, old)


def _remove_sessions(connection: Connection, which: Select[str]) -> Removed:
    session_ids = connection.scalars(which).all()
    if not session_ids:
        return Removed()
    of_them = delete(RunRow).where(RunRow.session_id.in_(session_ids)).returning(RunRow.id)
    run_ids = connection.scalars(of_them).all()
    connection.execute(delete(SessionRow).where(SessionRow.id.in_(session_ids)))
    return Removed(len(session_ids), list(run_ids))


def _remove_runs(connection: Connection, which: Select[str]) -> list[str]:
    run_ids = connection.scalars(which).all()
    if run_ids:
        connection.execute(delete(MessageRow).where(MessageRow.run_id.in_(run_ids), MessageRow.turn.is_(None)))
        connection.execute(delete(RunRow).where(RunRow.id.in_(run_ids)))
    return list(run_ids)


def _first_id(moment: datetime) -> str:
    """What every id of a run that was made from then on is not below: they are UUIDs of version 7."""
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
