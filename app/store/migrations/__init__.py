"""Alembic's scripts: applied when the service starts."""
