"""Admission, leases and fencing, on a real SQLite and a real Postgres."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import inspect, text, update
from uuid_utils import uuid7

from app.caller import Caller
from app.errors import NotFound, SessionBusy, SessionConflict, Unavailable
from app.events import Run, RunStatus, Usage
from app.messages import Structured, Text, ToolCall
from app.settings import Settings
from app.store.database import HEAD, Database
from app.store.runs import LeaseLost, RunStore
from app.store.tables import RunRow, Table

ANN, BOB = Caller(user="ann"), Caller(user="bob")


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


@pytest.fixture
def store(database: Database) -> RunStore:
    return RunStore(database, lease_s=30)


def new_run(session: str = "s", agent: str = "assistant", user: str | None = "ann") -> Run:
    return Run(
        run_id=str(uuid7()),
        agent=agent,
        session_id=session,
        user_id=user,
        status=RunStatus.RUNNING,
        trace_id="0" * 31 + "1",
        metadata={"plan": "pro"},
        created_at=datetime.now(UTC),
    )


def completed(run: Run, output: Any = "done") -> Run:
    now = datetime.now(UTC)
    return replace(
        run,
        status=RunStatus.COMPLETED,
        output=output,
        messages=[
            Text(id="1", source="user", created_at=now, content="hi \x00 \U0001f41d"),
            ToolCall(id="2", source="a", created_at=now, call_id="c", name="t", arguments={"x": [1, None]}),
            Structured(id="3", source="a", created_at=now, content={"y": 1.5}),
        ],
        usage=Usage(3, 4, 0.5),
        finished_at=now,
    )


async def expire(database: Database, run: Run) -> None:
    """As if its process had stopped vouching for it."""
    async with database.writing() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await connection.execute(update(RunRow).where(RunRow.id == run.run_id).values(lease_expires_at=past))


async def test_a_run_comes_back_as_it_was_put_away(store: RunStore) -> None:
    """Every field, whatever its type; the next run starts from its state."""
    run = new_run()
    assert (await store.admit(run, ANN)).state is None
    assert await store.get(run.run_id, ANN) == run
    end = completed(run, {"deep": [1, {"a": "é"}]})
    await store.finish(end, 0, b'{"state": 1}')
    assert await store.get(run.run_id, ANN) == end
    admission = await store.admit(new_run(), ANN)
    assert (admission.state, admission.version) == (b'{"state": 1}', 1)


async def test_of_many_at_once_one_is_admitted(store: RunStore) -> None:
    """20 admissions to one session: the index lets one in, the others are told that it is busy."""
    outcomes: list[str] = []

    async def admit() -> None:
        try:
            await store.admit(new_run(), ANN)
        except SessionBusy:
            outcomes.append("busy")
        else:
            outcomes.append("admitted")

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(admit)
    assert sorted(outcomes) == ["admitted"] + ["busy"] * 19


async def test_a_session_is_its_owners_and_its_agents(store: RunStore) -> None:
    """To another user and another tenant it does not exist; another agent is told."""
    run = new_run()
    await store.admit(run, ANN)
    await store.finish(completed(run), 0, b"{}")
    for stranger in (BOB, Caller(), Caller(tenant="other", user="ann")):
        with pytest.raises(NotFound):
            await store.admit(new_run(), stranger)
        with pytest.raises(NotFound):
            await store.get(run.run_id, stranger)
        assert await store.of_session("s", stranger, 10, None) == []
    with pytest.raises(SessionConflict):
        await store.admit(new_run(agent="other"), ANN)


async def test_a_dead_processs_run_is_lost_and_its_session_free(store: RunStore, database: Database) -> None:
    """After its lease it counts as failed at once; the next run is admitted, and the dead one's writes are refused."""
    dead = new_run()
    await store.admit(dead, ANN)
    await expire(database, dead)
    seen = await store.get(dead.run_id, ANN)
    assert (seen.status, seen.error and seen.error["type"]) == (RunStatus.FAILED, "urn:waggle:problem:run-lost")
    alive = new_run()
    await store.admit(alive, ANN)
    assert await store.renew([dead.run_id, alive.run_id]) == {dead.run_id}
    with pytest.raises(LeaseLost):
        await store.finish(completed(dead), 0, b'{"late": true}')
    await store.finish(completed(alive), 0, b"{}")
    lost = await store.get(dead.run_id, ANN)
    assert (lost.status, lost.messages) == (RunStatus.FAILED, [])


async def test_lost_runs_are_ended_by_whoever_looks(store: RunStore, database: Database) -> None:
    """Only those whose lease has run out."""
    dead, alive = new_run("dead"), new_run("alive")
    for run in (dead, alive):
        await store.admit(run, ANN)
    await expire(database, dead)
    await store.end_lost()
    assert await store.renew([dead.run_id, alive.run_id]) == {dead.run_id}


async def test_state_is_compared_by_version(store: RunStore) -> None:
    """Whoever names an old version writes nothing at all."""
    run = new_run()
    await store.admit(run, ANN)
    with pytest.raises(LeaseLost):
        await store.finish(completed(run), 7, b"{}")
    assert (await store.get(run.run_id, ANN)).status is RunStatus.RUNNING


async def test_migrations_make_the_tables_that_the_code_names(settings: Settings, database: Database) -> None:
    """Columns and indexes; a second start, and two at once, change nothing."""
    again, beside = Database(settings), Database(settings)
    async with anyio.create_task_group() as group:
        group.start_soon(again.start)
        group.start_soon(beside.start)
    async with again.reading() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD

        def columns(sync: Any) -> dict[str, tuple[set[str], set[str | None]]]:
            found = inspect(sync)
            return {
                name: (
                    {column["name"] for column in found.get_columns(name)},
                    {index["name"] for index in found.get_indexes(name)},
                )
                for name in Table.metadata.tables
            }

        made = await connection.run_sync(columns)
    assert made == {
        name: ({column.name for column in table.columns}, {str(index.name) for index in table.indexes})
        for name, table in Table.metadata.tables.items()
    }
    await again.close()
    await beside.close()


async def test_two_processes_that_start_on_a_new_database_both_come_up(settings: Settings) -> None:
    """One migrates, the other waits for it."""
    databases = [Database(settings) for _ in range(3)]
    async with anyio.create_task_group() as group:
        for database in databases:
            group.start_soon(database.start)
    for database in databases:
        await database.ping()
        await database.close()


async def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Unavailable, with nothing of the driver's words."""
    url = "postgresql://user:hunter2@127.0.0.1:9/nothing"
    database = Database(Settings(_env_file=None, data_dir=tmp_path, database_url=url))
    with pytest.raises(Unavailable) as unavailable:
        await database.ping()
    assert "hunter2" not in unavailable.value.detail
    await database.close()
