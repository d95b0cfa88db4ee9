"""Transactions: who waits for whom."""

from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, text

from app.settings import Settings
from app.store.database import Database
from tests.store.held import writing

WRITERS = 30
"""More than SQLite's pool has connections."""


@pytest.mark.timeout(30)
async def test_writers_take_turns_and_readers_pass_them_by(tmp_path: Path) -> None:
    """On SQLite; they took every connection to look whose turn it was, and readers waited until it was too late."""
    database = Database(Settings(_env_file=None, data_dir=tmp_path))
    await database.start()
    written: list[int] = []

    async def write(number: int) -> None:
        await database.write(lambda _: written.append(number))

    try:
        async with anyio.create_task_group() as group, writing(database):
            for number in range(WRITERS):
                group.start_soon(write, number)
            with anyio.fail_after(8):
                for _ in range(2 * WRITERS):
                    await database.ping()
        assert written == list(range(WRITERS))
    finally:
        await database.close()


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
async def test_connections_that_the_server_has_dropped_are_replaced(database: Database) -> None:
    """Without anybody being told: nothing was committed on them."""
    await database.ping()
    dropped = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    async with writing(database) as other:
        await other.execute(text(f"{dropped} AND pid <> pg_backend_pid()"))
    assert await database.write(Connection.scalar, text("SELECT 1")) == 1
