"""News of runs' ends that are still to be delivered. The transaction that ends a run inserts them (see `runs`).

Delivery is at least once. Whoever claims one puts its next time off by a while, in the transaction in which it reads
it: no other process takes it meanwhile, no lock is held while a receiver thinks, and when the claimer dies the row is
simply due again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from app.events import Run
from app.store.database import Database
from app.store.rows import run_of
from app.store.tables import RunRow, WebhookRow


@dataclass(frozen=True, slots=True)
class Due:
    """One that is to be tried now."""

    run: Run
    """Ended, and without its messages."""
    url: str
    attempts: int
    """How often it was tried before."""

    @property
    def run_id(self) -> str:
        return self.run.run_id


class WebhookStore:
    """The webhooks of all runs, and where each of them stands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int, now: datetime, hold_s: float) -> list[Due]:
        """Those that are due, the longest first; nobody else gets them for `hold_s` seconds."""
        query = (
            select(WebhookRow.run_id, WebhookRow.url, WebhookRow.attempts)
            .where(WebhookRow.next_at <= now)
            .order_by(WebhookRow.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True)  # SQLite has one writer at a time, and no such words
        )
        found = await self._database.write(_claim, query, now + timedelta(seconds=hold_s))
        return [Due(run_of(run, []), url, attempts) for run, url, attempts in found]

    async def delivered(self, run_id: str, now: datetime) -> None:
        """The receiver has it: it is never due again."""
        told = update(WebhookRow).where(WebhookRow.run_id == run_id).values(next_at=None, delivered_at=now)
        await self._database.write(Connection.execute, told)

    async def failed(self, run_id: str, attempts: int, next_at: datetime | None) -> None:
        """Its attempt number `attempts` failed, and it is tried again then, or never.

        Nothing changes where another process has meanwhile recorded that attempt, or delivered it: a claim may
        outlast its hold.
        """
        tried = update(WebhookRow).where(
            WebhookRow.run_id == run_id, WebhookRow.attempts == attempts - 1, WebhookRow.delivered_at.is_(None)
        )
        await self._database.write(Connection.execute, tried.values(attempts=attempts, next_at=next_at))


def _claim(connection: Connection, which: Any, until: datetime) -> list[tuple[Row[Any], str, int]]:
    """Runs, URLs and attempts."""
    due = connection.execute(which).all()
    if not due:
        return []
    run_ids = [run_id for run_id, *_ in due]
    connection.execute(update(WebhookRow).where(WebhookRow.run_id.in_(run_ids)).values(next_at=until))
    found = connection.execute(select(RunRow.__table__).where(RunRow.id.in_(run_ids)))
    runs = {row.id: row for row in found}
    return [(runs[run_id], url, attempts) for run_id, url, attempts in due]
