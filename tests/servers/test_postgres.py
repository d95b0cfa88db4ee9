import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.servers.postgres import Postgres, PostgresError


async def test_asyncpg_reaches_it_through_sqlalchemy(postgres_url: str) -> None:
    """The URL works as `postgresql+asyncpg://`, on a server of a current version."""
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            version = await connection.scalar(text("show server_version_num"))
    finally:
        await engine.dispose()
    assert int(version) >= 160000


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_has_a_database_of_its_own(postgres: Postgres, postgres_url: str, time: str) -> None:
    """What one test creates, the next does not find."""
    postgres.execute(f"CREATE TABLE only_once (time text DEFAULT '{time}')", database=postgres_url.rpartition("/")[2])


def test_a_refused_statement_says_why(postgres: Postgres) -> None:
    """The error is the server's own."""
    with pytest.raises(PostgresError, match="nowhere"):
        postgres.execute("SELECT * FROM nowhere")


def test_it_asks_for_the_password(postgres: Postgres) -> None:
    """Other users of the machine, who can reach loopback as well, do not get in."""
    with pytest.raises(PostgresError, match="password"):
        replace(postgres, password="wrong").execute("SELECT 1")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_it_comes_back_with_what_was_committed(
    postgres: Postgres, postgres_url: str, mode: Literal["fast", "immediate"]
) -> None:
    """On the same port, even after an end that looks like a crash."""
    database = postgres_url.rpartition("/")[2]
    postgres.execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)", database=database)
    postgres.stop(mode)
    try:
        with pytest.raises(PostgresError, match="refused"):
            postgres.execute("SELECT 1")
    finally:
        postgres.start()
    assert postgres.execute("SELECT x FROM kept", database=database) == "1"


_HOLDER = """
from tests.servers.postgres import running
with running() as server:
    print(server.keeper, server.execute("SHOW data_directory"), flush=True)
    input()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux's way to wait for another's process")
def test_it_goes_when_the_test_session_is_killed() -> None:
    """A killed pytest leaves neither server nor folder behind."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        keeper, data = holder.stdout.readline().decode().split()
        ended = os.pidfd_open(int(keeper))
        assert Path(data).parent.is_dir()
        holder.kill()
    try:
        assert select.select([ended], [], [], 20)[0], "the keeper still runs"
    finally:
        os.close(ended)
    assert not Path(data).parent.exists()
