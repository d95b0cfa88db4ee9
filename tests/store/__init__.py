"""The database, SQLite and Postgres alike."""
