"""Forks, the way back, and what goes with a session, on a real SQLite and a real Postgres."""

from dataclasses import replace
from typing import Any

import anyio
import pytest
from sqlalchemy import func, select

from app.caller import Caller
from app.errors import AppError, NotFound, NotInConversation, SessionBusy, SessionExists, StateGone
from app.events import Run, RunStatus
from app.messages import Text
from app.store.allowances import Limits
from app.store.database import Database
from app.store.history import History, Point
from app.store.rows import Saved
from app.store.sessions import Deleted, SessionStore
from app.store.tables import MessageRow, SessionRow, StateRow
from tests.store.held import writing
from tests.store.test_runs import ANN, BOB, Store, asking, completed, new_run, until_blocked


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, Limits())


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


@pytest.fixture
def sessions(database: Database) -> SessionStore:
    return SessionStore(database)


async def said(store: Store, task: str, session: str = "s") -> Run:
    """A completed run with one message, whose state is that of before and the task."""
    run = new_run(session)
    saved = await store.run(run)
    end = completed(run)
    end = replace(end, messages=[replace(message, content=task) for message in end.messages if message.type == "text"])
    await store.queue.finish(end, 1, saved, (saved.state or b"") + task.encode(), 5)
    return end


async def conversation(sessions: SessionStore, session: str = "s") -> str:
    messages = await sessions.messages(session, 100, None)
    return "".join(message.content for _, message in messages if isinstance(message, Text))


async def known(store: Store, session: str = "s") -> Saved:
    """What the next run of the session begins with; that run is ended without a word."""
    run = new_run(session)
    saved = await store.run(run)
    await store.queue.finish(replace(completed(run), status=RunStatus.FAILED, messages=[]), 1, saved, None, 1)
    return saved


async def test_a_fork_has_the_conversation_up_to_its_run(
    store: Store, history: History, sessions: SessionStore
) -> None:
    """At each of three runs, by run or by version; both go on from there, and deleting one leaves the other."""
    runs = [await said(store, task) for task in "abc"]
    await sessions.get("s", ANN)
    for number, run in enumerate(runs, 1):
        for point in (Point(run_id=run.run_id), Point(version=number)):
            fork = await history.fork("s", ANN, point, f"fork-{number}-{point.version}")
            assert (fork.agent, fork.user_id, fork.version, fork.turns) == ("assistant", "ann", 1, number)
            assert await conversation(sessions, fork.session_id) == "abc"[:number]
            await said(store, "x", fork.session_id)
            assert await conversation(sessions, fork.session_id) == "abc"[:number] + "x"
            assert await known(store, fork.session_id) == Saved(b"abc"[:number] + b"x", 2, number + 1)
    await said(store, "d")
    assert await conversation(sessions) == "abcd"
    again = await history.fork("fork-2-2", ANN, Point(run_id=runs[1].run_id), "fork-of-fork")
    assert (again.turns, await conversation(sessions, "fork-of-fork")) == (2, "ab")
    await sessions.delete("s", ANN)
    assert await conversation(sessions, "fork-3-3") == "abcx"
    await sessions.delete("fork-3-3", ANN)
    assert await known(store, "fork-2-2") == Saved(b"abx", 2, 3)


async def test_a_fork_of_what_there_is_now_leaves_a_run_that_goes_on_out(
    store: Store, history: History, sessions: SessionStore
) -> None:
    """It can be made meanwhile; also of a session without any completed run."""
    await store.run(new_run("new"))
    fork = await history.fork("new", ANN, Point(), "empty")
    assert (fork.version, fork.turns, fork.active_run_id) == (0, 0, None)
    assert await known(store, "empty") == Saved(None, 0, 0)
    await said(store, "a")
    going_on = new_run()
    saved = await store.run(going_on)
    assert (await sessions.get("s", ANN)).active_run_id == going_on.run_id
    fork = await history.fork("s", ANN, Point(), "fork")
    assert (fork.turns, fork.active_run_id, await conversation(sessions, "fork")) == (1, None, "a")
    await store.complete(going_on, saved)
    assert ((await sessions.get("s", ANN)).turns, (await sessions.get("fork", ANN)).turns) == (2, 1)


async def test_going_back_takes_runs_out_of_the_conversation(
    store: Store, history: History, sessions: SessionStore
) -> None:
    """They stay on record; the next run goes on from before them, under a version of its own."""
    a, b, c = [await said(store, task) for task in "abc"]
    session = await history.rewind("s", ANN, Point(run_id=b.run_id))
    assert (session.version, session.turns, await conversation(sessions)) == (4, 1, "a")
    assert await known(store) == Saved(b"a", 4, 1)
    for run in (a, b, c):
        assert await store.get(run.run_id, ANN) == run
    d = await said(store, "d")
    assert await conversation(sessions) == "ad"
    versions = await history.versions("s", 10, None)
    assert [(each.version, each.run_id, each.turn, each.bytes) for each in versions] == [
        (5, d.run_id, 2, 2),
        (4, a.run_id, 1, 1),
    ]
    for taken_back in (b, c):
        for act in (history.rewind("s", ANN, Point(taken_back.run_id)), history.fork("s", ANN, Point(b.run_id), "f")):
            with pytest.raises(NotInConversation):
                await act
    assert (await history.rewind("s", ANN, Point(run_id=a.run_id))).turns == 0
    assert (await known(store), await conversation(sessions)) == (Saved(None, 6, 0), "")
    await said(store, "e")
    assert await known(store) == Saved(b"e", 7, 1)


async def test_going_back_to_a_version(store: Store, history: History, sessions: SessionStore) -> None:
    """Once: asked again, it is there. One that is not kept any more is gone, one that is still to come not found."""
    for task in "abcd":
        await said(store, task)
    assert [version.version for version in await history.versions("s", 10, None)] == [4, 3, 2]
    for _ in range(2):
        session = await history.rewind("s", ANN, Point(version=3))
        assert (session.version, session.turns) == (5, 3)
    assert await known(store) == Saved(b"abc", 5, 3)
    first = (await store.of_session("s", ANN, 10, None))[-1].run_id
    second = (await sessions.get("s", ANN)).updated_at
    for point in (Point(version=1), Point(version=4), Point(run_id=first)):
        with pytest.raises(StateGone):
            await history.fork("s", ANN, point, "fork")
    for version, error in ((1, StateGone), (4, StateGone), (6, NotFound)):
        with pytest.raises(error):
            await history.rewind("s", ANN, Point(version=version))
    assert (await sessions.get("s", ANN)).updated_at == second
    assert (await history.rewind("s", ANN, Point(version=0))).turns == 0
    assert await history.versions("s", 10, None) == []
    assert (await history.rewind("s", ANN, Point(version=6))).version == 6


async def test_only_completed_runs_of_the_conversation_are_points_of_it(store: Store, history: History) -> None:
    """A failed one, one of another session, and one that goes on are not; one that does not exist is not found."""
    await said(store, "a")
    await known(store)
    failed = (await store.of_session("s", ANN, 1, None))[0]
    other = await said(store, "b", "other")
    going_on = new_run()
    await store.run(going_on)
    for run in (failed, other, going_on):
        with pytest.raises(NotInConversation):
            await history.fork("s", ANN, Point(run.run_id), "fork")
    with pytest.raises(NotFound):
        await history.fork("s", ANN, Point("nothing"), "fork")
    with pytest.raises(NotFound):
        await history.fork("nothing", ANN, Point(), "fork")


async def test_to_others_it_does_not_exist(store: Store, history: History, sessions: SessionStore) -> None:
    """Neither the session, nor its runs, nor the id that a fork would have; the owner is told that it is taken."""
    run = await said(store, "a")
    bobs = new_run("bobs", user="bob")
    await store.complete(bobs, await store.run(bobs, BOB))
    for stranger in (BOB, Caller(), Caller(tenant="other", user="ann")):
        for act in (
            history.fork("s", stranger, Point(run.run_id), "fork"),
            history.rewind("s", stranger, Point(run.run_id)),
            sessions.delete("s", stranger),
        ):
            with pytest.raises(NotFound):
                await act
    with pytest.raises(NotFound):
        await history.fork("bobs", BOB, Point(run.run_id), "fork")
    with pytest.raises(NotFound):
        await history.fork("bobs", BOB, Point(), "s")
    with pytest.raises(SessionExists):
        await history.fork("s", ANN, Point(), "s")
    assert (await conversation(sessions), await conversation(sessions, "fork")) == ("a", "")


async def test_of_many_forks_with_one_id_one_is_made(store: Store, history: History, sessions: SessionStore) -> None:
    """10 at once, of two sessions."""
    for session in ("s", "t"):
        await said(store, "a", session)
    outcomes: list[str] = []

    async def fork(session: str) -> None:
        try:
            await history.fork(session, ANN, Point(), "fork")
            outcomes.append("made")
        except SessionExists:
            outcomes.append("exists")

    async with anyio.create_task_group() as group:
        for session in "st" * 5:
            group.start_soon(fork, session)
    assert sorted(outcomes) == ["exists"] * 9 + ["made"]
    assert (await known(store, "fork"), await conversation(sessions, "fork")) == (Saved(b"a", 1, 1), "a")


@pytest.mark.parametrize("status", ["running", "queued", "input_required"])
async def test_what_has_not_ended_keeps_a_session_from_going_back(
    status: str, store: Store, history: History, sessions: SessionStore
) -> None:
    """And, while a process executes it, from being deleted; what waits goes with the session."""
    done = await said(store, "a")
    run = new_run()
    await (store.try_to(run, owner=None) if status == "queued" else store.run(run))
    if status == "input_required":
        await store.queue.pause(asking(run), 1, b"checkpoint", 2)
    with pytest.raises(SessionBusy):
        await history.rewind("s", ANN, Point(run_id=done.run_id))
    assert (await sessions.get("s", ANN)).active_run_id == (None if status == "queued" else run.run_id)
    if status == "running":
        with pytest.raises(SessionBusy):
            await sessions.delete("s", ANN)
        assert (await store.get(run.run_id, ANN)).status is RunStatus.RUNNING
        assert await conversation(sessions) == "a"
    else:
        gone = await sessions.delete("s", ANN)
        assert (sorted(gone.run_ids), gone.unended) == ([done.run_id, run.run_id], [run.run_id])
        assert await store.queue.record(run.run_id) is None
        assert await store.queue.claim("here") is None


async def test_deleting_leaves_nothing(
    store: Store, history: History, sessions: SessionStore, database: Database
) -> None:
    """No state and no message, of forks either."""
    run = await said(store, "a")
    await history.fork("s", ANN, Point(run.run_id), "fork")
    for session in ("s", "fork"):
        await sessions.delete(session, ANN)
    async with writing(database) as connection:
        for table in (SessionRow, StateRow, MessageRow):
            assert await connection.scalar(select(func.count()).select_from(table)) == 0


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
async def test_a_run_that_is_admitted_while_its_session_goes_back_begins_there(
    store: Store, history: History, sessions: SessionStore, database: Database
) -> None:
    """It waits for the lock, and has the state that was gone back to: no more, and no less."""
    await said(store, "a")
    b = await said(store, "b")
    after: list[Any] = []

    async def back() -> None:
        after.append(await history.rewind("s", ANN, Point(b.run_id)))

    async def admit() -> None:
        after.append(await store.run(new_run()))

    async with anyio.create_task_group() as group, writing(database) as connection:
        await connection.execute(select(SessionRow.id).with_for_update())
        group.start_soon(back)
        await until_blocked(database)
        group.start_soon(admit)
        await until_blocked(database, 2)
    assert after[1] == Saved(b"a", 3, 1)


async def test_a_post_at_the_same_moment_is_before_or_after(
    store: Store, history: History, sessions: SessionStore
) -> None:
    """Either the run is admitted, and the session does not go back; or it begins from there. 20 times."""
    for number in range(20):
        session = f"s{number}"
        await said(store, "a", session)
        b = await said(store, "b", session)
        outcomes: dict[str, Any] = {}

        async def back(session: str = session, b: Run = b, outcomes: dict[str, Any] = outcomes) -> None:
            try:
                outcomes["back"] = await history.rewind(session, ANN, Point(b.run_id))
            except SessionBusy:
                outcomes["back"] = None

        async def post(session: str = session, outcomes: dict[str, Any] = outcomes) -> None:
            run = new_run(session)
            outcomes["saved"] = await store.run(run)
            await store.queue.finish(completed(run), 1, outcomes["saved"], b"c", 5)

        async with anyio.create_task_group() as group:
            for task in (back, post) if number % 2 else (post, back):
                group.start_soon(task)
        if outcomes["back"] is None:
            assert outcomes["saved"] == Saved(b"ab", 2, 2)
        else:
            assert outcomes["saved"] in (Saved(b"a", 3, 1), Saved(b"ab", 2, 2))


async def test_a_run_that_is_claimed_is_not_deleted(store: Store, sessions: SessionStore) -> None:
    """Claimed and deleted at the same moment, either has it: 20 times."""
    for number in range(20):
        run = new_run(f"s{number}")
        await store.try_to(run, owner=None)
        claims: list[Any] = []
        deletions: list[Deleted | AppError] = []

        async def claim(claims: list[Any] = claims) -> None:
            claims.append(await store.queue.claim("here"))

        async def delete(session: str = run.session_id, deletions: list[Deleted | AppError] = deletions) -> None:
            try:
                deletions.append(await sessions.delete(session, ANN))
            except SessionBusy as busy:
                deletions.append(busy)

        async with anyio.create_task_group() as group:
            for task in (claim, delete) if number % 2 else (delete, claim):
                group.start_soon(task)
        assert (claims[0] is None) == isinstance(deletions[0], Deleted)
        assert (await store.queue.record(run.run_id) is None) == (claims[0] is None)
