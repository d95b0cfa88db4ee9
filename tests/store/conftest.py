"""The database, each test once on SQLite and once on Postgres."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.store.database import Database


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return Settings(_env_file=None, data_dir=tmp_path, database_url=url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings)
    await database.start()
    yield database
    await database.close()
