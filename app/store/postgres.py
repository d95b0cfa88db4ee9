"""Postgres, by asyncpg: a transaction runs in the event loop, as a function that its statements' answers resume."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")
IDLE_CONNECTIONS = 5
"""As many stay open while nothing uses them."""


class PostgresServer:
    """One database, and some connections to it."""

    def __init__(self, url: str, connections: int, timeout_s: float) -> None:
        self._engine = postgres_engine(url, connections, timeout_s)

    async def read(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def single(self, statement: str, parameters: tuple[Any, ...]) -> CursorResult[Any]:
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            return await connection.exec_driver_sql(statement, parameters)

    async def close(self) -> None:
        await self._engine.dispose()


def postgres_engine(url: str, connections: int, timeout_s: float) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_pre_ping=True,
        pool_size=min(connections, IDLE_CONNECTIONS),
        max_overflow=max(0, connections - IDLE_CONNECTIONS),
        hide_parameters=True,  # what people said belongs in no log
        pool_timeout=timeout_s,
        connect_args={"timeout": timeout_s, "command_timeout": timeout_s},
    )
