"""What a caller may have: runs at once, and tokens and money a day. Asked in the transaction that admits a run."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from app.caller import Caller
from app.errors import BudgetSpent, RateLimited
from app.events import ENDED
from app.store.rows import owned_by
from app.store.tables import RunRow


@dataclass(frozen=True, slots=True)
class Limits:
    """What admission holds runs to; None is no limit."""

    queued: int = 1000
    """Runs of one session that wait."""
    turns: int | None = None
    """Completed runs of one session."""
    unended: int | None = None
    """Runs of one caller that have not ended."""
    tokens: int | None = None
    """What a caller's runs may use a day, in UTC."""
    usd: float | None = None

    keys: timedelta = timedelta(hours=24)
    """How long an Idempotency-Key stands for its run."""

    @property
    def of_callers(self) -> bool:
        return not (self.unended is self.tokens is self.usd is None)


def within(connection: Connection, caller: Caller, limits: Limits, now: datetime) -> None:
    """Raises RateLimited and BudgetSpent. A run that has not ended counts nothing for the day yet."""
    owner = owned_by(caller)
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        name = f"{owner['tenant']}\n{owner['user_id']}"
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
    mine = (RunRow.tenant == owner["tenant"], RunRow.user_id == owner["user_id"])
    if limits.unended is not None:
        unended = select(func.count()).where(*mine, RunRow.status.not_in(ENDED))
        if (connection.scalar(unended) or 0) >= limits.unended:
            raise RateLimited(
                f"{limits.unended} of the caller's runs have not ended: wait for one, or cancel it.", retry_after_s=1
            )
    if limits.tokens is None and limits.usd is None:
        return
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    spent = select(
        func.coalesce(func.sum(RunRow.input_tokens + RunRow.output_tokens), 0),
        func.sum(RunRow.cost_usd),
    ).where(*mine, RunRow.created_at >= today)
    tokens, usd = connection.execute(spent).one()
    tomorrow = int((today + timedelta(days=1) - now).total_seconds()) + 1
    if limits.tokens is not None and tokens >= limits.tokens:
        raise BudgetSpent(f"The caller's {limits.tokens} tokens of today are spent.", retry_after_s=tomorrow)
    if limits.usd is not None and (usd or 0.0) >= limits.usd:
        raise BudgetSpent(f"The caller's {limits.usd} US dollars of today are spent.", retry_after_s=tomorrow)
