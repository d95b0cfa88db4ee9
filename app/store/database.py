"""Transactions, and the migrations that run before the first one."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import Unavailable
from app.progress import progress
from app.settings import Settings
from app.store.postgres import PostgresServer
from app.store.sqlite import SqliteFile, make_parent, sqlite_engine

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

HEAD = "0003"
"""The newest migration."""
MIGRATION_LOCK = 0x77616767
"""Postgres' advisory lock that lets one process migrate at a time."""
TIMEOUT_S = 10
"""How long a statement, a connection or SQLite's lock may take."""


class Database:
    """Does transactions, each a function of a connection. They are short: none is open while an agent runs."""

    def __init__(self, settings: Settings) -> None:
        self.url = _url(settings)
        self._backend = _backend(self.url, settings.database_connections)

    async def start(self) -> None:
        """Bring the schema up to date, in a thread of its own: Alembic blocks."""
        if self.url.startswith("sqlite"):
            await asyncio.to_thread(make_parent, self.url)
        if await self._revision() != HEAD:
            await asyncio.to_thread(_migrate, self.url)

    async def close(self) -> None:
        await self._backend.close()

    async def ping(self) -> None:
        """Raises Unavailable when the database cannot be used."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.read(Connection.scalar, text("SELECT 1"))

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **options: P.kwargs) -> T:
        """In a transaction that only reads; SQLite's writers do not wait for it."""
        with _answering():
            return await self._backend.read(lambda connection: work(connection, *args, **options))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **options: P.kwargs) -> T:
        """In a transaction, committed at the end, and rolled back by an exception or where the caller is cancelled."""
        with _answering():
            return await self._backend.write(lambda connection: work(connection, *args, **options))

    async def single(self, statement: str, *parameters: Any) -> Any:
        """Postgres' alone: a statement that is a transaction of its own, with one round trip instead of three."""
        assert isinstance(self._backend, PostgresServer), "SQLite has no use for it"  # noqa: S101
        with _answering():
            return await self._backend.single(statement, parameters)

    async def _revision(self) -> str | None:
        try:
            return await self._backend.read(_revision)
        except DBAPIError:
            return None  # no such table: nothing has been migrated; a dead database fails in _migrate, and says so


def _revision(connection: Connection) -> str | None:
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


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
    """With the driver that is used, whichever is named; `postgres://` and `postgresql://` are taken as they come."""
    if settings.database_url is None:
        return f"sqlite:///{settings.data_dir / 'waggle.db'}"
    url = make_url(settings.database_url)
    drivers = {
        "postgres": "postgresql+asyncpg",
        "postgresql": "postgresql+asyncpg",
        "sqlite+aiosqlite": "sqlite",
    }
    return url.set(drivername=drivers.get(url.drivername, url.drivername)).render_as_string(hide_password=False)


def _backend(url: str, connections: int) -> SqliteFile | PostgresServer:
    return SqliteFile(url, TIMEOUT_S) if url.startswith("sqlite") else PostgresServer(url, connections, TIMEOUT_S)


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
        server = PostgresServer(url, 1, TIMEOUT_S)
        try:
            await server.write(upgrade)
        finally:
            await server.close()

    if url.startswith("sqlite"):
        with sqlite_engine(url, "BEGIN IMMEDIATE", TIMEOUT_S).begin() as connection:
            upgrade(connection)
    else:
        asyncio.run(run())
