"""Postgres, by asyncpg: a transaction runs in the event loop, as a function that its statements' answers resume.

No connection is asked whether it lives before it is used, which would be a round trip for each transaction: one that
turns out dead before anything is committed costs a second try, on a new one.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

T = TypeVar("T")
IDLE_CONNECTIONS = 5
"""As many stay open while nothing uses them."""


class PostgresServer:
    """One database, and some connections to it."""

    def __init__(self, url: str, connections: int, timeout_s: float) -> None:
        self._engine = postgres_engine(url, connections, timeout_s)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await _transaction(self._engine.connect, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await _transaction(self._engine.begin, work)

    async def single(self, statement: str, parameters: tuple[Any, ...]) -> CursorResult[Any]:
        """A statement that is a transaction of its own, and that may be done twice."""

        def alone(connection: Connection) -> CursorResult[Any]:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            return connection.exec_driver_sql(statement, parameters)

        return await _transaction(self._engine.connect, alone)

    async def close(self) -> None:
        await self._engine.dispose()


async def _transaction(
    begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    work: Callable[[Connection], T],
    *,
    again: bool = True,
) -> T:
    worked = False
    try:
        async with begin() as connection:
            result = await connection.run_sync(work)
            worked = True
    except DBAPIError as error:
        if worked or not again or not error.connection_invalidated:
            raise
    else:
        return result
    return await _transaction(begin, work, again=False)


def postgres_engine(url: str, connections: int, timeout_s: float) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=min(connections, IDLE_CONNECTIONS),
        max_overflow=max(0, connections - IDLE_CONNECTIONS),
        hide_parameters=True,  # what people said belongs in no log
        pool_timeout=timeout_s,
        connect_args={"timeout": timeout_s, "command_timeout": timeout_s},
    )
