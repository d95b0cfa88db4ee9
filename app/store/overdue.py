"""Runs that nobody has any more, and questions that nobody answered: what the keeper of each process looks for."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from app.errors import InputExpired
from app.events import RunStatus
from app.store.clock import later
from app.store.database import Database
from app.store.rows import INTERRUPTED, LOST, end, rows
from app.store.tables import QUEUED, InputRow, RunRow

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
        return {owner for (owner,) in await self._database.read(rows, query) if owner is not None}

    async def length(self) -> int:
        """How many runs wait for a process, of all sessions."""
        query = select(func.count()).select_from(RunRow).where(QUEUED)
        return await self._database.read(Connection.scalar, query) or 0

    async def take_over(self, dead: Collection[str], *, unvouched: bool = True) -> list[str]:
        """Of runs whose process is dead, or has not vouched for them: queue again, or end. Those runs' ids."""
        whose = RunRow.owner.in_(dead) | RunRow.owner.is_(None)
        if unvouched:
            whose |= RunRow.lease_expires_at < later()
        lost = select(RunRow.__table__).where(RunRow.status == RunStatus.RUNNING, whose)
        if not await self._database.read(rows, lost.limit(1)):
            return []
        locked = lost.limit(BATCH).with_for_update(skip_locked=True)
        return await self._database.write(self._take_over, locked)

    async def expire_inputs(self) -> list[str]:
        """Fail the runs whose questions nobody answered in time; their ids."""
        overdue = (
            select(RunRow.__table__)
            .join(InputRow, InputRow.run_id == RunRow.id)
            .where(InputRow.answered_at.is_(None), InputRow.expires_at < datetime.now(UTC))
            .where(RunRow.status == RunStatus.INPUT_REQUIRED)
            .limit(BATCH)
        )
        if not await self._database.read(rows, overdue):
            return []
        return await self._database.write(_expire, overdue.with_for_update(of=RunRow, skip_locked=True))

    def _take_over(self, connection: Connection, lost: Any) -> list[str]:
        found, now = rows(connection, lost), datetime.now(UTC)
        for row in found:
            if row.stop_wish is not None:
                reason = INTERRUPTED if row.stop_wish == "interrupted" else "Cancelled by the caller."
                end(connection, row, RunStatus.CANCELLED, stop_reason=reason)
            elif row.background and row.restarts < self._max_restarts:
                connection.execute(
                    update(RunRow)
                    .where(RunRow.id == row.id, RunRow.attempt == row.attempt)
                    .values(status=RunStatus.QUEUED, owner=None, queued_at=now, restarts=row.restarts + 1)
                )
            else:
                end(connection, row, RunStatus.FAILED, error=LOST)
        return [row.id for row in found]


def _expire(connection: Connection, overdue: Any) -> list[str]:
    expired = InputExpired("Nobody answered the run's question in time: run it again.")
    found = rows(connection, overdue)
    for row in found:
        end(connection, row, RunStatus.FAILED, error=expired)
    return [row.id for row in found]
