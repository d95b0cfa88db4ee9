"""Runs, as the processes that execute them see them: claimed, vouched for, finished, paused, given back.

The runs table is the queue (docs/decisions/0011). A claim raises the run's attempt, and everything that its process
writes afterwards names that attempt: a process that was taken for dead can write nothing more.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from app.caller import Caller
from app.events import InputRequest, Run, RunStatus
from app.store.clock import later
from app.store.database import Database
from app.store.rows import (
    HELD,
    LeaseLost,
    Saved,
    announce,
    caller_of,
    full_run,
    put_messages,
    question_of,
    rows,
    run_of,
    saved_in,
)
from app.store.tables import QUEUED, InputRow, RunRow, SessionRow, StateRow

CLAIMS = 5
"""How often another run is looked for when the session of the one found was taken meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a process needs to execute a run that it has taken."""

    run: Run
    caller: Caller
    request: dict[str, Any]
    attempt: int
    saved: Saved
    root_span_id: str | None = None
    queued_at: datetime | None = None
    last_seq: int = 0
    """The number of the last event, where the run goes on after a pause."""
    restarted: bool = False
    """Whether it begins anew, since its process died or left it."""
    checkpoint: bytes | None = None
    question: InputRequest | None = None
    """What it had asked."""
    answer: Any = None


class Queue:
    """The runs that are to be executed, and those that are."""

    def __init__(self, database: Database, lease_s: float, state_versions: int = 50) -> None:
        self._database = database
        self._lease_s = float(lease_s)
        self._state_versions = state_versions

    async def claim(self, owner: str) -> Claim | None:
        """Take the run that has waited longest of those that head a free session's queue; None where there is none."""
        for _ in range(CLAIMS):
            try:
                return await self._database.write(self._claim, owner)
            except IntegrityError:  # the session was taken at the same moment; another one's run may wait
                continue
        return None

    def _claim(self, connection: Connection, owner: str) -> Claim | None:
        row = connection.execute(_HEAD).first()
        if row is None:
            return None
        begun_anew = row.attempt > 0 and row.last_seq is None
        attempt = row.attempt + 1
        first = attempt if begun_anew or row.attempt == 0 else row.first_attempt
        connection.execute(
            update(RunRow)
            .where(RunRow.id == row.id)
            .values(
                status=RunStatus.RUNNING,
                attempt=attempt,
                first_attempt=first,
                last_seq=None,
                owner=owner,
                lease_expires_at=later(self._lease_s),
            )
        )
        saved, _ = saved_in(connection, row.session_id)
        asked = _answered(connection, row) if row.checkpoint is not None else None
        return Claim(
            run=replace(run_of(row, []), status=RunStatus.RUNNING),
            caller=caller_of(row),
            request=row.request,
            attempt=attempt,
            saved=saved,
            root_span_id=row.root_span_id,
            queued_at=row.queued_at,
            last_seq=row.last_seq or 0,
            restarted=begun_anew,
            checkpoint=row.checkpoint,
            question=asked and question_of(asked),
            answer=asked and asked.answer["value"],
        )

    async def renew(self, attempts: dict[str, int]) -> dict[str, str | None]:
        """Vouch for these runs, each in its attempt; those that are still this process's, with the wish to stop."""
        if not attempts:
            return {}
        theirs = (
            update(RunRow)
            .where(_in_their(attempts), RunRow.status == RunStatus.RUNNING)
            .values(lease_expires_at=later(self._lease_s))
            .returning(RunRow.id, RunRow.stop_wish)
        )
        return dict(await self._database.write(rows, theirs))

    async def wishes(self, attempts: dict[str, int]) -> dict[str, str | None]:
        """Which of these runs are still this process's, with the wish to stop."""
        if not attempts:
            return {}
        query = select(RunRow.id, RunRow.stop_wish).where(_in_their(attempts), RunRow.status == RunStatus.RUNNING)
        return dict(await self._database.read(rows, query))

    async def finish(
        self, run: Run, attempt: int, saved: Saved, state: bytes | None, last_seq: int, webhook_url: str | None = None
    ) -> bool:
        """Record the end, the messages and, of a completed run, the session's new state: all or nothing.

        Returns whether others of the session wait. Raises LeaseLost, having written nothing, when the run or the
        session has gone on without it.
        """
        return await self._database.write(self._finish, run, attempt, saved, state, last_seq, webhook_url)

    def _finish(
        self,
        connection: Connection,
        run: Run,
        attempt: int,
        saved: Saved,
        state: bytes | None,
        last_seq: int,
        webhook_url: str | None,
    ) -> bool:
        if state is None:
            _lock(connection, run.session_id)
        else:
            self._save(connection, run, saved, state)
        outcome = {**_outcome(run), "last_seq": last_seq, "checkpoint": None, "finished_at": run.finished_at}
        of_run = {"session": run.session_id, "run": run.run_id, "in_attempt": attempt}
        ended = connection.execute(_END, outcome | of_run).first()
        if ended is None:
            raise LeaseLost
        put_messages(connection, run, None if state is None else saved.turn + 1, again=attempt > 1)
        announce(connection, run.run_id, webhook_url, datetime.now(UTC))
        return bool(ended.others_wait)

    def _save(self, connection: Connection, run: Run, saved: Saved, state: bytes) -> None:
        version = saved.version + 1
        raised = {"session": run.session_id, "loaded": saved.version, "version": version}
        if connection.execute(_RAISE, raised | {"updated_at": run.finished_at}).rowcount == 0:
            raise LeaseLost
        connection.execute(
            _STATE,
            {
                "session_id": run.session_id,
                "version": version,
                "run_id": run.run_id,
                "turn": saved.turn + 1,
                "state": state,
                "created_at": run.finished_at,
            },
        )
        if version > self._state_versions:
            connection.execute(_FORGET, {"session": run.session_id, "up_to": version - self._state_versions})

    async def pause(self, run: Run, attempt: int, checkpoint: bytes, last_seq: int) -> None:
        """Record the question that the run waits with, and where it goes on. Raises LeaseLost as `finish` does."""
        await self._database.write(_pause, run, attempt, checkpoint, last_seq)

    async def release(self, run_id: str, attempt: int) -> bool:
        """Give a run back, for another process to begin it anew; whether it still was this one's."""
        released = (
            update(RunRow)
            .where(RunRow.id == run_id, RunRow.status == RunStatus.RUNNING, RunRow.attempt == attempt)
            .values(status=RunStatus.QUEUED, owner=None, queued_at=datetime.now(UTC))
            .returning(RunRow.id)
        )
        return bool(await self._database.write(rows, released))

    async def record(self, run_id: str) -> Run | None:
        """A run with its messages, whoever's it is; None for one that was deleted."""
        return await self._database.read(_record, run_id)


_RAISE = update(SessionRow).where(SessionRow.id == bindparam("session"), SessionRow.version == bindparam("loaded"))
_STATE = insert(StateRow)
_FORGET = delete(StateRow).where(StateRow.session_id == bindparam("session"), StateRow.version <= bindparam("up_to"))
_OTHER = aliased(RunRow)
_END = (
    update(RunRow)
    .where(
        RunRow.id == bindparam("run"),
        RunRow.status == RunStatus.RUNNING,
        RunRow.attempt == bindparam("in_attempt"),
    )
    .returning(exists().where(_OTHER.session_id == bindparam("session"), QUEUED).label("others_wait"))
)
_HOLDER, _EARLIER = aliased(RunRow), aliased(RunRow)
_HEAD = (
    select(RunRow.__table__)
    .where(
        RunRow.status == RunStatus.QUEUED,
        ~exists().where(_HOLDER.session_id == RunRow.session_id, _HOLDER.status.in_(HELD)),
        ~exists().where(
            _EARLIER.session_id == RunRow.session_id,
            _EARLIER.status == RunStatus.QUEUED,
            _EARLIER.position < RunRow.position,
        ),
    )
    .order_by(RunRow.queued_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def _in_their(attempts: dict[str, int]) -> Any:
    """These runs, each in its attempt."""
    return tuple_(RunRow.id, RunRow.attempt).in_(list(attempts.items()))


def _outcome(run: Run) -> dict[str, Any]:
    return {
        "status": run.status,
        "output": run.output,
        "stop_reason": run.stop_reason,
        "input_tokens": run.usage.input_tokens,
        "output_tokens": run.usage.output_tokens,
        "cost_usd": run.usage.cost_usd,
        "error": run.error,
    }


def _pause(connection: Connection, run: Run, attempt: int, checkpoint: bytes, last_seq: int) -> None:
    question = run.input_request
    assert question is not None, "a run that pauses asks"  # noqa: S101
    _lock(connection, run.session_id)
    paused = (
        update(RunRow)
        .where(
            RunRow.id == run.run_id,
            RunRow.status == RunStatus.RUNNING,
            RunRow.attempt == attempt,
            RunRow.stop_wish.is_(None),
        )
        .values(**_outcome(run), last_seq=last_seq, checkpoint=checkpoint, owner=None, background=True)
    )
    if connection.execute(paused).rowcount == 0:
        raise LeaseLost
    put_messages(connection, run, None, again=attempt > 1)
    connection.execute(
        insert(InputRow).values(
            id=question.input_id,
            run_id=run.run_id,
            prompt=question.prompt,
            source=question.source,
            json_schema=question.schema,
            expires_at=question.expires_at,
            created_at=datetime.now(UTC),
        )
    )


def _record(connection: Connection, run_id: str) -> Run | None:
    row = connection.execute(select(RunRow.__table__).where(RunRow.id == run_id)).first()
    return None if row is None else full_run(connection, row)


def _answered(connection: Connection, row: Row[Any]) -> Row[Any]:
    query = select(InputRow.__table__).where(InputRow.run_id == row.id, InputRow.answer.is_not(None))
    return connection.execute(query.order_by(InputRow.created_at.desc()).limit(1)).one()


def _lock(connection: Connection, session_id: str) -> None:
    """In SQLite, who writes has locked everything."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(SessionRow.id).where(SessionRow.id == session_id).with_for_update())
