"""Admission, leases and fencing, on a real SQLite and a real Postgres."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, insert, inspect, select, text, update
from uuid_utils import uuid7

from app.caller import Caller
from app.errors import (
    BudgetSpent,
    InvalidInput,
    NotFound,
    NotWaiting,
    RateLimited,
    SessionBusy,
    SessionConflict,
    SessionFull,
    Unavailable,
)
from app.events import InputRequest, Run, RunStatus, Usage
from app.messages import Structured, Text, ToolCall
from app.settings import Settings
from app.store.allowances import Limits
from app.store.database import HEAD, Database
from app.store.overdue import Overdue
from app.store.queue import Queue
from app.store.rows import LeaseLost, Saved
from app.store.runs import Admission, Key, NewRun, RunStore
from app.store.said import Said
from app.store.tables import InputRow, RunRow, SessionRow, StateRow, Table
from tests.store.held import writing

ANN, BOB = Caller(user="ann"), Caller(user="bob")


class Store(RunStore):
    """Both sides of it: what callers see, and what processes do."""

    def __init__(self, database: Database, limits: Limits) -> None:
        super().__init__(database, lease_s=30, limits=limits)
        self.queue = Queue(database, lease_s=30, state_versions=3)
        self.overdue = Overdue(database, max_restarts=2)
        self.said = Said(database)

    async def run(self, run: Run, caller: Caller = ANN, **wanted: Any) -> Saved:
        """Admitted, to be executed at once."""
        saved = (await self.try_to(run, caller, **wanted)).saved
        assert saved is not None
        return saved

    async def try_to(self, run: Run, caller: Caller = ANN, **wanted: Any) -> Admission:
        return await self.admit(NewRun(run=run, caller=caller, request={"task": "hi"}, **{"owner": "here", **wanted}))

    async def complete(self, run: Run, saved: Saved, state: bytes = b"{}", attempt: int = 1) -> Run:
        end = completed(run)
        await self.queue.finish(end, attempt, saved, state, last_seq=5)
        return end


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, Limits(queued=50))


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
    async with writing(database) as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await connection.execute(update(RunRow).where(RunRow.id == run.run_id).values(lease_expires_at=past))


async def test_a_run_comes_back_as_it_was_put_away(store: Store) -> None:
    """Every field, whatever its type; the next run starts from its state."""
    run = new_run()
    saved = await store.run(run)
    assert saved == Saved(None, 0, 0)
    assert await store.get(run.run_id, ANN) == run
    end = completed(run, {"deep": [1, {"a": "é"}]})
    await store.queue.finish(end, 1, saved, b'{"state": 1}', 5)
    assert await store.get(run.run_id, ANN) == end
    assert await store.run(new_run()) == Saved(b'{"state": 1}', 1, 1)


async def test_of_many_at_once_one_is_admitted(store: Store) -> None:
    """20 admissions to one session: one gets in, the others are told that it is busy."""
    outcomes: list[str] = []

    async def admit() -> None:
        try:
            await store.run(new_run())
        except SessionBusy:
            outcomes.append("busy")
        else:
            outcomes.append("admitted")

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(admit)
    assert sorted(outcomes) == ["admitted"] + ["busy"] * 19


async def test_a_session_is_its_owners_and_its_agents(store: Store) -> None:
    """To another user and another tenant it does not exist; another agent is told."""
    run = new_run()
    await store.complete(run, await store.run(run))
    for stranger in (BOB, Caller(), Caller(tenant="other", user="ann")):
        with pytest.raises(NotFound):
            await store.run(new_run(), stranger)
        for look in (store.get, store.standing):
            with pytest.raises(NotFound):
                await look(run.run_id, stranger)
        with pytest.raises(NotFound):
            await store.stop(run.run_id, stranger, "cancelled", "")
        with pytest.raises(NotFound):
            await store.said.answer(run.run_id, stranger, None, "yes")
        assert await store.of_session("s", stranger, 10, None) == []
    with pytest.raises(SessionConflict):
        await store.run(new_run(agent="other"))


async def test_a_hung_processs_run_is_lost_and_its_session_free(store: Store, database: Database) -> None:
    """After its lease the next run is admitted, and the hung one's writes are refused."""
    hung = new_run()
    saved = await store.run(hung)
    await expire(database, hung)
    alive = new_run()
    await store.run(alive)
    seen = await store.get(hung.run_id, ANN)
    assert (seen.status, seen.error and seen.error["type"]) == (RunStatus.FAILED, "urn:waggle:problem:run-lost")
    assert await store.queue.renew({hung.run_id: 1, alive.run_id: 1}) == {alive.run_id: None}
    with pytest.raises(LeaseLost):
        await store.queue.finish(completed(hung), 1, saved, b'{"late": true}', 5)
    await store.complete(alive, saved)
    lost = await store.get(hung.run_id, ANN)
    assert (lost.status, lost.messages) == (RunStatus.FAILED, [])


async def test_a_dead_processs_runs_are_taken_over(store: Store) -> None:
    """What was queued once is queued again, until it was too often; what was executed where it arrived has failed."""
    foreground, background = new_run("f"), new_run("b")
    await store.run(foreground, owner="dead")
    await store.try_to(background, owner=None)
    for attempt in (1, 2, 3):
        claim = await store.queue.claim("dead")
        assert claim is not None
        assert (claim.run.run_id, claim.attempt, claim.restarted) == (background.run_id, attempt, attempt > 1)
        assert await store.overdue.owners() == {"dead"}
        lost = await store.overdue.take_over({"dead"})
        assert set(lost) == ({foreground.run_id, background.run_id} if attempt == 1 else {background.run_id})
    assert await store.queue.claim("alive") is None
    for run in (foreground, background):
        assert (await store.get(run.run_id, ANN)).status is RunStatus.FAILED
    assert await store.overdue.take_over({"dead"}) == []


async def test_an_older_attempt_can_write_nothing(store: Store) -> None:
    """Its run was taken over by another process: neither its end, nor its question, nor its return count."""
    run = new_run()
    await store.try_to(run, owner=None)
    old = await store.queue.claim("one")
    await store.overdue.take_over({"one"})
    new = await store.queue.claim("two")
    assert old is not None
    assert new is not None
    with pytest.raises(LeaseLost):
        await store.queue.finish(completed(run), old.attempt, old.saved, b"{}", 5)
    with pytest.raises(LeaseLost):
        await store.queue.pause(asking(run), old.attempt, b"{}", 5)
    assert not await store.queue.release(run.run_id, old.attempt)
    assert await store.queue.wishes({run.run_id: old.attempt}) == {}
    await store.complete(run, new.saved, attempt=new.attempt)


async def test_those_that_wait_are_taken_in_turn(store: Store) -> None:
    """One at a time, first come first served; of two processes that ask at once one gets it; a free session's first."""
    first = new_run()
    saved = await store.run(first)
    waiting = [new_run() for _ in range(4)]
    for run in waiting:
        assert (await store.try_to(run, if_busy="enqueue")).saved is None
    assert await store.queue.claim("p") is None
    assert await store.queue.finish(completed(first), 1, saved, b"{}", 5) is True
    for run in waiting:
        claims: list[Any] = []

        async def claim(process: str, claims: list[Any] = claims) -> None:
            claims.append(await store.queue.claim(process))

        async with anyio.create_task_group() as group:
            group.start_soon(claim, "p")
            group.start_soon(claim, "q")
        (claimed,) = [found for found in claims if found is not None]
        assert claimed.run.run_id == run.run_id
        await store.complete(claimed.run, claimed.saved)
    messages = [run for run in await store.of_session("s", ANN, 10, None) if run.status is RunStatus.COMPLETED]
    assert len(messages) == 5


async def test_an_interrupting_run_takes_the_place(store: Store) -> None:
    """The running one is told to stop, an interrupter that still waits is cancelled, and it goes before the queue."""
    first, queued, one, two = (new_run() for _ in range(4))
    saved = await store.run(first)
    await store.try_to(queued, if_busy="enqueue")
    for run in (one, two):
        await store.try_to(run, if_busy="interrupt")
    assert await store.queue.wishes({first.run_id: 1}) == {first.run_id: "interrupted"}
    assert (await store.get(one.run_id, ANN)).status is RunStatus.CANCELLED
    ended = replace(completed(first), status=RunStatus.CANCELLED, messages=[])
    await store.queue.finish(ended, 1, saved, None, 5)
    for expected in (two, queued):
        claim = await store.queue.claim("p")
        assert claim is not None
        assert claim.run.run_id == expected.run_id
        await store.complete(claim.run, claim.saved)


async def test_a_run_that_is_claimed_while_it_is_to_be_stopped(store: Store, database: Database) -> None:
    """Its process is told. Once it counted as ended: it went on, and an interrupting run was refused with 409."""
    first, second = new_run(), new_run(session="t")
    for run in (first, second):
        await store.try_to(run, owner=None, if_busy="interrupt")
    interrupting: list[Admission] = []

    async def interrupt() -> None:
        interrupting.append(await store.try_to(new_run(), if_busy="interrupt"))

    async def cancel() -> None:
        assert not (await store.stop(second.run_id, ANN, "cancelled", "Cancelled.")).ended

    for stop in (interrupt, cancel):
        async with anyio.create_task_group() as group, writing(database) as connection:
            claimed = RunRow.id == (first if stop is interrupt else second).run_id
            await connection.execute(update(RunRow).where(claimed).values(status=RunStatus.RUNNING, attempt=1))
            group.start_soon(stop)
            await until_blocked(database)
    (admission,) = interrupting
    assert (admission.saved, [stopped.ended for stopped in admission.stopped]) == (None, [False])
    wishes = await store.queue.wishes({first.run_id: 1, second.run_id: 1})
    assert wishes == {first.run_id: "interrupted", second.run_id: "cancelled"}


async def test_a_queue_has_an_end(store: Store) -> None:
    """The 51st that would wait is refused."""
    await store.run(new_run())
    for _ in range(50):
        await store.try_to(new_run(), if_busy="enqueue")
    with pytest.raises(Unavailable):
        await store.try_to(new_run(), if_busy="enqueue")


async def test_a_caller_has_so_many_runs_and_so_much_to_spend(database: Database) -> None:
    """Also of 20 that come at once; another caller has as much, and tomorrow has its own."""
    store = Store(database, Limits(unended=3))
    outcomes: list[str] = []

    async def admit(number: int) -> None:
        try:
            await store.run(new_run(f"s-{number}"))
        except RateLimited:
            outcomes.append("refused")
        else:
            outcomes.append("admitted")

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(admit, number)
    assert (outcomes.count("admitted"), outcomes.count("refused")) == (3, 17)
    await store.run(new_run("bob", user="bob"), BOB)

    spent = new_run("spent", user="bob")  # its 7 tokens cost half a dollar
    await store.complete(spent, await store.run(spent, BOB))
    for limits, fits in ((Limits(tokens=7), False), (Limits(usd=0.5), False), (Limits(tokens=8, usd=0.51), True)):
        later = new_run("later", user="bob")
        if fits:
            await Store(database, limits).run(later, BOB)
        else:
            with pytest.raises(BudgetSpent) as refused:
                await Store(database, limits).run(later, BOB)
            assert 0 < (refused.value.retry_after_s or 0) <= 24 * 3600 + 1
    async with writing(database) as connection:
        await connection.execute(update(RunRow).values(created_at=datetime.now(UTC) - timedelta(days=1)))
    await Store(database, Limits(tokens=1)).run(new_run("today", user="bob"), BOB)


async def test_a_session_has_so_many_turns(database: Database) -> None:
    """Then it is full, until it is taken back."""
    store = Store(database, Limits(turns=2))
    for _ in range(2):
        run = new_run()
        await store.complete(run, await store.run(run))
    with pytest.raises(SessionFull):
        await store.run(new_run())


async def test_a_key_stands_for_one_run(store: Store) -> None:
    """The same key joins it, also among 10 at once; with another request it is refused; another caller's is another."""
    key, joined = Key("k", b"digest"), set()

    async def admit() -> None:
        run = new_run(f"session of its own {uuid7()}")
        joined.add((await store.try_to(run, key=key)).joined or run.run_id)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(admit)
    assert len(joined) == 1
    with pytest.raises(InvalidInput):
        await store.try_to(new_run("other"), key=Key("k", b"another digest"))
    assert (await store.try_to(new_run("bobs", user="bob"), BOB, key=key)).joined is None


def asking(run: Run) -> Run:
    question = InputRequest(
        input_id=str(uuid7()), prompt="Which?", source="agent", expires_at=datetime.now(UTC) + timedelta(hours=1)
    )
    return replace(run, status=RunStatus.INPUT_REQUIRED, input_request=question, usage=Usage(1, 2, None))


async def test_a_question_holds_the_session_until_it_is_answered(store: Store, database: Database) -> None:
    """Answered once, however often that is sent; then any process goes on from the checkpoint."""
    run = new_run()
    await store.run(run)
    asked = asking(run)
    await store.queue.pause(asked, 1, b"checkpoint", 7)
    assert await store.get(run.run_id, ANN) == asked
    with pytest.raises(SessionBusy):
        await store.run(new_run())
    with pytest.raises(NotWaiting):
        await store.said.answer(run.run_id, ANN, "another question", "red")
    assert [(await store.said.answer(run.run_id, ANN, None, "red"))[1] for _ in range(3)] == [True, False, False]
    with pytest.raises(NotWaiting):
        await store.said.answer(run.run_id, ANN, None, "blue")
    claim = await store.queue.claim("elsewhere")
    assert claim is not None
    assert (claim.attempt, claim.last_seq, claim.restarted) == (2, 7, False)
    assert (claim.checkpoint, claim.answer, claim.question) == (b"checkpoint", "red", asked.input_request)
    await store.overdue.take_over({"elsewhere"})
    again = await store.queue.claim("a third")
    assert again is not None
    assert (again.attempt, again.restarted, again.checkpoint, again.answer) == (3, True, b"checkpoint", "red")
    await store.complete(run, again.saved, attempt=3)


async def test_an_unanswered_question_expires(store: Store, database: Database) -> None:
    """Its run fails, and its session is free."""
    run = new_run()
    await store.run(run)
    await store.queue.pause(asking(run), 1, b"{}", 3)
    assert await store.overdue.expire_inputs() == []
    async with writing(database) as connection:
        await connection.execute(update(InputRow).values(expires_at=datetime.now(UTC)))
    assert await store.overdue.expire_inputs() == [run.run_id]
    failed = await store.get(run.run_id, ANN)
    assert (failed.status, failed.error and failed.error["status"]) == (RunStatus.FAILED, 504)
    with pytest.raises(NotWaiting):
        await store.said.answer(run.run_id, ANN, None, "red")
    await store.run(new_run())


async def test_state_is_compared_by_version(store: Store) -> None:
    """Whoever names an old version writes nothing at all."""
    run = new_run()
    await store.run(run)
    with pytest.raises(LeaseLost):
        await store.queue.finish(completed(run), 1, Saved(None, 7, 7), b"{}", 5)
    assert (await store.get(run.run_id, ANN)).status is RunStatus.RUNNING


async def until_blocked(database: Database, number: int = 1) -> None:
    """Until so many statements wait for a lock; SQLite's writers cannot be looked at, and need not be."""
    if database.url.startswith("sqlite"):
        return
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with anyio.fail_after(10):
        while (await database.read(Connection.scalar, text(waiting)) or 0) < number:
            await anyio.sleep(0.005)


async def test_a_key_that_waited_for_its_twin_joins_it(store: Store, database: Database) -> None:
    """Of the same session too: once it was told that its own run keeps the session busy."""
    first, twins = new_run(), [new_run(), new_run()]
    await store.complete(first, await store.run(first))
    joined: list[str] = []

    async def admit(run: Run) -> None:
        joined.append((await store.try_to(run, key=Key("k", b"digest"))).joined or run.run_id)

    async with anyio.create_task_group() as group, writing(database) as connection:
        await connection.execute(select(SessionRow.id).with_for_update())
        for twin in twins:
            group.start_soon(admit, twin)
        await until_blocked(database, 2)
    assert len(joined) == 2
    assert len(set(joined)) == 1


async def test_a_claim_that_lost_its_session_takes_another_ones_run(store: Store, database: Database) -> None:
    """Once it took nothing, and what waited elsewhere waited for the next look."""
    head, rival, other = new_run(), new_run(), new_run("another")
    for run in (head, rival, other):
        await store.try_to(run, owner=None, if_busy="enqueue")
    claimed: list[str] = []

    async def claim() -> None:
        found = await store.queue.claim("here")
        assert found is not None
        claimed.append(found.run.run_id)

    async with anyio.create_task_group() as group, writing(database) as connection:
        taken = update(RunRow).where(RunRow.id == rival.run_id).values(status=RunStatus.RUNNING, attempt=1)
        await connection.execute(taken)
        group.start_soon(claim)
        await until_blocked(database)
    assert claimed == [other.run_id]


async def test_an_older_attempt_vouches_for_nothing(store: Store, database: Database) -> None:
    """A process that hung and goes on does not keep a run alive that another one has, and lost."""
    run = new_run()
    await store.try_to(run, owner=None)
    await store.queue.claim("hung")
    await store.overdue.take_over({"hung"})
    await store.queue.claim("dead")
    await expire(database, run)
    assert await store.queue.renew({run.run_id: 1}) == {}
    assert await store.overdue.take_over(set(), unvouched=False) == []
    assert await store.overdue.take_over(set()) == [run.run_id]


class AnHourOff(datetime):
    """The clock of another machine."""

    @classmethod
    def now(cls, tz: Any = None) -> "AnHourOff":
        return cls.fromtimestamp(datetime.now(tz).timestamp() + 3600, tz)


async def test_leases_are_by_the_databases_clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a process whose clock was ahead of another's took over whatever that one did."""
    database = Database(Settings(_env_file=None, database_url=postgres_url))
    await database.start()
    store = Store(database, Limits())
    foreground, background = new_run(), new_run("another")
    await store.run(foreground)
    await store.try_to(background, owner=None)
    await store.queue.claim("there")
    for module in ("runs", "queue", "rows"):
        monkeypatch.setattr(f"app.store.{module}.datetime", AnHourOff)
    assert await store.overdue.take_over(set()) == []
    with pytest.raises(SessionBusy):
        await store.run(new_run())
    await database.close()


async def test_an_admission_that_waited_for_an_end_has_the_state_that_it_left(store: Store, database: Database) -> None:
    """Once it was given the new version with no state at all, and the conversation began anew."""
    first, second, third = (new_run() for _ in range(3))
    await store.complete(first, await store.run(first), b"1")
    await store.run(second)
    saved: list[Saved | None] = []

    async def admit() -> None:
        saved.append((await store.try_to(third, if_busy="enqueue")).saved)

    async with anyio.create_task_group() as group, writing(database) as connection:
        await connection.execute(select(SessionRow.id).with_for_update())
        group.start_soon(admit)
        await until_blocked(database)
        await connection.execute(update(RunRow).values(status=RunStatus.COMPLETED))
        await connection.execute(update(SessionRow).values(version=2))
        state = {"session_id": "s", "version": 2, "turn": 2, "state": b"2", "created_at": datetime.now(UTC)}
        await connection.execute(insert(StateRow).values(state))
    assert saved == [Saved(b"2", 2, 2)]


async def test_migrations_make_the_tables_that_the_code_names(settings: Settings, database: Database) -> None:
    """Columns and indexes; a second start, and two at once, change nothing."""
    again, beside = Database(settings), Database(settings)
    async with anyio.create_task_group() as group:
        group.start_soon(again.start)
        group.start_soon(beside.start)
    assert await again.read(Connection.scalar, text("SELECT version_num FROM alembic_version")) == HEAD

    def columns(connection: Connection) -> dict[str, tuple[set[str], set[str | None]]]:
        found: Any = inspect(connection)
        return {
            name: (
                {column["name"] for column in found.get_columns(name)},
                {index["name"] for index in found.get_indexes(name)},
            )
            for name in Table.metadata.tables
        }

    assert await again.read(columns) == {
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
