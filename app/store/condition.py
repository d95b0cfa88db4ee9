"""How the database is doing, without changing it: nothing is created and nothing migrated. For `waggle doctor`."""

import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError

from app.settings import Settings
from app.store.database import HEAD, TIMEOUT_S, _url
from app.store.postgres import postgres_engine

Fault = Literal[
    "not an address",
    "not supported",
    "unknown host",
    "unreachable",
    "silent",
    "refused",
    "no such database",
    "unusable",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a look at it found; `revision` is None where nothing has been migrated yet."""

    where: str
    """Without the password."""
    fault: Fault | None = None
    detail: str = ""
    revision: str | None = None
    head: str = HEAD


def folder(settings: Settings) -> Path | None:
    """The folder of a SQLite file; None for other databases, and for what is no address."""
    try:
        url = make_url(_url(settings))
    except ArgumentError:
        return None
    if not url.drivername.startswith("sqlite") or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).parent


async def condition(settings: Settings) -> Condition:
    """Connect, and read which migration it is at."""
    try:
        url = make_url(_url(settings))
    except ArgumentError:
        return Condition("", "not an address")
    where = url.set(query={}).render_as_string(hide_password=True)
    if url.drivername == "sqlite":
        return _sqlite(url, where)
    if url.drivername != "postgresql+asyncpg":
        return Condition(where, "not supported", url.drivername.partition("+")[0])
    engine = postgres_engine(url.render_as_string(hide_password=False), 1, TIMEOUT_S)
    try:
        async with engine.connect() as connection:
            try:
                revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            except ProgrammingError:
                revision = None  # no such table
        return Condition(where, revision=revision)
    except (DBAPIError, OSError, TimeoutError) as error:
        return _failed(where, error)
    except Exception as error:
        if not type(error).__module__.startswith("asyncpg"):
            raise
        return _failed(where, error)  # SQLAlchemy lets through what fails while connecting
    finally:
        await engine.dispose()


def _sqlite(url: URL, where: str) -> Condition:
    path = Path(url.database or "")
    if not path.is_file():
        return Condition(where)
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=TIMEOUT_S)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return Condition(where)
        return Condition(where, "unusable", str(error))
    except sqlite3.DatabaseError as error:
        return Condition(where, "unusable", str(error))
    return Condition(where, revision=row[0] if row else None)


def _failed(where: str, error: BaseException) -> Condition:
    for cause in _causes(error):
        match cause:
            case socket.gaierror():
                return Condition(where, "unknown host")
            case TimeoutError():
                return Condition(where, "silent")
            case ConnectionError() | OSError():
                return Condition(where, "unreachable")
        name = type(cause).__name__
        if name in _FAULTS:
            return Condition(where, _FAULTS[name], name)
    return Condition(where, "unusable", type(error).__name__)


_FAULTS: dict[str, Fault] = {
    "InvalidPasswordError": "refused",
    "InvalidAuthorizationSpecificationError": "refused",
    "ClientConfigurationError": "not an address",
    "InvalidCatalogNameError": "no such database",
}
"""By the names of asyncpg's classes, which SQLAlchemy wraps or not as it happens to."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
