"""The queue, questions to people, states to go back to, events and news for others, keys against doing it twice."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RUNNING = sa.text("status = 'running'")
HELD = sa.text("status IN ('running', 'input_required')")
QUEUED = sa.text("status = 'queued'")
OPEN = sa.text("answered_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "session_states",
        sa.Column("session_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", "version"),
    )
    op.execute(
        "INSERT INTO session_states (session_id, version, turn, state, created_at) "
        "SELECT id, version, version, state, updated_at FROM sessions WHERE state IS NOT NULL"
    )
    op.drop_column("sessions", "state")
    op.add_column("sessions", sa.Column("next_position", sa.Integer(), nullable=False, server_default="1"))

    for column in (
        sa.Column("first_attempt", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("last_seq", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(length=36), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("background", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("restarts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("stop_wish", sa.String(length=16), nullable=True),
        sa.Column("request", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
        sa.Column("webhook_url", sa.String(), nullable=True),
    ):
        op.add_column("runs", column)
    op.drop_index("runs_one_at_a_time", table_name="runs", sqlite_where=RUNNING, postgresql_where=RUNNING)
    op.create_index("runs_one_at_a_time", "runs", ["session_id"], unique=True, sqlite_where=HELD, postgresql_where=HELD)
    op.create_index("sessions_by_age", "sessions", ["updated_at"], unique=False)
    op.create_index("runs_by_owner", "runs", ["tenant", "user_id", "created_at"], unique=False)
    op.create_index(
        "runs_queued", "runs", ["session_id", "position"], unique=False, sqlite_where=QUEUED, postgresql_where=QUEUED
    )

    op.create_table(
        "inputs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("schema", sa.JSON(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("inputs_by_run", "inputs", ["run_id", "created_at"], unique=False)
    op.create_index(
        "inputs_by_expiry", "inputs", ["expires_at"], unique=False, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "user_id", "key"),
    )
    op.create_index("idempotency_keys_by_run", "idempotency_keys", ["run_id"], unique=False)
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "attempt", "last_seq"),
    )
    op.create_index("run_events_by_age", "run_events", ["created_at"], unique=False)
    op.create_table(
        "webhooks",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("webhooks_due", "webhooks", ["next_at"], unique=False)

    op.rename_table("messages", "messages_before")
    op.drop_index("messages_by_session", table_name="messages_before")
    op.create_table(
        "messages",
        sa.Column("session_id", sa.String(length=128), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", "run_id", "position", name="messages_are_of_sessions"),
    )
    op.execute(
        "INSERT INTO messages (session_id, run_id, position, turn, body) "
        "SELECT m.session_id, m.run_id, m.position, t.turn, m.body FROM messages_before m "
        "LEFT JOIN (SELECT id, row_number() OVER (PARTITION BY session_id ORDER BY id) AS turn "
        "FROM runs WHERE status = 'completed') t ON t.id = m.run_id"
    )
    op.drop_table("messages_before")
    op.create_index("messages_by_session", "messages", ["session_id", "turn", "position"], unique=False)


def downgrade() -> None:
    raise RuntimeError("forks and queued runs have no place in the schema before: restore a backup")
