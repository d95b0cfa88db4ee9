"""Runs that nobody has any more, and questions that nobody answered: what the keeper of each process looks for."""

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import func, select, text, update

from app.errors import InputExpired
from app.events import RunStatus
from app.store.database import Database
from app.store.rows import INTERRUPTED, LOST, end
from app.store.tables import InputRow, RunRow

BATCH = 100
"""Rows that one look takes."""


class Overdue:
    """Several processes may look at once."""

    def __init__(self, database: Database, max_restarts: int) -> None:
        self._database = database
        self._max_restarts = max_restarts

    async def owners(self) -> set[str]:
        """The processes that have runs."""
        query = select(RunRow.owner).where(RunRow.status == RunStatus.RUNNING).distinct()
        async with self._database.reading() as connection:
            return {owner for owner in await connection.scalars(query) if owner is not None}

    async def length(self) -> int:
        """How many runs wait for a process, of all sessions."""
        query = select(func.count()).where(text("status = 'queued'"))  # the index's own words
        async with self._database.reading() as connection:
            return await connection.scalar(query.select_from(RunRow)) or 0

    async def take_over(self, dead: Collection[str], *, unvouched: bool = True) -> list[str]:
        """Of runs whose process is dead, or has not vouched for them: queue again, or end. Those runs' ids."""
        now = datetime.now(UTC)
        whose = RunRow.owner.in_(dead) | RunRow.owner.is_(None)
        if unvouched:
            whose |= RunRow.lease_expires_at < self._database.later()
        lost = select(RunRow.__table__).where(RunRow.status == RunStatus.RUNNING, whose)
        async with self._database.reading() as connection:
            if (await connection.execute(lost.limit(1))).first() is None:
                return []
        async with self._database.writing() as connection:
            rows = (await connection.execute(lost.limit(BATCH).with_for_update(skip_locked=True))).all()
            for row in rows:
                if row.stop_wish is not None:
                    reason = INTERRUPTED if row.stop_wish == "interrupted" else "Cancelled by the caller."
                    await end(connection, row, RunStatus.CANCELLED, stop_reason=reason)
                elif row.background and row.restarts < self._max_restarts:
                    await connection.execute(
                        update(RunRow)
                        .where(RunRow.id == row.id, RunRow.attempt == row.attempt)
                        .values(status=RunStatus.QUEUED, owner=None, queued_at=now, restarts=row.restarts + 1)
                    )
                else:
                    await end(connection, row, RunStatus.FAILED, error=LOST)
        return [row.id for row in rows]

    async def expire_inputs(self) -> list[str]:
        """Fail the runs whose questions nobody answered in time; their ids."""
        now = datetime.now(UTC)
        overdue = (
            select(RunRow.__table__)
            .join(InputRow, InputRow.run_id == RunRow.id)
            .where(InputRow.answered_at.is_(None), InputRow.expires_at < now)
            .where(RunRow.status == RunStatus.INPUT_REQUIRED)
        )
        async with self._database.reading() as connection:
            found = (await connection.execute(overdue.limit(BATCH))).all()
        if not found:
            return []
        expired = InputExpired("Nobody answered the run's question in time: run it again.")
        async with self._database.writing() as connection:
            locked = overdue.limit(BATCH).with_for_update(of=RunRow, skip_locked=True)
            rows = (await connection.execute(locked)).all()
            for row in rows:
                await end(connection, row, RunStatus.FAILED, error=expired)
        return [row.id for row in rows]
