"""The tables. A change here needs a migration in `migrations/versions` and its number in `database.HEAD`.

`runs` is also the queue. A session is held by its one run that is running or waits for a person: the partial unique
index lets it have no second. `owner` is the process that executes a run, and `lease_expires_at` until when it has
vouched for it. Raising `attempt` takes a run away from whoever has it: each write names the attempt it belongs to.
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
    __table_args__ = (
        Index("sessions_by_owner", "tenant", "user_id", "updated_at", "id"),
        Index("sessions_by_age", "updated_at"),
    )

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[str] = mapped_column(String(128))
    agent: Mapped[str] = mapped_column(String(128))
    version: Mapped[int] = mapped_column(default=0)
    """That of its state in `session_states`; raised with each one: whoever saves names the version it loaded."""
    next_position: Mapped[int] = mapped_column(default=1)
    """The place in the queue that the next run gets."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class StateRow(Table):
    """What AutoGen saved after a completed run; the last few are kept, to fork from and to go back to."""

    __tablename__ = "session_states"

    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str | None] = mapped_column(String(36))
    """The run that saved it; None for one that a migration brought."""
    turn: Mapped[int] = mapped_column(default=0)
    """The last turn of the conversation that it knows."""
    state: Mapped[bytes] = mapped_column(LargeBinary)
    """AutoGen's saved state as JSON."""
    created_at: Mapped[datetime]


HELD = "status IN ('running', 'input_required')"
"""A run that holds its session."""
QUEUED = text("status = 'queued'")
"""A run that waits: the words of the index, in which alone SQLite finds it."""


class RunRow(Table):
    """One run."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_by_session", "session_id", "id"),
        Index("runs_by_owner", "tenant", "user_id", "created_at"),
        Index(
            "runs_one_at_a_time",
            "session_id",
            unique=True,
            sqlite_where=text(HELD),
            postgresql_where=text(HELD),
        ),
        Index(
            "runs_queued",
            "session_id",
            "position",
            sqlite_where=QUEUED,
            postgresql_where=QUEUED,
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
    attempt: Mapped[int] = mapped_column(default=0)
    """Raised by each process that takes the run up, and by whoever ends it from outside."""
    first_attempt: Mapped[int] = mapped_column(default=1)
    """The attempt in which the run last began anew: events before it are to be forgotten."""
    last_seq: Mapped[int | None]
    """The number of the last event of `attempt`, once that is over; None where it was ended from outside."""
    owner: Mapped[str | None] = mapped_column(String(36))
    """The process that executes it."""
    lease_expires_at: Mapped[datetime]
    position: Mapped[int] = mapped_column(default=0)
    """Its place in the session's queue; below zero ahead of those that wait their turn."""
    queued_at: Mapped[datetime | None]
    """Since when it has been waiting for a process; None for one that was executed where it arrived."""
    background: Mapped[bool] = mapped_column(default=False)
    """Whether it is run again when its process dies."""
    restarts: Mapped[int] = mapped_column(default=0)
    stop_wish: Mapped[str | None] = mapped_column(String(16))
    """Why its owner is to stop it (`app.runs.run.Stop`)."""
    request: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What a process needs to execute it: task, deadline, what to do when nobody watches."""
    checkpoint: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Where a run that waits for a person goes on."""
    webhook_url: Mapped[str | None]
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


class InputRow(Table):
    """A question that a run asks a person, and the answer."""

    __tablename__ = "inputs"
    __table_args__ = (
        Index("inputs_by_run", "run_id", "created_at"),
        Index(
            "inputs_by_expiry",
            "expires_at",
            sqlite_where=text("answered_at IS NULL"),
            postgresql_where=text("answered_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    prompt: Mapped[str]
    source: Mapped[str]
    json_schema: Mapped[dict[str, Any] | None] = mapped_column("schema")
    expires_at: Mapped[datetime]
    answer: Mapped[Any | None]
    created_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class IdempotencyRow(Table):
    """A caller's key for a run, so that a request that is sent again is not run again."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("idempotency_keys_by_run", "run_id"),
        Index("idempotency_keys_by_age", "created_at"),
    )

    tenant: Mapped[str] = mapped_column(String(128), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of what was asked for."""
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]


class EventsRow(Table):
    """A page of a run's events, written behind it for other processes to read.

    It has no foreign key: pages of many runs are written at once, and one must not fail the others.
    """

    __tablename__ = "run_events"
    __table_args__ = (Index("run_events_by_age", "created_at"),)

    run_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    last_seq: Mapped[int] = mapped_column(primary_key=True)
    first_seq: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class WebhookRow(Table):
    """The news of a run's end, until its receiver has it."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("webhooks_due", "next_at"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    """When it is tried next; None once it was delivered or given up."""
    delivered_at: Mapped[datetime | None]


class MessageRow(Table):
    """One message of a run. A session's conversation is those that have a turn, in order; a fork has copies."""

    __tablename__ = "messages"
    __table_args__ = (Index("messages_by_session", "session_id", "turn", "position"),)

    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    turn: Mapped[int | None]
    """Which completed run of the conversation it belongs to, from 1; None where it is no part of it (any more)."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """The message's JSON, as the contract writes it."""
