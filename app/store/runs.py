"""Runs: admitted, vouched for, finished. Each function is one short transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils import uuid7

from app.caller import Caller
from app.errors import NotFound, RunLost, SessionBusy, SessionConflict
from app.events import Run, RunStatus, Usage
from app.messages import Message
from app.store.database import Database
from app.store.tables import NOBODY, FeedbackRow, MessageRow, RunRow, SessionRow

MESSAGES: TypeAdapter[Message] = TypeAdapter(Message)
LOST = RunLost("The process that executed this run ended before the run did; its session is as it was before.")


@dataclass(frozen=True, slots=True)
class Admission:
    """What a run starts from: its session's saved state, and the version that its own state replaces."""

    state: bytes | None
    version: int


class LeaseLost(Exception):
    """Another process has declared the run dead: what it writes no longer counts."""


class RunStore:
    """Runs of all callers; whoever reads one names the caller, and finds only the caller's own."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_s)

    async def admit(self, run: Run, caller: Caller, root_span_id: str | None = None) -> Admission:
        """Record the run as running and take its session's lease, creating the session when it is new.

        Raises SessionBusy, SessionConflict, or NotFound where the session is another caller's.
        """
        now = datetime.now(UTC)
        try:
            async with self._database.writing() as connection:
                session = await _session_for(connection, run, caller, now)
                dead = and_(_running(now, dead=True), RunRow.session_id == run.session_id)
                await _end_lost(connection, dead, now)
                await connection.execute(
                    insert(RunRow).values(
                        id=run.run_id,
                        **owned_by(caller),
                        session_id=run.session_id,
                        agent=run.agent,
                        status=run.status,
                        lease_expires_at=now + self._lease,
                        details=run.metadata,
                        trace_id=run.trace_id,
                        root_span_id=root_span_id,
                        created_at=run.created_at,
                    )
                )
        except IntegrityError:
            raise SessionBusy(
                f"Session {run.session_id!r} has a run going on: wait for its end, or cancel it.",
                retry_after_s=1,
            ) from None
        return session

    async def renew(self, run_ids: Sequence[str]) -> set[str]:
        """Vouch for the runs of this process; return those that were declared dead meanwhile."""
        if not run_ids:
            return set()
        async with self._database.writing() as connection:
            renewed = await connection.scalars(
                update(RunRow)
                .where(RunRow.id.in_(run_ids), RunRow.status == RunStatus.RUNNING)
                .values(lease_expires_at=datetime.now(UTC) + self._lease)
                .returning(RunRow.id)
            )
            return set(run_ids) - set(renewed)

    async def end_lost(self) -> None:
        """Declare failed whatever runs nobody vouches for any more."""
        now = datetime.now(UTC)
        async with self._database.writing() as connection:
            await _end_lost(connection, _running(now, dead=True), now)

    async def finish(self, run: Run, version: int, state: bytes | None) -> None:
        """Record the end, the messages and, of a completed run, the session's new state: all or nothing.

        Raises LeaseLost, having written nothing, when the run or the session has gone on without it.
        """
        async with self._database.writing() as connection:
            await _must_match(
                connection,
                update(RunRow)
                .where(RunRow.id == run.run_id, RunRow.status == RunStatus.RUNNING)
                .values(
                    status=run.status,
                    output=run.output,
                    stop_reason=run.stop_reason,
                    input_tokens=run.usage.input_tokens,
                    output_tokens=run.usage.output_tokens,
                    cost_usd=run.usage.cost_usd,
                    error=run.error,
                    finished_at=run.finished_at,
                )
                .returning(RunRow.id),
            )
            if run.messages:
                await connection.execute(
                    insert(MessageRow),
                    [
                        {
                            "run_id": run.run_id,
                            "position": position,
                            "session_id": run.session_id,
                            "body": orjson.dumps(message),
                        }
                        for position, message in enumerate(run.messages)
                    ],
                )
            if state is not None:
                await _must_match(
                    connection,
                    update(SessionRow)
                    .where(SessionRow.id == run.session_id, SessionRow.version == version)
                    .values(state=state, version=version + 1, updated_at=run.finished_at)
                    .returning(SessionRow.id),
                )

    async def get(self, run_id: str, caller: Caller) -> Run:
        """The run with its messages; raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_runs(caller).where(RunRow.id == run_id))).first()
            if row is None:
                raise NotFound(f"There is no run {run_id!r}.")
            bodies = await connection.scalars(
                select(MessageRow.body).where(MessageRow.run_id == run_id).order_by(MessageRow.position)
            )
            return run_of(row, [MESSAGES.validate_json(body) for body in bodies])

    async def add_feedback(
        self, run_id: str, caller: Caller, *, score: float, label: str | None, comment: str | None
    ) -> tuple[Run, str | None]:
        """Keep what was said of the run; the run without its messages, and its root's span. Raises NotFound."""
        async with self._database.writing() as connection:
            row = (await connection.execute(_runs(caller).where(RunRow.id == run_id))).first()
            if row is None:
                raise NotFound(f"There is no run {run_id!r}.")
            now = datetime.now(UTC)
            await connection.execute(
                insert(FeedbackRow).values(
                    id=str(uuid7()), run_id=run_id, score=score, label=label, comment=comment, created_at=now
                )
            )
        return run_of(row, []), row.root_span_id

    async def of_session(self, session_id: str, caller: Caller, limit: int, before: str | None) -> list[Run]:
        """A session's runs without their messages, newest first, older than run `before`."""
        query = _runs(caller).where(RunRow.session_id == session_id).order_by(RunRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(RunRow.id < before)
        async with self._database.reading() as connection:
            return [run_of(row, []) for row in await connection.execute(query)]


def owned_by(caller: Caller) -> dict[str, str]:
    """The owner's columns."""
    return {"tenant": caller.tenant, "user_id": caller.user or NOBODY}


def run_of(row: Row[Any], messages: list[Message]) -> Run:
    """The record as the contract shows it; a run whose lease has run out is shown as what it is: lost."""
    lost = row.status == RunStatus.RUNNING and row.lease_expires_at < datetime.now(UTC)
    return Run(
        run_id=row.id,
        agent=row.agent,
        session_id=row.session_id,
        user_id=row.user_id or None,
        status=RunStatus.FAILED if lost else RunStatus(row.status),
        output=row.output,
        messages=messages,
        stop_reason=row.stop_reason,
        usage=Usage(row.input_tokens, row.output_tokens, row.cost_usd),
        error=LOST.problem(run_id=row.id, trace_id=row.trace_id) if lost else row.error,
        trace_id=row.trace_id,
        metadata=row.metadata,
        created_at=row.created_at,
        finished_at=row.lease_expires_at if lost else row.finished_at,
    )


def _runs(caller: Caller) -> Any:
    owner = owned_by(caller)
    return select(RunRow.__table__).where(RunRow.tenant == owner["tenant"], RunRow.user_id == owner["user_id"])


def _running(now: datetime, *, dead: bool) -> ColumnElement[bool]:
    in_time = RunRow.lease_expires_at < now if dead else RunRow.lease_expires_at >= now
    return and_(RunRow.status == RunStatus.RUNNING, in_time)


async def _session_for(connection: AsyncConnection, run: Run, caller: Caller, now: datetime) -> Admission:
    owner = owned_by(caller)
    mine = select(SessionRow.agent, SessionRow.state, SessionRow.version).where(
        SessionRow.id == run.session_id,
        SessionRow.tenant == owner["tenant"],
        SessionRow.user_id == owner["user_id"],
    )
    found = (await connection.execute(mine)).first()
    if found is None:
        try:
            async with connection.begin_nested():
                await connection.execute(
                    insert(SessionRow).values(
                        id=run.session_id, **owner, agent=run.agent, version=0, created_at=now, updated_at=now
                    )
                )
        except IntegrityError:
            found = (await connection.execute(mine)).first()  # this caller's own, made at the same moment
            if found is None:
                raise NotFound(f"There is no session {run.session_id!r}.") from None
        else:
            return Admission(None, 0)
    if found.agent != run.agent:
        raise SessionConflict(
            f"Session {run.session_id!r} is a conversation with {found.agent!r}: "
            f"take another session_id for {run.agent!r}."
        )
    return Admission(found.state, found.version)


async def _end_lost(connection: AsyncConnection, condition: ColumnElement[bool], now: datetime) -> None:
    lost = (
        await connection.execute(select(RunRow.id, RunRow.trace_id).where(condition).with_for_update(skip_locked=True))
    ).all()
    for run_id, trace_id in lost:
        await connection.execute(
            update(RunRow)
            .where(RunRow.id == run_id, condition)
            .values(status=RunStatus.FAILED, error=LOST.problem(run_id=run_id, trace_id=trace_id), finished_at=now)
        )


async def _must_match(connection: AsyncConnection, statement: Any) -> None:
    if (await connection.execute(statement)).first() is None:
        raise LeaseLost
