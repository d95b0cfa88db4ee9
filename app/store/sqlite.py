"""SQLite: a thread that writes and one that reads, so that neither waits for the other, nor the event loop for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url

from app.store.lane import Lane

T = TypeVar("T")


class SqliteFile:
    """One file; other processes may use it too."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._writer = Lane(sqlite_engine(url, "BEGIN IMMEDIATE", timeout_s), timeout_s)
        self._reader = Lane(sqlite_engine(url, "BEGIN", timeout_s), timeout_s)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._reader.run(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._writer.run(work)

    async def close(self) -> None:
        for lane in (self._writer, self._reader):
            await lane.close()


def sqlite_engine(url: str, begin: str, timeout_s: float) -> Engine:
    """A writer begins with the write lock: a read lock raised later fails at once, however long it may wait."""

    def connect(connection: Any, _record: object) -> None:
        """WAL lets readers pass writers by; synchronous=NORMAL is durable but for a power cut's last commits."""
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": timeout_s})
    event.listen(engine, "connect", connect)
    # Not by an event, which has SQLAlchemy look for listeners at each statement: 0.08 ms of a run's 0.8.
    engine.dialect.do_begin = lambda connection: connection.execute(begin)  # type: ignore[assignment, method-assign]
    return engine


def make_parent(url: str) -> None:
    """The folder of the file."""
    if database := make_url(url).database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
