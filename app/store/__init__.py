"""Sessions, runs and messages in SQLite or Postgres. Knows SQLAlchemy; nothing else does."""
