"""How a database is doing, told without changing it: a real SQLite and a real Postgres."""

from pathlib import Path

import pytest

from app.settings import Settings
from app.store.condition import condition, folder
from app.store.database import HEAD, Database
from tests.servers.otlp import dead_url
from tests.servers.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """One of the two, empty."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return Settings(_env_file=None, data_dir=tmp_path / "data", database_url=url)


async def test_an_empty_one_stays_empty_and_a_migrated_one_is_at_the_newest(settings: Settings) -> None:
    """No file is made, no table; after a start the revision is told."""
    assert (await condition(settings)).revision is None
    assert not settings.data_dir.exists()
    database = Database(settings)
    await database.start()
    await database.close()
    found = await condition(settings)
    assert (found.fault, found.revision) == (None, HEAD)


async def test_where_it_is_holds_no_password(postgres: Postgres, postgres_url: str) -> None:
    """Nor the query, which may hold one."""
    found = await condition(Settings(_env_file=None, database_url=f"{postgres_url}?ssl=disable"))
    assert (found.fault, found.revision) == (None, None)
    assert postgres.password not in found.where
    assert "?" not in found.where


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("nonsense", "not an address"),
        ("mysql://u:p@127.0.0.1/d", "not supported"),
        ("oracle+oracledb://u:p@127.0.0.1/d", "not supported"),
        ("postgresql://u:p@{dead}/d", "unreachable"),
        ("postgresql://u:p@no-such-host.invalid/d", "unknown host"),
    ],
)
async def test_addresses_that_lead_nowhere(url: str, fault: str) -> None:
    """Each is told apart."""
    url = url.replace("{dead}", dead_url().removeprefix("http://"))
    assert (await condition(Settings(_env_file=None, database_url=url))).fault == fault


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [("postgres:{password}", "postgres:wrong", "refused"), ("/{database}", "/absent", "no such database")],
)
async def test_a_postgres_that_lets_nobody_in(
    old: str, new: str, fault: str, postgres: Postgres, postgres_url: str
) -> None:
    """A wrong password, a database that is not there."""
    names = {"password": postgres.password, "database": postgres_url.rpartition("/")[2]}
    url = postgres_url.replace(old.format(**names), new)
    assert url != postgres_url
    assert (await condition(Settings(_env_file=None, database_url=url))).fault == fault


def test_the_folder_is_that_of_the_file(tmp_path: Path) -> None:
    """Of SQLite's alone."""
    assert folder(Settings(_env_file=None, data_dir=tmp_path)) == tmp_path
    assert folder(Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/other/a.db")) == tmp_path / "other"
    assert folder(Settings(_env_file=None, database_url="postgresql://h/d")) is None
    assert folder(Settings(_env_file=None, database_url="nonsense")) is None
