"""Who is dead, and who is told: a SQLite file and a real Postgres, with processes that are really killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from blockbuster import blockbuster_ctx
from uuid_utils import uuid7

from app.errors import Unavailable
from app.settings import Settings
from app.store.database import Database
from app.store.peers import Peers, peers_for
from app.store.postgres_peers import DEAD_AFTER_S, LOCKS, UNTOLD, _number
from tests.process import ROOT, environment
from tests.servers.postgres import Postgres
from tests.store.hearing import WITHIN_S, Heard, until


@pytest.fixture
def on_postgres(postgres_url: str) -> Settings:
    return Settings(_env_file=None, database_url=postgres_url)


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """A blocking call of ours in the event loop is an error."""
    with blockbuster_ctx(scanned_modules=["app"]) as blockbuster:
        for function in blockbuster.functions.values():  # asyncpg's look for ~/.pgpass, once a connection
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
            function.can_block_in("sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args")  # before the start
        yield


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[tuple[Peers, Heard]]:
    peers, heard = peers_for(Database(settings)), Heard()
    peers.listen(heard)
    await peers.start()
    try:
        yield peers, heard
    finally:
        await peers.close()


_CHILD = """
import asyncio, sys
from pathlib import Path
from app.settings import Settings
from app.store.database import Database
from app.store.peers import peers_for

async def main():
    peers = peers_for(Database(Settings(_env_file=None, data_dir=Path(sys.argv[1]), database_url=sys.argv[2] or None)))
    peers.listen(lambda topic, ids: print(topic, *ids, flush=True))
    await peers.start()
    print(peers.process_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def child(settings: Settings) -> AsyncIterator[tuple[Process, str]]:
    """Another process, with its process id as peers know it; it prints what it hears."""
    arguments = str(settings.data_dir), settings.database_url or ""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, *arguments, stdout=PIPE, cwd=ROOT, env=environment(settings.data_dir, {})
    )
    try:
        yield process, await line(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode().strip()


async def test_a_killed_process_is_dead_and_the_living_are_not(settings: Settings) -> None:
    """Nor is one that hangs: its lease is for that. The dead one's file is not left behind."""
    async with started(settings) as (peers, _), started(settings) as (other, _), child(settings) as (process, child_id):
        owners = {peers.process_id, other.process_id, child_id}
        assert len(owners) == 3
        assert await peers.dead(owners) == set()
        process.kill()
        await process.wait()
        assert await until(lambda: peers.dead(owners)) == {child_id}
        assert await until(lambda: other.dead(owners)) == {child_id}
        files = {path.name for path in settings.data_dir.glob("*.processes/*")}
        assert files <= {peers.process_id, other.process_id}


async def test_a_hanging_process_is_not_dead(settings: Settings) -> None:
    """Its locks are held for as long as it is there."""
    async with started(settings) as (peers, _), child(settings) as (process, child_id):
        process.send_signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        end = loop.time() + DEAD_AFTER_S + 0.5
        while loop.time() < end:
            assert await peers.dead([child_id]) == set()
            await asyncio.sleep(0.1)


async def test_who_never_was_is_dead_and_who_closed_is_too(settings: Settings) -> None:
    """A process that was there before a restart of the machine has left no trace."""
    async with started(settings) as (peers, _):
        async with started(settings) as (other, _):
            pass
        gone = {other.process_id, str(uuid7())}
        assert await until(lambda: _all(peers, gone)) == gone


async def _all(peers: Peers, gone: set[str]) -> set[str]:
    dead = await peers.dead(gone)
    return dead if dead == gone else set()


async def test_a_process_hears_itself(settings: Settings) -> None:
    """Every listener, once, in the order in which it was told."""
    async with started(settings) as (peers, heard):
        second = Heard()
        peers.listen(second)
        await peers.tell("queued")
        await peers.tell("cancel", "a", "b")
        await heard.topic("cancel")
        assert heard.notices == second.notices == [("queued", ()), ("cancel", ("a", "b"))]


async def test_every_process_hears(on_postgres: Settings) -> None:
    """Those in this process and in another, each once; 1,000 ids come whole."""
    ids = [str(uuid7()) for _ in range(1000)]
    async with started(on_postgres) as (peers, heard), started(on_postgres) as (_, other):
        async with child(on_postgres) as (process, _):
            await peers.tell("changed", "a")
            assert await line(process) == "changed a"
        await peers.tell("watching", *ids)
        await peers.tell("queued")
        await other.topic("queued")
        assert other.ids("watching") == heard.ids("watching") == ids


async def test_at_most_one_statement_tells_many(on_postgres: Settings) -> None:
    """What is told while another notice is on its way goes together, the same thing once."""
    async with started(on_postgres) as (peers, _), started(on_postgres) as (_, other):
        for number in range(100):
            await peers.tell("events", f"{number % 10}")
        await peers.tell("changed")
        await other.topic("changed")
        assert other.ids("events") == [str(number) for number in range(10)]
        assert len(other.notices) == 2


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_postgres_kills_nobody(
    on_postgres: Settings, postgres: Postgres, mode: Literal["fast", "immediate"]
) -> None:
    """All come back, are told to look at everything, and hear each other again; only who does not return is dead."""
    async with started(on_postgres) as (peers, heard), started(on_postgres) as (other, other_heard):
        async with child(on_postgres) as (process, child_id):
            await asyncio.to_thread(postgres.stop, mode)
            process.kill()
            await process.wait()
        try:
            await until(lambda: _out_of_touch(peers, other))
            assert await peers.dead([other.process_id, child_id]) == set()
        finally:
            await asyncio.to_thread(postgres.start)
        await heard.topic("resync")
        dead: set[str] = set()
        while child_id not in dead:
            dead = await until(lambda: peers.dead([other.process_id, child_id]))
        assert dead == {child_id}
        await other_heard.topic("resync")
        await other.tell("cancel", "after")
        await heard.topic("cancel")


async def _out_of_touch(*peers: Peers) -> bool:
    return not any(each.in_touch for each in peers)


async def test_a_broken_connection_is_replaced(on_postgres: Settings, postgres: Postgres) -> None:
    """With its lock, so that to the other it was never dead; what was told meanwhile is told afterwards."""
    async with started(on_postgres) as (peers, heard), started(on_postgres) as (other, other_heard):
        lock = _number(peers.process_id)
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE (classid, objid) = ({LOCKS}, {lock})")  # noqa: S608 ours
        await until(lambda: _out_of_touch(peers))
        await peers.tell("changed", "a")
        await heard.topic("resync")
        await other_heard.until(lambda: other_heard.ids("changed") == ["a"])
        loop = asyncio.get_running_loop()
        end = loop.time() + DEAD_AFTER_S + 0.5
        while loop.time() < end:
            assert await peers.dead([other.process_id]) == set()
            assert await other.dead([peers.process_id]) == set()
            await asyncio.sleep(0.1)
        assert ("resync", ()) not in other_heard.notices


async def test_a_silent_connection_is_replaced(
    on_postgres: Settings, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while Postgres still keeps the old one with the same lock."""
    monkeypatch.setattr("app.store.postgres_peers.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("app.store.postgres_peers.COMMAND_S", 0.5)
    async with started(on_postgres) as (peers, heard), started(on_postgres) as (other, _):
        silent = int(postgres.execute(f"SELECT pid FROM pg_locks WHERE objid = {_number(peers.process_id)}"))  # noqa: S608 ours
        os.kill(silent, signal.SIGSTOP)
        try:
            await heard.topic("resync")
            assert peers.in_touch
            assert await other.dead([peers.process_id]) == set()
            assert await peers.dead([other.process_id]) == set()
        finally:
            os.kill(silent, signal.SIGCONT)


async def test_its_connection_is_kept_alive_from_both_ends(on_postgres: Settings, postgres: Postgres) -> None:
    """It says whose it is, and Postgres gives a machine that vanished up within seconds."""
    async with started(on_postgres) as (peers, _):
        connection = peers._connection  # type: ignore[attr-defined]
        for name, value in {
            "application_name": "waggle",
            "tcp_keepalives_idle": "5",
            "tcp_user_timeout": "10000",
        }.items():
            async with peers._turn:  # type: ignore[attr-defined]
                assert await connection.fetchval(f"SHOW {name}") == value


async def test_too_much_to_tell_becomes_one_notice(on_postgres: Settings) -> None:
    """Rather than memory without bound: look at everything."""
    peers, heard = peers_for(Database(on_postgres)), Heard()
    for number in range(UNTOLD + 2):
        await peers.tell("events", str(number))
    async with started(on_postgres) as (_, other):
        peers.listen(heard)
        await peers.start()
        await other.topic("resync")
        await peers.close()
    assert len(other.ids("events")) <= 1


async def test_a_database_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the start; nothing is left running."""
    monkeypatch.setattr("app.store.postgres_peers.START_S", 0.3)
    url = "postgresql://user:hunter2@127.0.0.1:9/nothing"
    peers = peers_for(Database(Settings(_env_file=None, data_dir=tmp_path, database_url=url)))
    with pytest.raises(Unavailable) as unavailable:
        await peers.start()
    assert "hunter2" not in unavailable.value.detail
    assert not peers.in_touch
    assert await peers.dead([str(uuid7())]) == set()


async def test_without_file_locks_nobody_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows leases alone tell; a process still hears itself."""
    monkeypatch.setattr("sys.platform", "win32")
    peers, heard = peers_for(Database(Settings(_env_file=None, data_dir=tmp_path))), Heard()
    monkeypatch.undo()
    peers.listen(heard)
    await peers.start()
    await peers.tell("changed", "a")
    await heard.topic("changed")
    assert await peers.dead([str(uuid7())]) == set()
    await peers.close()
    assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
