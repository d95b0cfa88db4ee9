"""Moments by the one clock that the database's processes share, as part of a statement."""

from datetime import datetime
from typing import Any

from sqlalchemy import Float, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.tables import Utc


class later(FunctionElement[datetime]):  # noqa: N801 as SQLAlchemy's own functions are called
    """The moment that is so many seconds from now; in Postgres, from the transaction's beginning."""

    type = Utc()
    inherit_cache = True

    def __init__(self, seconds: Any = 0.0) -> None:
        super().__init__(bindparam(None, seconds, Float) if isinstance(seconds, float) else seconds)


@compiles(later, "postgresql")
def _postgres(element: later, compiler: SQLCompiler, **options: Any) -> str:
    return f"now() + make_interval(secs => {compiler.process(element.clauses, **options)})"


@compiles(later, "sqlite")
def _sqlite(element: later, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({seconds}) || ' seconds')"  # as SQLAlchemy writes them
