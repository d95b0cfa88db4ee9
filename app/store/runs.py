"""Runs, as their callers see them: admitted, looked at, stopped. Each function is one short transaction.

Who may run is decided while the session's row is locked (SQLite has one writer anyway), so that one post after the
other is decided, and the partial unique index on `runs` would refuse what a mistake here let through.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Float, and_, bindparam, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.exc import IntegrityError

from app.caller import Caller
from app.errors import AppError, InvalidInput, NotFound, QueueFull, SessionBusy, SessionConflict, SessionFull
from app.events import ENDED, Position, Run, RunStatus
from app.store.allowances import Limits, within
from app.store.clock import later
from app.store.database import Database
from app.store.rows import (
    INTERRUPTED,
    Saved,
    Stopped,
    found,
    full_run,
    open_question,
    owned_by,
    rows,
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
    digest: bytes | None = None
    """None where only the run is looked for, whatever was asked for."""


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
        self._lease_s = float(lease_s)
        self._limits = limits

    async def admit(self, new: NewRun) -> Admission:
        """Record the run and, if its session is free and it has an owner, let that have it. Creates the session.

        Raises SessionBusy, SessionConflict, InvalidInput for a key that was used for something else, QueueFull
        where too many wait, and NotFound where the session is another caller's.
        """
        for _ in range(ADMISSIONS):
            try:
                return await self._database.write(self._admit, new)
            except IntegrityError:  # at the same moment, another of the key, or one of the session's was claimed
                if new.key is not None and (known := await self.joined(new.key, new.caller)) is not None:
                    return Admission(joined=known)
                if new.if_busy == "reject":
                    break
        raise _busy(new.run)

    def _admit(self, connection: Connection, new: NewRun) -> Admission:
        run, now = new.run, datetime.now(UTC)
        since = now - self._limits.keys
        if new.key is not None and (known := _joined(connection, new.key, new.caller, since)) is not None:
            return Admission(joined=known)
        if self._limits.of_callers:
            within(connection, new.caller, self._limits, now)
        saved, position, busy = _session_for(connection, run, new.caller, now)
        if self._limits.turns is not None and saved.turn >= self._limits.turns:
            raise SessionFull(f"Session {run.session_id!r} has had {saved.turn} turns: begin a new one.")
        others = unended(connection, run.session_id) if busy else []
        busy = bool(others)
        # The run that holds the session may be of the same key, a moment ago.
        if busy and new.key is not None and (known := _joined(connection, new.key, new.caller, since)) is not None:
            return Admission(joined=known)
        stopped: tuple[Stopped, ...] = ()
        match new.if_busy:
            case "reject" if busy:
                raise _busy(run)
            case "enqueue" if len(others) > self._limits.queued:
                raise QueueFull(f"As many runs as may wait for session {run.session_id!r} do.", retry_after_s=5)
            case "interrupt" if busy:
                interrupted = [other for other in others if other.attempt > 0 or other.position < 0]
                stopped = tuple(stop(connection, other, "interrupted", INTERRUPTED) for other in interrupted)
                busy = not all(done.ended for done in stopped)
                position = -position
            case _:
                pass
        here = new.owner is not None and not busy
        self._record(connection, new, position, now, here=here)
        return Admission(saved if here else None, stopped=stopped)

    def _record(self, connection: Connection, new: NewRun, position: int, now: datetime, *, here: bool) -> None:
        run, owner = new.run, owned_by(new.caller)
        connection.execute(
            _RUN,
            {
                "id": run.run_id,
                **owner,
                "session_id": run.session_id,
                "agent": run.agent,
                "status": RunStatus.RUNNING if here else RunStatus.QUEUED,
                "attempt": int(here),
                "owner": new.owner if here else None,
                "lease_s": self._lease_s,
                "position": position,
                "queued_at": None if here else now,
                "background": not here,
                "request": new.request,
                "metadata": run.metadata,
                "trace_id": run.trace_id,
                "root_span_id": new.root_span_id,
                "webhook_url": new.webhook_url,
                "created_at": run.created_at,
            },
        )
        if new.key is not None:
            of_key = {"key": new.key.key, "digest": new.key.digest, "run_id": run.run_id, "created_at": now}
            connection.execute(insert(IdempotencyRow).values(**owner, **of_key))

    async def joined(self, key: Key, caller: Caller) -> str | None:
        """The run that the key stands for, if it does."""
        since = datetime.now(UTC) - self._limits.keys
        return await self._database.read(_joined, key, caller, since, renew=False)

    async def get(self, run_id: str, caller: Caller) -> Run:
        """The run with its messages; raises NotFound."""
        return await self._database.read(_get, run_id, caller)

    async def standing(self, run_id: str, caller: Caller) -> Standing:
        """The run without its messages, and where its events stand; raises NotFound."""
        return await self._database.read(_standing, run_id, caller)

    async def stop(self, run_id: str, caller: Caller, wish: str, reason: str, *, queued_only: bool = False) -> Stopped:
        """End it where no process has it, and tell the one that has it otherwise; raises NotFound."""
        return await self._database.write(_stop, run_id, caller, wish, reason, queued_only=queued_only)

    async def of_session(self, session_id: str, caller: Caller, limit: int, before: str | None) -> list[Run]:
        """A session's runs without their messages, newest first, older than run `before`."""
        query = runs_of(caller).where(RunRow.session_id == session_id).order_by(RunRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(RunRow.id < before)
        return [run_of(row, []) for row in await self._database.read(rows, query)]


_RUN = insert(RunRow).values(lease_expires_at=later(bindparam("lease_s", type_=Float)))
_MADE = insert_unless(SessionRow)
_SESSION = _MADE.on_conflict_do_update(
    index_elements=[SessionRow.id],
    set_={"next_position": SessionRow.next_position + 1},
    where=and_(
        SessionRow.tenant == _MADE.excluded.tenant,
        SessionRow.user_id == _MADE.excluded.user_id,
        SessionRow.agent == _MADE.excluded.agent,
    ),
).returning(SessionRow.version, SessionRow.next_position)
"""Made, or locked; in either case with a place given away. No row where it is another caller's, or agent's."""


def _session_for(connection: Connection, run: Run, caller: Caller, now: datetime) -> tuple[Saved, int, bool]:
    """The run's session, locked; the place that the run gets in its queue; and whether others have not ended."""
    row = connection.execute(
        _SESSION,
        {
            "id": run.session_id,
            **owned_by(caller),
            "agent": run.agent,
            "version": 0,
            "next_position": 2,
            "created_at": now,
            "updated_at": now,
        },
    ).first()
    if row is None:
        raise _not_for(connection, run, caller)
    position = row.next_position - 1
    if (position, row.version) == (1, 0):
        return Saved(None, 0, 0), position, False  # it is new
    saved, busy = saved_in(connection, run.session_id)
    return saved, position, busy


def _not_for(connection: Connection, run: Run, caller: Caller) -> AppError:
    row = session_row(connection, run.session_id, caller)
    if row is None:
        return NotFound(f"There is no session {run.session_id!r}.")
    return SessionConflict(
        f"Session {run.session_id!r} is a conversation with {row.agent!r}: take another session_id for {run.agent!r}."
    )


def _get(connection: Connection, run_id: str, caller: Caller) -> Run:
    return full_run(connection, found(connection, run_id, caller))


def _standing(connection: Connection, run_id: str, caller: Caller) -> Standing:
    row = found(connection, run_id, caller)
    question = open_question(connection, run_id) if row.status == RunStatus.INPUT_REQUIRED else None
    return Standing(run_of(row, [], question), row.attempt, row.first_attempt, row.last_seq, row.owner)


def _stop(connection: Connection, run_id: str, caller: Caller, wish: str, reason: str, *, queued_only: bool) -> Stopped:
    row = the_run(connection, run_id, caller)
    if queued_only and row.status != RunStatus.QUEUED:
        return Stopped(run_id, ended=False)
    return stop(connection, row, wish, reason)


def _busy(run: Run) -> SessionBusy:
    return SessionBusy(
        f"Session {run.session_id!r} has a run going on: wait for its end, cancel it, "
        "or send if_busy as enqueue or interrupt.",
        retry_after_s=1,
    )


def _joined(connection: Connection, key: Key, caller: Caller, since: datetime, *, renew: bool = True) -> str | None:
    """The run that the key stands for, if it was taken since then."""
    owner = owned_by(caller)
    mine = (
        IdempotencyRow.tenant == owner["tenant"],
        IdempotencyRow.user_id == owner["user_id"],
        IdempotencyRow.key == key.key,
    )
    row = connection.execute(select(IdempotencyRow.__table__).where(*mine)).first()
    if row is None:
        return None
    if row.created_at < since:
        if renew:
            connection.execute(delete(IdempotencyRow).where(*mine))
        return None
    if key.digest is not None and row.digest != key.digest:
        raise InvalidInput(
            "The Idempotency-Key was used for another request: take a new key.",
            errors=[{"loc": ["header", "Idempotency-Key"], "msg": "Stands for another request."}],
        )
    return str(row.run_id)
