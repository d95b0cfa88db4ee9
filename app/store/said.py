"""What people say of a run: answers to its questions, and feedback."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from uuid_utils import uuid7

from app.caller import Caller
from app.errors import NotFound, NotWaiting
from app.events import InputRequest, Run, RunStatus
from app.store.database import Database
from app.store.rows import question_of, run_of, runs_of, the_run
from app.store.tables import FeedbackRow, InputRow, RunRow


class Said:
    """Of runs of all callers; whoever says something names the caller, and finds only the caller's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, run_id: str, caller: Caller, input_id: str | None, value: Any) -> tuple[Run, bool]:
        """Let the run go on with a person's answer; whether it does: the same answer twice is one.

        Raises NotFound, and NotWaiting where it asks nothing, or something else.
        """
        now = datetime.now(UTC)
        async with self._database.writing() as connection:
            row = await the_run(connection, run_id, caller)
            asked = select(InputRow.__table__).where(InputRow.run_id == run_id)
            asked = asked.where(InputRow.id == input_id) if input_id else asked.order_by(InputRow.created_at.desc())
            question = (await connection.execute(asked.limit(1))).first()
            if question is None:
                raise NotWaiting(
                    f"Run {run_id!r} does not wait for that: its input_request says for what, if anything."
                )
            if question.answered_at is not None:
                if question.answer == {"value": value}:
                    return run_of(row, []), False
                raise NotWaiting(f"Run {run_id!r} does not wait for input (any more).")
            await connection.execute(
                update(InputRow).where(InputRow.id == question.id).values(answer={"value": value}, answered_at=now)
            )
            await connection.execute(
                update(RunRow).where(RunRow.id == run_id).values(status=RunStatus.QUEUED, queued_at=now)
            )
            row = (await connection.execute(runs_of(caller).where(RunRow.id == run_id))).one()
        return run_of(row, []), True

    async def question(self, run_id: str, caller: Caller, input_id: str | None) -> InputRequest | None:
        """What the run asked last, answered or not, or that one; None where it asked nothing. Raises NotFound."""
        query = select(InputRow.__table__).where(InputRow.run_id == run_id)
        query = query.where(InputRow.id == input_id) if input_id else query.order_by(InputRow.created_at.desc())
        async with self._database.reading() as connection:
            if (await connection.execute(runs_of(caller).where(RunRow.id == run_id))).first() is None:
                raise NotFound(f"There is no run {run_id!r}.")
            row = (await connection.execute(query.limit(1))).first()
        return None if row is None else question_of(row)

    async def add_feedback(
        self, run_id: str, caller: Caller, *, score: float, label: str | None, comment: str | None
    ) -> tuple[Run, str | None]:
        """Keep what was said of the run; the run without its messages, and its root's span. Raises NotFound."""
        async with self._database.writing() as connection:
            row = (await connection.execute(runs_of(caller).where(RunRow.id == run_id))).first()
            if row is None:
                raise NotFound(f"There is no run {run_id!r}.")
            now = datetime.now(UTC)
            await connection.execute(
                insert(FeedbackRow).values(
                    id=str(uuid7()), run_id=run_id, score=score, label=label, comment=comment, created_at=now
                )
            )
        return run_of(row, []), row.root_span_id
