"""Everything that is kept of one caller, as JSON Lines: a line each, read page by page."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from sqlalchemy import Row, Select, select, tuple_

from app.caller import Caller
from app.store.database import Database
from app.store.rows import owned_by, rows
from app.store.tables import FeedbackRow, InputRow, MessageRow, RunRow, SessionRow, StateRow

PAGE = 100
_PRIVATE = {
    "tenant",
    "owner",
    "lease_expires_at",
    "position",
    "root_span_id",
    "checkpoint",
    "stop_wish",
    "next_position",
}
"""How the service does it, not what it keeps of anybody."""


class Export:
    """Reads in short transactions: what changes meanwhile is there as it is when its page is read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, caller: Caller) -> AsyncIterator[bytes]:
        """Sessions with their saved states and messages, runs with questions, answers and feedback; `end` closes it."""
        count = 0
        owner = owned_by(caller)
        of_sessions = (SessionRow.tenant == owner["tenant"], SessionRow.user_id == owner["user_id"])
        of_runs = (RunRow.tenant == owner["tenant"], RunRow.user_id == owner["user_id"])
        mine = select(SessionRow.id).where(*of_sessions)
        runs = select(RunRow.id).where(*of_runs)
        for name, query, key in (
            ("session", select(SessionRow.__table__).where(*of_sessions), (SessionRow.id,)),
            (
                "state",
                select(StateRow.__table__).where(StateRow.session_id.in_(mine)),
                (StateRow.session_id, StateRow.version),
            ),
            ("run", select(RunRow.__table__).where(*of_runs), (RunRow.id,)),
            (
                "message",
                select(MessageRow.__table__).where(MessageRow.session_id.in_(mine)),
                (MessageRow.session_id, MessageRow.run_id, MessageRow.position),
            ),
            ("question", select(InputRow.__table__).where(InputRow.run_id.in_(runs)), (InputRow.id,)),
            ("feedback", select(FeedbackRow.__table__).where(FeedbackRow.run_id.in_(runs)), (FeedbackRow.id,)),
        ):
            async for row in self._rows(query, key):
                count += 1
                yield _line(name, row)
        yield orjson.dumps({"type": "end", "lines": count}) + b"\n"

    async def _rows(self, query: Select[Any], key: tuple[Any, ...]) -> AsyncIterator[Row[Any]]:
        after: tuple[Any, ...] | None = None
        while True:
            page = query.order_by(*key).limit(PAGE)
            if after is not None:
                page = page.where(tuple_(*key) > tuple_(*after))
            found = await self._database.read(rows, page)
            for row in found:
                yield row
            if len(found) < PAGE:
                return
            after = tuple(getattr(found[-1], column.key) for column in key)


def _line(name: str, row: Row[Any]) -> bytes:
    fields = {str(key): value for key, value in row._mapping.items() if key not in _PRIVATE}  # noqa: SLF001 its public way
    for encoded in ("state", "body"):
        if encoded in fields:
            fields[encoded] = orjson.Fragment(fields[encoded])
    return orjson.dumps({"type": name, **fields}, option=orjson.OPT_UTC_Z) + b"\n"
