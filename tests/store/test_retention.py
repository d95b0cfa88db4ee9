"""What has had its time goes, with everything of it, and nothing else does; on SQLite and on Postgres."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import orjson
from sqlalchemy import func, select, update
from uuid_utils import uuid7

from app.caller import Caller
from app.store import retention
from app.store.database import Database
from app.store.export import Export
from app.store.retention import Removed, Retention
from app.store.runs import Key
from app.store.tables import FeedbackRow, IdempotencyRow, MessageRow, RunRow, SessionRow, StateRow
from tests.store.held import writing
from tests.store.test_runs import ANN, BOB, Store, asking, new_run, store

__all__ = ["store"]

DAY = timedelta(days=1)


async def count(database: Database, table: Any) -> int:
    async with writing(database) as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def completed_run(store: Store, session: str, ago: timedelta = timedelta(0), **wanted: Any) -> str:
    """A session's run that was made that long ago; its id."""
    run = new_run(session)
    made = int((datetime.now(UTC) - ago).timestamp())
    run = replace(run, run_id=str(uuid7(timestamp=made)))
    await store.complete(run, await store.run(run, **wanted))
    return run.run_id


def kept(database: Database, sessions: timedelta | None = None, runs: timedelta | None = None) -> Retention:
    return Retention(database, sessions, runs, keys=DAY)


async def test_sessions_in_which_nothing_happens_go(store: Store, database: Database) -> None:
    """With runs, messages, states, feedback and keys; one with a run that waits stays, and a younger one."""
    for session in ("old", "waits", "young"):
        await completed_run(store, session, 3 * DAY, key=Key(session, b"0"))
    waiting = new_run("waits")
    claim = await store.run(waiting)
    assert claim is not None
    await store.queue.pause(asking(waiting), 1, b"{}", 5)
    run = (await store.of_session("old", ANN, 1, None))[0]
    await store.said.add_feedback(run.run_id, ANN, score=1, label=None, comment=None)
    async with writing(database) as connection:
        old = SessionRow.id.in_(["old", "waits"])
        await connection.execute(update(SessionRow).where(old).values(updated_at=datetime.now(UTC) - 2 * DAY))
    assert await kept(database).expire_sessions() == Removed()
    assert await kept(database, sessions=DAY).expire_sessions() == Removed(1, [run.run_id])
    assert await kept(database, sessions=DAY).expire_sessions() == Removed()
    for table, left in ((SessionRow, 2), (RunRow, 3), (StateRow, 2), (FeedbackRow, 0), (IdempotencyRow, 2)):
        assert await count(database, table) == left


async def test_runs_go_and_their_conversation_stays(store: Store, database: Database) -> None:
    """A failed one's messages, which are no part of it, go too."""
    old = await completed_run(store, "s", 3 * DAY)
    young = await completed_run(store, "s")
    messages = await count(database, MessageRow)
    assert await kept(database, runs=DAY).expire_runs() == [old]
    assert await count(database, MessageRow) == messages
    assert [run.run_id for run in await store.of_session("s", ANN, 10, None)] == [young]


async def test_many_go_in_small_batches_by_several_at_once(store: Store, database: Database, monkeypatch: Any) -> None:
    """Each is removed once."""
    monkeypatch.setattr(retention, "BATCH", 7)
    ids = {await completed_run(store, f"s-{number}", 3 * DAY) for number in range(40)}
    gone: list[str] = []

    async def expire() -> None:
        while removed := await kept(database, runs=DAY).expire_runs():
            assert len(removed) <= 7
            gone.extend(removed)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(expire)
    assert sorted(gone) == sorted(ids)


async def test_keys_go(store: Store, database: Database) -> None:
    """After their day."""
    await completed_run(store, "s", key=Key("k", b"0"))
    await kept(database).expire_keys()
    assert await count(database, IdempotencyRow) == 1
    async with writing(database) as connection:
        await connection.execute(update(IdempotencyRow).values(created_at=datetime.now(UTC) - 2 * DAY))
    await kept(database).expire_keys()
    assert await count(database, IdempotencyRow) == 0


async def test_all_that_is_kept_of_a_caller_is_exported(store: Store, database: Database, monkeypatch: Any) -> None:
    """Page by page, each row once, nothing of anybody else's, nothing of how the service works."""
    monkeypatch.setattr("app.store.export.PAGE", 2)
    for number in range(5):
        run_id = await completed_run(store, f"s-{number}")
        await store.said.add_feedback(run_id, ANN, score=0.5, label="fair", comment="So so.")
    other = new_run("bobs", user="bob")
    await store.complete(other, await store.run(other, BOB))
    lines = [orjson.loads(line) async for line in Export(database).lines(ANN)]
    *found, end = lines
    assert end == {"type": "end", "lines": len(found)}
    kinds = [line["type"] for line in found]
    assert [kinds.count(kind) for kind in ("session", "state", "run", "feedback")] == [5, 5, 5, 5]
    assert kinds.count("message") == 15
    assert len({orjson.dumps(line, option=orjson.OPT_SORT_KEYS) for line in found}) == len(found)
    assert b"bobs" not in orjson.dumps(found)
    run = next(line for line in found if line["type"] == "run")
    assert run["output"] == "done"
    assert not {"tenant", "owner", "checkpoint"} & set(run)
    assert [line async for line in Export(database).lines(Caller(user="nobody"))] == [b'{"type":"end","lines":0}\n']
