"""What people say of a run: answers to its questions, and feedback."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update
from uuid_utils import uuid7

from app.caller import Caller
from app.errors import NotWaiting
from app.events import InputRequest, Run, RunStatus
from app.store.database import Database
from app.store.rows import found, question_of, run_of, runs_of, the_run
from app.store.tables import FeedbackRow, InputRow, RunRow


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of a run, once."""

    feedback_id: str
    """Its own id."""
    score: float
    """From 0, useless, to 1."""
    label: str | None
    """A word for it."""
    comment: str | None
    """In the person's own words."""
    created_at: datetime
    """When it was said."""


class Said:
    """Of runs of all callers; whoever says something names the caller, and finds only the caller's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, run_id: str, caller: Caller, input_id: str | None, value: Any) -> tuple[Run, bool]:
        """Let the run go on with a person's answer; whether it does: the same answer twice is one.

        Raises NotFound, and NotWaiting where it asks nothing, or something else.
        """
        return await self._database.write(_answer, run_id, caller, input_id, value)

    async def question(self, run_id: str, caller: Caller, input_id: str | None) -> InputRequest | None:
        """What the run asked last, answered or not, or that one; None where it asked nothing. Raises NotFound."""
        return await self._database.read(_question, run_id, caller, input_id)

    async def add_feedback(
        self, run_id: str, caller: Caller, *, score: float, label: str | None, comment: str | None
    ) -> tuple[Run, str | None]:
        """Keep what was said of the run; the run without its messages, and its root's span. Raises NotFound."""
        row = await self._database.write(_add_feedback, run_id, caller, score, label, comment)
        return run_of(row, []), row.root_span_id

    async def feedback(self, run_id: str, caller: Caller, limit: int, after: str | None) -> list[Feedback]:
        """What was said of the run, the latest first, before the one of that id. Raises NotFound."""
        return await self._database.read(_feedback, run_id, caller, limit, after)


def _answer(connection: Connection, run_id: str, caller: Caller, input_id: str | None, value: Any) -> tuple[Run, bool]:
    now = datetime.now(UTC)
    row = the_run(connection, run_id, caller)
    question = connection.execute(_asked(run_id, input_id)).first()
    if question is None:
        raise NotWaiting(f"Run {run_id!r} does not wait for that: its input_request says for what, if anything.")
    if question.answered_at is not None:
        if question.answer == {"value": value}:
            return run_of(row, []), False
        raise NotWaiting(f"Run {run_id!r} does not wait for input (any more).")
    connection.execute(
        update(InputRow).where(InputRow.id == question.id).values(answer={"value": value}, answered_at=now)
    )
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(status=RunStatus.QUEUED, queued_at=now))
    row = connection.execute(runs_of(caller).where(RunRow.id == run_id)).one()
    return run_of(row, []), True


def _question(connection: Connection, run_id: str, caller: Caller, input_id: str | None) -> InputRequest | None:
    found(connection, run_id, caller)
    row = connection.execute(_asked(run_id, input_id)).first()
    return None if row is None else question_of(row)


def _add_feedback(
    connection: Connection, run_id: str, caller: Caller, score: float, label: str | None, comment: str | None
) -> Row[Any]:
    row = found(connection, run_id, caller)
    said = {"score": score, "label": label, "comment": comment, "created_at": datetime.now(UTC)}
    connection.execute(insert(FeedbackRow).values(id=str(uuid7()), run_id=run_id, **said))
    return row


def _feedback(connection: Connection, run_id: str, caller: Caller, limit: int, after: str | None) -> list[Feedback]:
    found(connection, run_id, caller)
    query = select(FeedbackRow.__table__).where(FeedbackRow.run_id == run_id).order_by(FeedbackRow.id.desc())
    if after is not None:
        query = query.where(FeedbackRow.id < after)
    rows = connection.execute(query.limit(limit))
    return [Feedback(row.id, row.score, row.label, row.comment, row.created_at) for row in rows]


def _asked(run_id: str, input_id: str | None) -> Select[Any]:
    """That question, or the run's last."""
    query = select(InputRow.__table__).where(InputRow.run_id == run_id).limit(1)
    return query.where(InputRow.id == input_id) if input_id else query.order_by(InputRow.created_at.desc())
