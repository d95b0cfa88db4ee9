"""Transactions that a test holds open, as another process would, while the database's own wait for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio.to_thread import run_sync
from sqlalchemy import Connection, Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import TIMEOUT_S, Database
from app.store.postgres import postgres_engine
from app.store.sqlite import sqlite_engine


class Held:
    """A connection to SQLite, used in threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, statement: Executable) -> Any:
        return await run_sync(self._connection.execute, statement)

    async def scalar(self, statement: Executable) -> Any:
        return (await self.execute(statement)).scalar()


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[Held | AsyncConnection]:
    """Committed at the end."""
    if database.url.startswith("sqlite"):
        engine = await run_sync(sqlite_engine, database.url, "BEGIN IMMEDIATE", TIMEOUT_S)
        connection = await run_sync(engine.connect)
        transaction = await run_sync(connection.begin)
        try:
            yield Held(connection)
            await run_sync(transaction.commit)
        finally:
            await run_sync(connection.close)
    else:
        server = postgres_engine(database.url, 1, TIMEOUT_S)
        async with server.begin() as held:
            yield held
        await server.dispose()
