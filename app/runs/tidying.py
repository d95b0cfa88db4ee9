"""Removes what has had its time: sessions, runs, keys, events for other processes."""

import asyncio
import logging

from app.errors import Unavailable
from app.runs.deletion import Deletion
from app.store.page import Pages
from app.store.retention import BATCH, Retention

logger = logging.getLogger(__name__)

EVERY_S = 60.0
REST_S = 0.05
"""Between two batches, so that whoever works has the database in between."""
MAX_BATCHES = 200
"""A turn; what is left has its time in the next one."""


class Tidying:
    """One part fails for itself."""

    def __init__(self, retention: Retention, deletion: Deletion, pages: Pages | None) -> None:
        self._retention = retention
        self._deletion = deletion
        self._pages = pages

    async def serve(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.tidy()
            except Unavailable:
                logger.warning("What has had its time could not be removed: later again")

    async def tidy(self) -> None:
        """Once over everything."""
        await self._retention.expire_keys()
        sessions = runs = 0
        for _ in range(MAX_BATCHES):
            removed = await self._retention.expire_sessions()
            more = await self._retention.expire_runs()
            sessions, runs = sessions + removed.sessions, runs + len(removed.run_ids) + len(more)
            await self._deletion.events(removed.run_ids + more)
            if removed.sessions < BATCH and len(more) < BATCH:
                break
            await asyncio.sleep(REST_S)
        if sessions or runs:
            logger.info("Had their time, and were removed: %d sessions, %d runs", sessions, runs)
        if self._pages is not None:
            await self._pages.expire()
