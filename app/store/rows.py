"""What the modules of runs share: how a row becomes a value, and the statements that more than one of them needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Connection, Executable, Row, and_, bindparam, delete, exists, insert, select, text, update

from app.caller import Caller
from app.errors import AppError, NotFound, RunLost
from app.events import ENDED, InputRequest, Run, RunStatus, Usage
from app.messages import Message
from app.store import tables
from app.store.clock import later
from app.store.tables import NOBODY, QUEUED, InputRow, MessageRow, RunRow, SessionRow, StateRow, WebhookRow

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


def rows(connection: Connection, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Any]:
    """All that a statement finds, as a transaction of its own."""
    return connection.execute(statement, parameters).all()


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


def full_run(connection: Connection, row: Row[Any]) -> Run:
    """The record with its messages, and with the question it waits for."""
    bodies = connection.scalars(
        select(MessageRow.body)
        .where(MessageRow.session_id == row.session_id, MessageRow.run_id == row.id)
        .order_by(MessageRow.position)
    )
    question = open_question(connection, row.id) if row.status == RunStatus.INPUT_REQUIRED else None
    return run_of(row, [MESSAGES.validate_json(body) for body in bodies], question)


def open_question(connection: Connection, run_id: str) -> InputRequest | None:
    query = select(InputRow.__table__).where(InputRow.run_id == run_id, InputRow.answered_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else question_of(row)


def question_of(row: Row[Any]) -> InputRequest:
    return InputRequest(
        input_id=row.id, prompt=row.prompt, source=row.source, schema=row.schema, expires_at=row.expires_at
    )


def session_row(connection: Connection, session_id: str, caller: Caller) -> Any:
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
    return connection.execute(query).first()


_BUSY = exists().where(RunRow.session_id == SessionRow.id, text(tables.HELD)) | exists().where(
    RunRow.session_id == SessionRow.id, QUEUED
)
_KNOWN = (
    select(SessionRow.version, StateRow.state, StateRow.turn, _BUSY.label("busy"))
    .outerjoin(StateRow, and_(StateRow.session_id == SessionRow.id, StateRow.version == SessionRow.version))
    .where(SessionRow.id == bindparam("session"))
)


def saved_in(connection: Connection, session_id: str) -> tuple[Saved, bool]:
    """What the session knows, which is locked; and whether a run of it has not ended.

    Not asked for by the statement that locks: that may have waited for another's end, and in Postgres what is joined
    to the session's new row is as it was before.
    """
    row = connection.execute(_KNOWN, {"session": session_id}).one()
    return Saved(row.state, row.version, row.turn or 0), row.busy


def unended(connection: Connection, session_id: str) -> list[Row[Any]]:
    """The session's runs that have not ended. One that nobody vouches for any more is ended, if it is not run again."""
    unvouched = (RunRow.lease_expires_at < later()).label("unvouched")
    query = select(RunRow.__table__, unvouched).where(RunRow.session_id == session_id, RunRow.status.not_in(ENDED))
    found: list[Row[Any]] = []
    for row in connection.execute(query).all():
        if row.status == RunStatus.RUNNING and row.unvouched and not row.background:
            end(connection, row, RunStatus.FAILED, error=LOST)
        else:
            found.append(row)
    return found


def found(connection: Connection, run_id: str, caller: Caller) -> Row[Any]:
    """The caller's run; raises NotFound."""
    row = connection.execute(runs_of(caller).where(RunRow.id == run_id)).first()
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.")
    return row


def the_run(connection: Connection, run_id: str, caller: Caller) -> Row[Any]:
    """The caller's run with its session locked; raises NotFound."""
    query = runs_of(caller).where(RunRow.id == run_id)
    row = connection.execute(query).first()
    if row is not None:
        session_row(connection, row.session_id, caller)
        row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.")
    return row


def stop(connection: Connection, row: Row[Any], wish: str, reason: str) -> Stopped:
    """End it as cancelled, where no process has it; else leave the wish for its owner. One that has ended is left."""
    if row.status in ENDED:
        return Stopped(row.id, ended=True)
    if row.status != RunStatus.RUNNING and end(connection, row, RunStatus.CANCELLED, stop_reason=reason):
        return Stopped(row.id, ended=True)
    connection.execute(  # also for one that was claimed at this moment
        update(RunRow)
        .where(RunRow.id == row.id, RunRow.status == RunStatus.RUNNING, RunRow.stop_wish.is_(None))
        .values(stop_wish=wish)
    )
    return Stopped(row.id, ended=False)


def end(
    connection: Connection,
    row: Row[Any],
    status: RunStatus,
    *,
    error: AppError | None = None,
    stop_reason: str | None = None,
) -> bool:
    """End a run from outside: whoever still has it can write nothing more. False where it has gone on meanwhile."""
    now = datetime.now(UTC)
    ended = connection.execute(
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
        connection.execute(
            update(InputRow).where(InputRow.run_id == row.id, InputRow.answered_at.is_(None)).values(answered_at=now)
        )
    announce(connection, row.id, row.webhook_url, now)
    return True


def announce(connection: Connection, run_id: str, webhook_url: str | None, now: datetime) -> None:
    """Have the run's end told to whoever asked for that."""
    if webhook_url is not None:
        connection.execute(
            insert(WebhookRow).values(run_id=run_id, url=webhook_url, attempts=0, next_at=now, delivered_at=None)
        )


_MESSAGE = insert(MessageRow)


def put_messages(connection: Connection, run: Run, turn: int | None, *, again: bool) -> None:
    """Store the run's messages; `again` where it stored some when it paused."""
    if again:
        connection.execute(
            delete(MessageRow).where(MessageRow.session_id == run.session_id, MessageRow.run_id == run.run_id)
        )
    of_run = {"session_id": run.session_id, "run_id": run.run_id, "turn": turn}
    if run.messages:
        connection.execute(
            _MESSAGE,
            [
                {**of_run, "position": position, "body": orjson.dumps(message)}
                for position, message in enumerate(run.messages)
            ],
        )
