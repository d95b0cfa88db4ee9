"""A run's events for other processes, in pages: what they are, and how Postgres keeps them.

One writer a run appends its pages in order; any process reads them from any position. A page is known by its run,
its attempt and its last event's number. Only what comes after a run's last page is kept: the same page again, and
pages of an older attempt, are dropped without a word. So appending may be tried again, and a process that was
given up cannot write over its successor.

Pages are volatile: Redis may come back empty, and Postgres without the last moments, because nobody waits for its
disk here. So a writer that hears `resync` asks `tail` and appends what is missing. Readers are woken as for
everything else, through their `Peers`: by `events` with the runs that have new pages, of whichever process.
"""

from pathlib import Path

from sqlalchemy import make_url

from app.settings import Settings
from app.store.database import Database
from app.store.page import READ_BYTES, Page, Pages
from app.store.peers import Peers
from app.store.postgres_pages import PostgresPages
from app.store.sqlite_pages import SqlitePages

__all__ = ["READ_BYTES", "Page", "Pages", "pages_for"]


def pages_for(settings: Settings, database: Database, peers: Peers) -> Pages | None:
    """In Redis if there is one, else in Postgres; on SQLite in a file for several workers, None for one process."""
    if database.url.startswith("sqlite"):
        if settings.workers == 1:
            return None
        return SqlitePages(Path(f"{make_url(database.url).database}.events"), settings.events_ttl_s, peers)
    if settings.redis_url:
        from app.store.redis_pages import RedisPages  # noqa: PLC0415 most have no Redis, whose client takes a while

        return RedisPages(settings.redis_url, settings.events_ttl_s, peers.hear)
    return PostgresPages(database, settings.events_ttl_s)
