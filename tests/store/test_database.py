"""Transactions: who waits for whom."""

from pathlib import Path

import anyio
import pytest

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
