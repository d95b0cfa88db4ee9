"""The engine and its transactions; migrations run before the first one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, func, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.errors import Unavailable
from app.progress import progress
from app.settings import Settings

logger = logging.getLogger(__name__)

HEAD = "0003"
"""The newest migration."""
MIGRATION_LOCK = 0x77616767
"""Postgres' advisory lock that lets one process migrate at a time."""
IDLE_CONNECTIONS = 5
"""As many stay open while nothing uses them."""
TIMEOUT_S = 10
"""How long a statement, a connection or SQLite's lock may take."""


class Database:
    """Owns the engine. Transactions are short: none is open while an agent runs."""

    def __init__(self, settings: Settings) -> None:
        self.url = _url(settings)
        self._engine = _engine(self.url, settings.database_connections)
        self._turn = asyncio.Lock() if self.url.startswith("sqlite") else None
        """Of SQLite's one writer: those of this process wait in order, and hold no connection meanwhile. SQLite's own
        waiting is by looking again and again, and passes some over until their time is up."""

    async def start(self) -> None:
        """Bring the schema up to date, in a thread of its own: Alembic blocks."""
        if self.url.startswith("sqlite"):
            await asyncio.to_thread(_parent_of, self.url)
        if await self._revision() != HEAD:
            await asyncio.to_thread(_migrate, self.url)

    async def close(self) -> None:
        await self._engine.dispose()

    async def ping(self) -> None:
        """Raises Unavailable when the database cannot be used."""
        async with asyncio.timeout(TIMEOUT_S), self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads; SQLite's writers do not wait for it."""
        with _answering():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(reads_only=True)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end and rolled back by an exception."""
        with _answering():
            async with self._in_turn(), self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        if self._turn is None:
            yield
            return
        async with asyncio.timeout(TIMEOUT_S):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def single(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement is a transaction of its own: one round trip instead of three."""
        with _answering():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    def later(self, by: timedelta = timedelta()) -> Any:
        """The moment that is `by` from now, for a statement: by the one clock that the database's processes share."""
        return func.now() + by if self._engine.dialect.name == "postgresql" else datetime.now(UTC) + by

    async def _revision(self) -> str | None:
        try:
            async with self._engine.connect() as connection:
                revision: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
                return revision
        except DBAPIError:
            return None  # no such table: nothing has been migrated; a dead database fails in _migrate, and says so


@contextmanager
def _answering() -> Iterator[None]:
    """A database that is locked, full, gone or too slow is Unavailable; the log has the driver's words."""
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError, TimeoutError) as error:
        if isinstance(error, DBAPIError) and not _passes(error):
            raise
        logger.warning("The database does not answer: %s", type(error).__name__, exc_info=True)
        raise Unavailable("The database does not answer: try again.", retry_after_s=2) from error


def _passes(error: DBAPIError) -> bool:
    """Whether it is the database's state rather than what it was asked.

    Of Postgres' errors, what SQLAlchemy has no class for is told by its code: connections, resources, operators.
    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        return True
    return str(getattr(error.orig, "sqlstate", "")).startswith(("08", "53", "57"))


def _url(settings: Settings) -> str:
    """The async driver's URL; `postgres://` and `postgresql://` are taken as they come."""
    if settings.database_url is None:
        return f"sqlite+aiosqlite:///{settings.data_dir / 'waggle.db'}"
    url = make_url(settings.database_url)
    drivers = {
        "postgres": "postgresql+asyncpg",
        "postgresql": "postgresql+asyncpg",
        "sqlite": "sqlite+aiosqlite",
    }
    return url.set(drivername=drivers.get(url.drivername, url.drivername)).render_as_string(hide_password=False)


def _parent_of(url: str) -> None:
    if database := make_url(url).database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)


def _engine(url: str, connections: int = 1) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(
            url,
            pool_pre_ping=True,
            pool_size=min(connections, IDLE_CONNECTIONS),
            max_overflow=max(0, connections - IDLE_CONNECTIONS),
            hide_parameters=True,  # what people said belongs in no log
            pool_timeout=TIMEOUT_S,
            connect_args={"timeout": TIMEOUT_S, "command_timeout": TIMEOUT_S},
        )
    engine = create_async_engine(url, pool_timeout=TIMEOUT_S, hide_parameters=True, connect_args={"timeout": TIMEOUT_S})
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    """WAL lets readers go on beside the writer; synchronous=NORMAL is durable but for a power cut's last commits."""
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock first: a read lock raised later fails at once, however long it may wait."""
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _migrate(url: str) -> None:
    from alembic import command  # noqa: PLC0415 0.2 s to import, needed once in a database's life
    from alembic.config import Config  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    def upgrade(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        known = MigrationContext.configure(connection).get_current_revision()
        steps = len(list(ScriptDirectory.from_config(config).iterate_revisions("head", known)))
        with progress("Bringing the database up to date", steps) as advance:
            config.attributes["applied"] = lambda **_: advance(1)
            command.upgrade(config, "head")

    async def run() -> None:
        engine = _engine(url)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(upgrade)
        finally:
            await engine.dispose()

    asyncio.run(run())
