"""Webhooks that are due, on a real SQLite and a real Postgres."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import delete, insert, select
from uuid_utils import uuid7

from app.events import RunStatus
from app.settings import Settings
from app.store.database import Database
from app.store.tables import RunRow, SessionRow, WebhookRow
from app.store.webhooks import Due, WebhookStore
from tests.store.held import writing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOLD_S = 60
URL = "https://hooks.example/runs?key=1"


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def store(database: Database) -> WebhookStore:
    return WebhookStore(database)


async def ended_run(database: Database, *, url: str = URL, next_at: datetime = NOW, **columns: Any) -> str:
    """A run that has ended, in a session of its own, and its webhook."""
    run_id = str(uuid7())
    owner = {"tenant": "default", "user_id": "ann"}
    async with writing(database) as connection:
        await connection.execute(
            insert(SessionRow).values(id=run_id, **owner, agent="assistant", created_at=NOW, updated_at=NOW)
        )
        ended = {
            "id": run_id,
            **owner,
            "session_id": run_id,
            "agent": "assistant",
            "status": RunStatus.COMPLETED,
            "attempt": 1,
            "lease_expires_at": NOW,
            "details": {"plan": "pro"},
            "output": {"answer": ["Zürich 🐝", 1.5, None]},
            "stop_reason": "done",
            "input_tokens": 12,
            "output_tokens": 8,
            "cost_usd": 0.00012,
            "trace_id": "a" * 32,
            "created_at": NOW - timedelta(seconds=2),
            "finished_at": NOW,
        }
        await connection.execute(insert(RunRow).values(**(ended | columns)))
        await connection.execute(insert(WebhookRow).values(run_id=run_id, url=url, attempts=0, next_at=next_at))
    return run_id


async def row_of(database: Database, run_id: str) -> tuple[int, datetime | None, datetime | None]:
    """Attempts, when it is tried next, when it was delivered."""
    async with writing(database) as connection:
        columns = select(WebhookRow.attempts, WebhookRow.next_at, WebhookRow.delivered_at)
        attempts, next_at, delivered_at = (await connection.execute(columns.where(WebhookRow.run_id == run_id))).one()
        return attempts, next_at, delivered_at


def ids(due: list[Due]) -> list[str]:
    return [each.run_id for each in due]


async def test_what_is_due_carries_all_that_is_sent(store: WebhookStore, database: Database) -> None:
    """The run as the contract shows it, without messages, its URL, and how often it was tried."""
    run_id = await ended_run(database)
    [due] = await store.claim(10, NOW, HOLD_S)
    assert (due.run_id, due.url, due.attempts) == (run_id, URL, 0)
    assert due.run.run_id == run_id
    assert due.run.status is RunStatus.COMPLETED
    assert due.run.output == {"answer": ["Zürich 🐝", 1.5, None]}
    assert due.run.messages == []
    assert due.run.metadata == {"plan": "pro"}
    assert due.run.finished_at == NOW


async def test_the_longest_due_come_first_and_no_more_than_asked_for(store: WebhookStore, database: Database) -> None:
    """What is not due yet is left alone."""
    late, early, future = [await ended_run(database, next_at=after(seconds)) for seconds in (-1, -2, 1)]
    assert ids(await store.claim(1, NOW, HOLD_S)) == [early]
    assert ids(await store.claim(10, NOW, HOLD_S)) == [late]
    assert ids(await store.claim(10, after(1), HOLD_S)) == [future]


async def test_a_claim_holds_and_then_it_is_due_again(store: WebhookStore, database: Database) -> None:
    """A process that dies in between loses nothing."""
    run_id = await ended_run(database)
    assert ids(await store.claim(10, NOW, HOLD_S)) == [run_id]
    assert await store.claim(10, after(HOLD_S - 1), HOLD_S) == []
    assert ids(await store.claim(10, after(HOLD_S), HOLD_S)) == [run_id]


async def test_claims_at_once_share_nothing(store: WebhookStore, settings: Settings, database: Database) -> None:
    """Two processes, eight claims at a time: each row is one's alone, and all are taken."""
    run_ids = {await ended_run(database) for _ in range(40)}
    other = Database(settings)
    taken: list[str] = []

    async def take(store: WebhookStore) -> None:
        while claimed := await store.claim(3, NOW, HOLD_S):
            taken.extend(ids(claimed))

    try:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(take, store)
                group.start_soon(take, WebhookStore(other))
    finally:
        await other.close()
    left = [each for _ in range(3) for each in ids(await store.claim(40, NOW, HOLD_S))]  # skipped where it was locked
    assert sorted(taken + left) == sorted(run_ids)


async def test_delivered_is_the_end(store: WebhookStore, database: Database) -> None:
    """It is never due again, and a failure that is told of later changes nothing."""
    run_id = await ended_run(database)
    await store.claim(10, NOW, HOLD_S)
    await store.delivered(run_id, NOW)
    await store.failed(run_id, 1, after(5))
    assert await row_of(database, run_id) == (0, None, NOW)
    assert await store.claim(10, after(9**9), HOLD_S) == []


async def test_a_failure_says_when_it_is_tried_again(store: WebhookStore, database: Database) -> None:
    """With the number of the attempts so far; or never again."""
    run_id = await ended_run(database)
    await store.claim(10, NOW, HOLD_S)
    await store.failed(run_id, 1, after(5))
    assert await store.claim(10, after(4), HOLD_S) == []
    [due] = await store.claim(10, after(5), HOLD_S)
    assert due.attempts == 1
    await store.failed(run_id, 2, None)
    assert await row_of(database, run_id) == (2, None, None)
    assert await store.claim(10, after(9**9), HOLD_S) == []


async def test_who_comes_too_late_does_not_count(store: WebhookStore, database: Database) -> None:
    """Two that tried the same attempt, since the first outlasted its hold: it is counted once, and stays given up."""
    run_id = await ended_run(database)
    await store.claim(10, NOW, HOLD_S)
    await store.claim(10, after(HOLD_S), HOLD_S)
    await store.failed(run_id, 1, None)
    await store.failed(run_id, 1, after(5))
    assert await row_of(database, run_id) == (1, None, None)


async def test_it_goes_with_its_session(store: WebhookStore, database: Database) -> None:
    """Nothing is told of what its owner deleted, and who had claimed it can go on."""
    run_id = await ended_run(database)
    await store.claim(10, NOW, HOLD_S)
    async with writing(database) as connection:
        await connection.execute(delete(SessionRow).where(SessionRow.id == run_id))
    await store.failed(run_id, 1, NOW)
    await store.delivered(run_id, NOW)
    assert await store.claim(10, after(9**9), HOLD_S) == []
