"""The tables. A change here needs a migration in `migrations/versions` and its number in `database.HEAD`.

A session's lease is its running row in `runs`: the partial unique index lets a session have one, and
`lease_expires_at` says until when its process vouches for it.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NOBODY = ""
"""`user_id` of what belongs to a tenant itself: a value, so that equality and indexes work as for users."""


class Utc(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite keeps no zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 the base class's signature
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 the base class's signature
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class Table(DeclarativeBase):
    """Carries the metadata, and the types of annotations."""

    type_annotation_map = {  # noqa: RUF012 read by SQLAlchemy
        datetime: Utc,
        dict[str, Any]: JSON(none_as_null=True),
        Any: JSON(none_as_null=True),
    }


class SessionRow(Table):
    """One agent's conversation with one caller."""

    __tablename__ = "sessions"
    __table_args__ = (Index("sessions_by_owner", "tenant", "user_id", "updated_at", "id"),)

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[str] = mapped_column(String(128))
    agent: Mapped[str] = mapped_column(String(128))
    state: Mapped[bytes | None] = mapped_column(LargeBinary)
    """AutoGen's saved state as JSON; None before the first completed run."""
    version: Mapped[int] = mapped_column(default=0)
    """Raised with each saved state: whoever saves names the version it loaded."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class RunRow(Table):
    """One run."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_by_session", "session_id", "id"),
        Index(
            "runs_one_at_a_time",
            "session_id",
            unique=True,
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
        Index(
            "runs_by_lease",
            "lease_expires_at",
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[str] = mapped_column(String(128))
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    agent: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=1)
    """Raised by each process that takes the run up: later writes name it, and an older one's are dropped."""
    lease_expires_at: Mapped[datetime]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    output: Mapped[Any | None]
    stop_reason: Mapped[str | None]
    input_tokens: Mapped[int] = mapped_column(default=0)
    output_tokens: Mapped[int] = mapped_column(default=0)
    cost_usd: Mapped[float | None]
    error: Mapped[dict[str, Any] | None]
    trace_id: Mapped[str] = mapped_column(String(32))
    root_span_id: Mapped[str | None] = mapped_column(String(16))
    """The span that what is said of the run later hangs from."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class FeedbackRow(Table):
    """What a person said of a run."""

    __tablename__ = "feedback"
    __table_args__ = (Index("feedback_by_run", "run_id", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    score: Mapped[float]
    label: Mapped[str | None]
    comment: Mapped[str | None]
    created_at: Mapped[datetime]


class MessageRow(Table):
    """One message of a run; a session's conversation is those of its completed runs, in order."""

    __tablename__ = "messages"
    __table_args__ = (Index("messages_by_session", "session_id", "run_id", "position"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """The message's JSON, as the contract writes it."""
