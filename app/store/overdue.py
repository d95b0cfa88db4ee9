"""Runs that nobody has any more, and questions that nobody answered: what the keeper of each process looks for."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

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
        return {owner for (owner,) in await self._database.read(rows, _OWNERS) if owner is not None}

    async def length(self) -> int:
        """How many runs wait for a process, of all sessions."""
        return await self._database.read(Connection.scalar, _LENGTH) or 0

    async def take_over(self, dead: Collection[str], *, unvouched: bool = True) -> list[str]:
        """Of runs whose process is dead, or has not vouched for them: queue again, or end. Those runs' ids."""
        lost, of = _LOST[unvouched], {"dead": list(dead)}
        if not await self._database.read(rows, lost, of):
            return []
        return await self._database.write(self._take_over, lost.with_for_update(skip_locked=True), of)

    async def expire_inputs(self) -> list[str]:
        """Fail the runs whose questions nobody answered in time; their ids."""
        now = {"now": datetime.now(UTC)}
        if not await self._database.read(rows, _UNANSWERED, now):
            return []
        return await self._database.write(_expire, _UNANSWERED.with_for_update(of=RunRow, skip_locked=True), now)

    def _take_over(self, connection: Connection, lost: Any, of: dict[str, Any]) -> list[str]:
        found, now = rows(connection, lost, of), datetime.now(UTC)
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


_OWNERS = select(RunRow.owner).where(RunRow.status == RunStatus.RUNNING).distinct()
_LENGTH = select(func.count()).select_from(RunRow).where(QUEUED)
_LEFT = RunRow.owner.in_(bindparam("dead", expanding=True)) | RunRow.owner.is_(None)
_LOST = {
    unvouched: select(RunRow.__table__).where(RunRow.status == RunStatus.RUNNING, whose).limit(BATCH)
    for unvouched, whose in ((False, _LEFT), (True, _LEFT | (RunRow.lease_expires_at < later())))
}
_UNANSWERED = (
    select(RunRow.__table__)
    .join(InputRow, InputRow.run_id == RunRow.id)
    .where(InputRow.answered_at.is_(None), InputRow.expires_at < bindparam("now"))
    .where(RunRow.status == RunStatus.INPUT_REQUIRED)
    .limit(BATCH)
)
"""Made once: each process asks every second, and half of what that took was to make them."""


def _expire(connection: Connection, overdue: Any, when: dict[str, Any]) -> list[str]:
    expired = InputExpired("Nobody answered the run's question in time: run it again.")
    found = rows(connection, overdue, when)
    for row in found:
        end(connection, row, RunStatus.FAILED, error=expired)
    return [row.id for row in found]
