"""What goes with a session that is deleted, beyond its rows: its runs' events, and their spans here."""

import logging

from app.caller import Caller
from app.errors import Unavailable
from app.runs.log import RunLogs
from app.store.page import Pages
from app.store.peers import Peers
from app.store.sessions import SessionStore
from app.telemetry.store import TraceStore

logger = logging.getLogger(__name__)


class Deletion:
    """Of what its caller owns."""

    def __init__(
        self, sessions: SessionStore, peers: Peers, logs: RunLogs, pages: Pages | None, traces: TraceStore
    ) -> None:
        self._sessions = sessions
        self._peers = peers
        self._logs = logs
        self._pages = pages
        self._traces = traces

    async def session(self, session_id: str, caller: Caller) -> None:
        """Raises NotFound, and SessionBusy while one of its runs is executed. Viewers of those that wait are let go."""
        gone = await self._sessions.delete(session_id, caller)
        if gone.unended:
            await self._peers.tell("changed", *gone.unended)
        await self.events(gone.run_ids)

    async def events(self, run_ids: list[str]) -> None:
        """Those of runs that are gone, and the spans that are kept here."""
        self._logs.drop(run_ids)
        self._traces.forget(run_ids)
        if self._pages is not None and run_ids:
            try:
                await self._pages.forget(run_ids)
            except Unavailable:  # nobody finds them without their run, and they have their time
                logger.warning("The events of deleted runs are left to expire: %d runs", len(run_ids))
