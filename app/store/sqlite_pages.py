"""Pages for the workers of one machine, in an SQLite file of their own beside the database.

A file of their own, so that no token waits for the database's one writer; and no SQLAlchemy, because each of these
statements is a transaction that takes some 50 microseconds. One thread a process does them all, in order.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.errors import Unavailable
from app.events import Position
from app.store.database import TIMEOUT_S
from app.store.page import READ_BYTES, Page
from app.store.peers import Peers

T = TypeVar("T")

_MAKE = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS pages (
        run_id TEXT, attempt INTEGER, last_seq INTEGER, first_seq INTEGER, body BLOB, created_at REAL,
        PRIMARY KEY (run_id, attempt, last_seq)
    );
    CREATE INDEX IF NOT EXISTS pages_by_age ON pages (created_at);
"""
_APPEND = """
    INSERT INTO pages (run_id, attempt, last_seq, first_seq, body, created_at)
    SELECT :run_id, :attempt, :last_seq, :first_seq, :body, :now
    WHERE NOT EXISTS (SELECT 1 FROM pages WHERE run_id = :run_id AND (attempt, last_seq) >= (:attempt, :last_seq))
"""
_READ = """
    SELECT attempt, first_seq, last_seq, body FROM pages
    WHERE run_id = ? AND (attempt, last_seq) > (?, ?) ORDER BY attempt, last_seq
"""
_TAIL = "SELECT attempt, last_seq FROM pages WHERE run_id = ? ORDER BY attempt DESC, last_seq DESC LIMIT 1"
_EXPIRE = """
    DELETE FROM pages WHERE rowid IN (SELECT rowid FROM pages WHERE created_at < ? ORDER BY created_at LIMIT ?)
"""


class SqlitePages:
    """As `Pages` has it."""

    def __init__(self, path: Path, ttl_s: float, peers: Peers) -> None:
        self._path = path
        self._ttl_s = ttl_s
        self._peers = peers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pages")
        self._connection: sqlite3.Connection

    async def start(self) -> None:
        await self._do(self._open)

    async def close(self) -> None:
        """After what is under way."""
        await self._do(self._close)
        self._thread.shutdown(wait=False)

    async def append(self, pages: Sequence[Page]) -> None:
        if pages:
            await self._do(lambda: self._append(pages))
            await self._peers.tell("events", *dict.fromkeys(page.run_id for page in pages))

    async def read(self, run_id: str, after: Position, limit_bytes: int = READ_BYTES) -> list[Page]:
        return await self._do(lambda: self._read(run_id, after, limit_bytes))

    async def tail(self, run_id: str) -> Position | None:
        row = await self._do(lambda: self._connection.execute(_TAIL, (run_id,)).fetchone())
        return Position(*row) if row else None

    async def forget(self, run_ids: Collection[str]) -> None:
        rows = [(run_id,) for run_id in run_ids]
        await self._do(lambda: self._connection.executemany("DELETE FROM pages WHERE run_id = ?", rows))

    async def expire(self, limit: int = 1000) -> int:
        before = time.time() - self._ttl_s
        return await self._do(lambda: self._connection.execute(_EXPIRE, (before, limit)).rowcount)

    async def ping(self) -> None:
        await self._do(lambda: self._connection.execute(_TAIL, ("",)).fetchone())

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise Unavailable("The events of runs cannot be reached: try again.", retry_after_s=2) from error

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)
        self._connection.executescript(_MAKE)

    def _close(self) -> None:
        self._connection.close()

    def _append(self, pages: Sequence[Page]) -> None:
        now = time.time()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for page in pages:
                self._connection.execute(
                    _APPEND,
                    {
                        "run_id": page.run_id,
                        "attempt": page.attempt,
                        "first_seq": page.first_seq,
                        "last_seq": page.last_seq,
                        "body": page.body,
                        "now": now,
                    },
                )
        except sqlite3.Error:
            self._connection.rollback()
            raise
        self._connection.commit()

    def _read(self, run_id: str, after: Position, limit_bytes: int) -> list[Page]:
        pages: list[Page] = []
        for attempt, first_seq, last_seq, body in self._connection.execute(_READ, (run_id, *after)):
            pages.append(Page(run_id, attempt, first_seq, last_seq, body))
            limit_bytes -= len(body)
            if limit_bytes <= 0:
                break
        return pages
