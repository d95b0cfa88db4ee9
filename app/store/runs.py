"""Runs, as their callers see them: admitted, looked at, stopped. Each function is one short transaction.

Who may run is decided while the session's row is locked (SQLite has one writer anyway), so that one post after the
other is decided, and the partial unique index on `runs` would refuse what a mistake here let through.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.errors import InvalidInput, NotFound, QueueFull, SessionBusy, SessionConflict, SessionFull
from app.events import ENDED, Position, Run, RunStatus
from app.store.allowances import Limits, within
from app.store.database import Database
from app.store.rows import (
    INTERRUPTED,
    Saved,
    Stopped,
    full_run,
    open_question,
    owned_by,
    run_of,
    runs_of,
    saved_in,
    session_row,
    stop,
    the_run,
    unended,
)
from app.store.tables import IdempotencyRow, RunRow, SessionRow

IfBusy = Literal["reject", "enqueue", "interrupt"]
ADMISSIONS = 5
"""How often an admission is decided anew when another process took the session meanwhile."""


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key, and the SHA-256 of what was asked for with it."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be admitted."""

    run: Run
    caller: Caller
    request: dict[str, Any]
    """What a process needs to execute it."""
    root_span_id: str | None = None
    owner: str | None = None
    """The process that would execute it at once; None: it is queued in any case, and run again if its process dies."""
    if_busy: IfBusy = "reject"
    key: Key | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of it. `saved` is there for one that is to be executed at once, which is the first attempt."""

    saved: Saved | None = None
    joined: str | None = None
    """The run that the Idempotency-Key stands for already."""
    stopped: tuple[Stopped, ...] = ()
    """Runs of the session that were interrupted for it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run and its events stand."""

    run: Run
    attempt: int
    first_attempt: int
    last_seq: int | None
    owner: str | None

    @property
    def ended(self) -> bool:
        return self.run.status in ENDED

    def is_end(self, position: Position) -> bool:
        """Whether nothing can follow that event."""
        return self.ended and position.attempt == self.attempt and self.last_seq in (None, position.seq)


class RunStore:
    """Runs of all callers; whoever reads one names the caller, and finds only the caller's own."""

    def __init__(self, database: Database, lease_s: float, limits: Limits) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_s)
        self._limits = limits

    async def admit(self, new: NewRun) -> Admission:
        """Record the run and, if its session is free and it has an owner, let that have it. Creates the session.

        Raises SessionBusy, SessionConflict, InvalidInput for a key that was used for something else, QueueFull
        where too many wait, and NotFound where the session is another caller's.
        """
        for _ in range(ADMISSIONS):
            try:
                return await self._admit(new)
            except IntegrityError:  # at the same moment, another of the key, or one of the session's was claimed
                if new.key is not None and (known := await self.joined(new.key, new.caller)) is not None:
                    return Admission(joined=known)
                if new.if_busy == "reject":
                    break
        raise _busy(new.run)

    async def _admit(self, new: NewRun) -> Admission:
        run, now = new.run, datetime.now(UTC)
        async with self._database.writing() as connection:
            since = now - self._limits.keys
            if new.key is not None and (known := await _joined(connection, new.key, new.caller, since)) is not None:
                return Admission(joined=known)
            if self._limits.of_callers:
                await within(connection, new.caller, self._limits, now)
            saved, position = await _session_for(connection, run, new.caller, now)
            if self._limits.turns is not None and saved.turn >= self._limits.turns:
                raise SessionFull(f"Session {run.session_id!r} has had {saved.turn} turns: begin a new one.")
            others = await unended(connection, run.session_id, self._database.later()) if position > 1 else []
            busy = bool(others)
            if busy and new.key is not None:  # the run that holds the session may be of the same key, a moment ago
                known = await _joined(connection, new.key, new.caller, since)
                if known is not None:
                    return Admission(joined=known)
            stopped: tuple[Stopped, ...] = ()
            match new.if_busy:
                case "reject" if busy:
                    raise _busy(run)
                case "enqueue" if len(others) > self._limits.queued:
                    raise QueueFull(f"As many runs as may wait for session {run.session_id!r} do.", retry_after_s=5)
                case "interrupt" if busy:
                    interrupted = [other for other in others if other.attempt > 0 or other.position < 0]
                    stopped = tuple(
                        [await stop(connection, other, "interrupted", INTERRUPTED) for other in interrupted]
                    )
                    busy = not all(done.ended for done in stopped)
                    position = -position
                case _:
                    pass
            here = new.owner is not None and not busy
            await connection.execute(
                insert(RunRow).values(
                    id=run.run_id,
                    **owned_by(new.caller),
                    session_id=run.session_id,
                    agent=run.agent,
                    status=RunStatus.RUNNING if here else RunStatus.QUEUED,
                    attempt=int(here),
                    owner=new.owner if here else None,
                    lease_expires_at=self._database.later(self._lease),
                    position=position,
                    queued_at=None if here else now,
                    background=not here,
                    request=new.request,
                    details=run.metadata,
                    trace_id=run.trace_id,
                    root_span_id=new.root_span_id,
                    webhook_url=new.webhook_url,
                    created_at=run.created_at,
                )
            )
            if new.key is not None:
                await connection.execute(
                    insert(IdempotencyRow).values(
                        **owned_by(new.caller),
                        key=new.key.key,
                        digest=new.key.digest,
                        run_id=run.run_id,
                        created_at=now,
                    )
                )
        return Admission(saved if here else None, stopped=stopped)

    async def joined(self, key: Key, caller: Caller) -> str | None:
        """The run that the key stands for, if it does."""
        async with self._database.reading() as connection:
            return await _joined(connection, key, caller, datetime.now(UTC) - self._limits.keys, renew=False)

    async def get(self, run_id: str, caller: Caller) -> Run:
        """The run with its messages; raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(runs_of(caller).where(RunRow.id == run_id))).first()
            if row is None:
                raise NotFound(f"There is no run {run_id!r}.")
            return await full_run(connection, row)

    async def standing(self, run_id: str, caller: Caller) -> Standing:
        """The run without its messages, and where its events stand; raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(runs_of(caller).where(RunRow.id == run_id))).first()
            if row is None:
                raise NotFound(f"There is no run {run_id!r}.")
            asking = row.status == RunStatus.INPUT_REQUIRED
            question = await open_question(connection, run_id) if asking else None
        return Standing(run_of(row, [], question), row.attempt, row.first_attempt, row.last_seq, row.owner)

    async def stop(self, run_id: str, caller: Caller, wish: str, reason: str, *, queued_only: bool = False) -> Stopped:
        """End it where no process has it, and tell the one that has it otherwise; raises NotFound."""
        async with self._database.writing() as connection:
            row = await the_run(connection, run_id, caller)
            if queued_only and row.status != RunStatus.QUEUED:
                return Stopped(run_id, ended=False)
            return await stop(connection, row, wish, reason)

    async def of_session(self, session_id: str, caller: Caller, limit: int, before: str | None) -> list[Run]:
        """A session's runs without their messages, newest first, older than run `before`."""
        query = runs_of(caller).where(RunRow.session_id == session_id).order_by(RunRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(RunRow.id < before)
        async with self._database.reading() as connection:
            return [run_of(row, []) for row in await connection.execute(query)]


def _busy(run: Run) -> SessionBusy:
    return SessionBusy(
        f"Session {run.session_id!r} has a run going on: wait for its end, cancel it, "
        "or send if_busy as enqueue or interrupt.",
        retry_after_s=1,
    )


async def _joined(
    connection: AsyncConnection, key: Key, caller: Caller, since: datetime, *, renew: bool = True
) -> str | None:
    """The run that the key stands for, if it was taken since then."""
    owner = owned_by(caller)
    mine = (
        IdempotencyRow.tenant == owner["tenant"],
        IdempotencyRow.user_id == owner["user_id"],
        IdempotencyRow.key == key.key,
    )
    row = (await connection.execute(select(IdempotencyRow.__table__).where(*mine))).first()
    if row is None:
        return None
    if row.created_at < since:
        if renew:
            await connection.execute(delete(IdempotencyRow).where(*mine))
        return None
    if row.digest != key.digest:
        raise InvalidInput(
            "The Idempotency-Key was used for another request: take a new key.",
            errors=[{"loc": ["header", "Idempotency-Key"], "msg": "Stands for another request."}],
        )
    return str(row.run_id)


async def _session_for(connection: AsyncConnection, run: Run, caller: Caller, now: datetime) -> tuple[Saved, int]:
    """The run's session, locked, and the place that the run gets in its queue: 1 in a new one."""
    row = await session_row(connection, run.session_id, caller)
    if row is None:
        made = insert_unless(SessionRow).values(
            id=run.session_id,
            **owned_by(caller),
            agent=run.agent,
            version=0,
            next_position=2,
            created_at=now,
            updated_at=now,
        )
        if (await connection.execute(made.on_conflict_do_nothing().returning(SessionRow.id))).first() is not None:
            return Saved(None, 0, 0), 1
        row = await session_row(connection, run.session_id, caller)  # this caller's own, made at the same moment
        if row is None:
            raise NotFound(f"There is no session {run.session_id!r}.")
    if row.agent != run.agent:
        raise SessionConflict(
            f"Session {run.session_id!r} is a conversation with {row.agent!r}: "
            f"take another session_id for {run.agent!r}."
        )
    await connection.execute(
        update(SessionRow).where(SessionRow.id == run.session_id).values(next_position=row.next_position + 1)
    )
    return await saved_in(connection, run.session_id, row.version), row.next_position
