"""What the modules of runs share: how a row becomes a value, and the statements that more than one of them needs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.errors import AppError, NotFound, RunLost
from app.events import ENDED, InputRequest, Run, RunStatus, Usage
from app.messages import Message
from app.store.tables import NOBODY, InputRow, MessageRow, RunRow, SessionRow, StateRow, WebhookRow

MESSAGES: TypeAdapter[Message] = TypeAdapter(Message)
LOST = RunLost("The process that executed this run ended before the run did; its session is as it was before.")
INTERRUPTED = "Interrupted by a newer run of the session."
HELD = (RunStatus.RUNNING, RunStatus.INPUT_REQUIRED)
"""The statuses of a run that holds its session."""


class LeaseLost(Exception):
    """Another process has taken the run over, or ended it: what this one writes of it no longer counts."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a session knows: its state, the version that the next state replaces, and the turns it has had."""

    state: bytes | None
    version: int
    turn: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a run that is to stop: ended at once, or its owner was told to see to it."""

    run_id: str
    ended: bool


def owned_by(caller: Caller) -> dict[str, str]:
    """The owner's columns."""
    return {"tenant": caller.tenant, "user_id": caller.user or NOBODY}


def caller_of(row: Row[Any]) -> Caller:
    return Caller(row.tenant, row.user_id or None)


def runs_of(caller: Caller) -> Any:
    """The caller's runs."""
    owner = owned_by(caller)
    return select(RunRow.__table__).where(RunRow.tenant == owner["tenant"], RunRow.user_id == owner["user_id"])


def run_of(row: Row[Any], messages: list[Message], question: InputRequest | None = None) -> Run:
    """The record as the contract shows it."""
    return Run(
        run_id=row.id,
        agent=row.agent,
        session_id=row.session_id,
        user_id=row.user_id or None,
        status=RunStatus(row.status),
        output=row.output,
        messages=messages,
        stop_reason=row.stop_reason,
        usage=Usage(row.input_tokens, row.output_tokens, row.cost_usd),
        error=row.error,
        input_request=question,
        trace_id=row.trace_id,
        metadata=row.metadata,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


async def full_run(connection: AsyncConnection, row: Row[Any]) -> Run:
    """The record with its messages, and with the question it waits for."""
    bodies = await connection.scalars(
        select(MessageRow.body)
        .where(MessageRow.session_id == row.session_id, MessageRow.run_id == row.id)
        .order_by(MessageRow.position)
    )
    question = await open_question(connection, row.id) if row.status == RunStatus.INPUT_REQUIRED else None
    return run_of(row, [MESSAGES.validate_json(body) for body in bodies], question)


async def open_question(connection: AsyncConnection, run_id: str) -> InputRequest | None:
    query = select(InputRow.__table__).where(InputRow.run_id == run_id, InputRow.answered_at.is_(None))
    row = (await connection.execute(query)).first()
    return None if row is None else question_of(row)


def question_of(row: Row[Any]) -> InputRequest:
    return InputRequest(
        input_id=row.id, prompt=row.prompt, source=row.source, schema=row.schema, expires_at=row.expires_at
    )


async def session_row(connection: AsyncConnection, session_id: str, caller: Caller) -> Any:
    """The caller's session, locked until the transaction ends: whatever decides over its runs does so one by one."""
    owner = owned_by(caller)
    query = (
        select(SessionRow.agent, SessionRow.version, SessionRow.next_position)
        .where(
            SessionRow.id == session_id,
            SessionRow.tenant == owner["tenant"],
            SessionRow.user_id == owner["user_id"],
        )
        .with_for_update()
    )
    return (await connection.execute(query)).first()


async def saved_in(connection: AsyncConnection, session_id: str, version: int) -> Saved:
    """What the session knows, which is locked.

    Not joined to the statement that locks: that has waited for another's end, and Postgres would join the session's
    new row to no state but that of before, which is none.
    """
    query = select(StateRow.state, StateRow.turn).where(StateRow.session_id == session_id, StateRow.version == version)
    row = (await connection.execute(query)).first()
    return Saved(None, version, 0) if row is None else Saved(row.state, version, row.turn)


async def unended(connection: AsyncConnection, session_id: str, now: Any) -> list[Row[Any]]:
    """The session's runs that have not ended. One that nobody vouches for any more is ended, if it is not run again."""
    unvouched = (RunRow.lease_expires_at < now).label("unvouched")
    query = select(RunRow.__table__, unvouched).where(RunRow.session_id == session_id, RunRow.status.not_in(ENDED))
    found: list[Row[Any]] = []
    for row in (await connection.execute(query)).all():
        if row.status == RunStatus.RUNNING and row.unvouched and not row.background:
            await end(connection, row, RunStatus.FAILED, error=LOST)
        else:
            found.append(row)
    return found


async def the_run(connection: AsyncConnection, run_id: str, caller: Caller) -> Row[Any]:
    """The caller's run with its session locked; raises NotFound."""
    query = runs_of(caller).where(RunRow.id == run_id)
    row = (await connection.execute(query)).first()
    if row is not None:
        await session_row(connection, row.session_id, caller)
        row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.")
    return row


async def stop(connection: AsyncConnection, row: Row[Any], wish: str, reason: str) -> Stopped:
    """End it as cancelled, where no process has it; else leave the wish for its owner. One that has ended is left."""
    if row.status in ENDED:
        return Stopped(row.id, ended=True)
    if row.status != RunStatus.RUNNING and await end(connection, row, RunStatus.CANCELLED, stop_reason=reason):
        return Stopped(row.id, ended=True)
    await connection.execute(  # also for one that was claimed at this moment
        update(RunRow)
        .where(RunRow.id == row.id, RunRow.status == RunStatus.RUNNING, RunRow.stop_wish.is_(None))
        .values(stop_wish=wish)
    )
    return Stopped(row.id, ended=False)


async def end(
    connection: AsyncConnection,
    row: Row[Any],
    status: RunStatus,
    *,
    error: AppError | None = None,
    stop_reason: str | None = None,
) -> bool:
    """End a run from outside: whoever still has it can write nothing more. False where it has gone on meanwhile."""
    now = datetime.now(UTC)
    ended = await connection.execute(
        update(RunRow)
        .where(RunRow.id == row.id, RunRow.attempt == row.attempt, RunRow.status == row.status)
        .values(
            status=status,
            attempt=row.attempt + 1,
            last_seq=None,
            error=error and error.problem(instance=f"/runs/{row.id}", run_id=row.id, trace_id=row.trace_id),
            stop_reason=stop_reason,
            checkpoint=None,
            finished_at=now,
        )
        .returning(RunRow.id)
    )
    if ended.first() is None:
        return False
    if row.status == RunStatus.INPUT_REQUIRED:
        await connection.execute(
            update(InputRow).where(InputRow.run_id == row.id, InputRow.answered_at.is_(None)).values(answered_at=now)
        )
    await announce(connection, row.id, row.webhook_url, now)
    return True


async def announce(connection: AsyncConnection, run_id: str, webhook_url: str | None, now: datetime) -> None:
    """Have the run's end told to whoever asked for that."""
    if webhook_url is not None:
        await connection.execute(
            insert(WebhookRow).values(run_id=run_id, url=webhook_url, attempts=0, next_at=now, delivered_at=None)
        )


async def put_messages(connection: AsyncConnection, run: Run, turn: int | None, *, again: bool) -> None:
    """Store the run's messages; `again` where it stored some when it paused."""
    if again:
        await connection.execute(
            delete(MessageRow).where(MessageRow.session_id == run.session_id, MessageRow.run_id == run.run_id)
        )
    if run.messages:
        await connection.execute(
            insert(MessageRow),
            [
                {
                    "session_id": run.session_id,
                    "run_id": run.run_id,
                    "position": position,
                    "turn": turn,
                    "body": orjson.dumps(message),
                }
                for position, message in enumerate(run.messages)
            ],
        )
