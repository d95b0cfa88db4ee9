"""Pages in Postgres, where there is no Redis: rows of `run_events`, announced in the transaction that inserts them."""

from collections.abc import Collection, Sequence

from app.events import Position
from app.store.database import Database
from app.store.notices import CHANNEL, written
from app.store.page import READ_BYTES, Page

_APPEND = """
    WITH kept AS (
        INSERT INTO run_events (run_id, attempt, first_seq, last_seq, body, created_at)
        SELECT new.*, now()
        FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::bytea[])
             AS new (run_id, attempt, first_seq, last_seq, body)
        WHERE NOT EXISTS (
            SELECT FROM run_events AS old
            WHERE old.run_id = new.run_id AND (old.attempt, old.last_seq) >= (new.attempt, new.last_seq)
        )
        ON CONFLICT DO NOTHING
    )
    SELECT set_config('synchronous_commit', 'off', true), pg_notify($7, notice)
    FROM unnest($6::text[]) AS notice
"""
_READ = """
    SELECT attempt, first_seq, last_seq, body FROM (
        SELECT attempt, first_seq, last_seq, body,
               sum(octet_length(body)) OVER (ORDER BY attempt, last_seq) - octet_length(body) AS before
        FROM run_events WHERE run_id = $1 AND (attempt, last_seq) > ($2, $3)
        ORDER BY attempt, last_seq LIMIT 1000
    ) AS next WHERE before < $4 ORDER BY attempt, last_seq
"""
_TAIL = "SELECT attempt, last_seq FROM run_events WHERE run_id = $1 ORDER BY attempt DESC, last_seq DESC LIMIT 1"
_FORGET = "DELETE FROM run_events WHERE run_id = ANY($1::text[])"
_EXPIRE = """
    DELETE FROM run_events WHERE (run_id, attempt, last_seq) IN (
        SELECT run_id, attempt, last_seq FROM run_events WHERE created_at < now() - make_interval(secs => $1)
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""


class PostgresPages:
    """Pages in the table `run_events`. Each method is one statement that is a transaction of its own."""

    def __init__(self, database: Database, ttl_s: float) -> None:
        self._database = database
        self._ttl_s = ttl_s

    async def start(self) -> None:
        """Nothing: the database has an owner."""

    async def close(self) -> None:
        """Nothing."""

    async def append(self, pages: Sequence[Page]) -> None:
        if not pages:
            return
        columns = zip(*((p.run_id, p.attempt, p.first_seq, p.last_seq, p.body) for p in pages), strict=True)
        notices = written("events", list(dict.fromkeys(page.run_id for page in pages)))
        await self._database.single(_APPEND, *map(list, columns), notices, CHANNEL)

    async def read(self, run_id: str, after: Position, limit_bytes: int = READ_BYTES) -> list[Page]:
        rows = await self._database.single(_READ, run_id, *after, limit_bytes)
        return [Page(run_id, row.attempt, row.first_seq, row.last_seq, row.body) for row in rows]

    async def tail(self, run_id: str) -> Position | None:
        row = (await self._database.single(_TAIL, run_id)).first()
        return Position(row.attempt, row.last_seq) if row else None

    async def forget(self, run_ids: Collection[str]) -> None:
        await self._database.single(_FORGET, list(run_ids))

    async def expire(self, limit: int = 1000) -> int:
        expired: int = (await self._database.single(_EXPIRE, self._ttl_s, limit)).rowcount
        return expired

    async def ping(self) -> None:
        await self._database.ping()
