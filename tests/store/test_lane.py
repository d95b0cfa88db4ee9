"""Transactions in a thread: what becomes of one whose caller does not wait for it, of many, and of the last ones."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import Connection, event, text

from app.errors import Unavailable
from app.settings import Settings
from app.store.database import Database
from app.store.sqlite import SqliteFile
from tests.store.held import writing

ROWS = text("SELECT count(*) FROM notes")


def note(connection: Connection) -> None:
    connection.execute(text("INSERT INTO notes VALUES (1)"))


class Pause:
    """A transaction that has written, and goes on when it is told to."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        note(connection)
        self.reached.set()
        self.go_on.wait(10)

    async def until_reached(self) -> None:
        assert await anyio.to_thread.run_sync(self.reached.wait, 10)


@pytest.fixture
def timeout_s() -> float:
    return 10


@pytest.fixture
async def database(tmp_path: Path, timeout_s: float, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr("app.store.database.TIMEOUT_S", timeout_s)
    database = Database(Settings(_env_file=None, data_dir=tmp_path))
    await database.start()
    await database.write(Connection.execute, text("CREATE TABLE notes (number INTEGER)"))
    yield database
    await database.close()


async def test_who_is_cancelled_in_the_middle_leaves_nothing(database: Database) -> None:
    """The caller goes at once, and the thread takes back what it wrote; what is asked for next is done."""
    pause = Pause()
    async with anyio.create_task_group() as group:
        group.start_soon(database.write, pause)
        await pause.until_reached()
        group.cancel_scope.cancel()
    pause.go_on.set()
    await database.write(note)
    assert await database.read(Connection.scalar, ROWS) == 1


async def test_who_is_cancelled_while_it_waits_is_never_begun(database: Database) -> None:
    pause, second = Pause(), Pause()
    async with anyio.create_task_group() as group:
        group.start_soon(database.write, pause)
        await pause.until_reached()
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(database.write, second)
            await anyio.lowlevel.checkpoint()
            waiting.cancel_scope.cancel()
        pause.go_on.set()
    await database.write(note)
    assert not second.reached.is_set()
    assert await database.read(Connection.scalar, ROWS) == 2


@pytest.mark.parametrize("timeout_s", [0.2])
async def test_one_that_takes_too_long_is_taken_back(database: Database) -> None:
    """Unavailable means that nothing was written, then or later."""
    pause = Pause()
    with pytest.raises(Unavailable):
        await database.write(pause)
    pause.go_on.set()
    await database.write(note)
    assert await database.read(Connection.scalar, ROWS) == 1


@pytest.mark.parametrize("timeout_s", [0.2])
async def test_one_that_is_being_committed_when_its_time_is_up_has_its_answer(database: Database) -> None:
    """Its caller waits for how that ends, since it is written and not to be tried again."""
    assert isinstance(database._backend, SqliteFile)
    engine = database._backend._writer._engine
    late = threading.Event()

    def commit(_: Any) -> None:
        late.wait(0.3)

    event.listen(engine, "commit", commit)
    await database.write(note)
    event.remove(engine, "commit", commit)
    assert await database.read(Connection.scalar, ROWS) == 1


async def test_so_many_wait_and_no_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are refused at once; those that wait are done."""
    monkeypatch.setattr("app.store.lane.WAITING", 5)
    pause, refused = Pause(), 0

    async def write() -> None:
        nonlocal refused
        try:
            await database.write(note)
        except Unavailable:
            refused += 1

    async with anyio.create_task_group() as group:
        group.start_soon(database.write, pause)
        await pause.until_reached()
        for _ in range(10):
            group.start_soon(write)
        while refused < 6:
            await anyio.lowlevel.checkpoint()
        pause.go_on.set()
    assert await database.read(Connection.scalar, ROWS) == 5


async def test_what_was_asked_for_before_the_end_is_done(database: Database) -> None:
    """Closing waits for it; what comes afterwards is refused, and nothing is left of the threads."""
    pause = Pause()
    async with anyio.create_task_group() as group:
        group.start_soon(database.write, pause)
        await pause.until_reached()
        group.start_soon(database.write, note)
        await anyio.lowlevel.checkpoint()
        group.start_soon(database.close)
        await anyio.lowlevel.checkpoint()
        pause.go_on.set()
    with pytest.raises(Unavailable):
        await database.write(note)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("database")]


@pytest.mark.parametrize("timeout_s", [0.2])
async def test_a_locked_one_is_read_and_not_written_and_then_is(database: Database) -> None:
    """Another process writes: readers do not wait, writers in vain, and afterwards all is well."""
    async with writing(database):
        assert await database.read(Connection.scalar, ROWS) == 0
        for _ in range(2):
            with pytest.raises(Unavailable):
                await database.write(note)
    await database.write(note)
    assert await database.read(Connection.scalar, ROWS) == 1


async def test_a_connection_that_failed_is_replaced(database: Database) -> None:
    """The file may be another one by now, as after a volume was mounted again."""
    assert isinstance(database._backend, SqliteFile)
    lane = database._backend._writer
    await database.write(note)
    before = lane._connection
    with pytest.raises(Unavailable):
        await database.write(Connection.execute, text("SELECT * FROM nothing"))
    await database.write(note)
    assert lane._connection is not before
