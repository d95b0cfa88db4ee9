"""Queued runs that somebody of this process waits for, and that are not to be executed when nobody does any more."""

import asyncio
from collections.abc import Callable

from app.caller import Caller
from app.errors import NotFound, Unavailable
from app.runs.run import Stop
from app.store.peers import Peers
from app.store.runs import RunStore


class Waiting:
    """Knows them from `add` until they are claimed here, or nobody watches them for `grace_s`."""

    def __init__(self, store: RunStore, peers: Peers, viewers_of: Callable[[str], int], grace_s: float) -> None:
        self._store = store
        self._peers = peers
        self._viewers_of = viewers_of
        self._grace_s = grace_s
        self._callers: dict[str, Caller] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._callers

    def add(self, run_id: str, caller: Caller) -> None:
        self._callers[run_id] = caller

    def discard(self, run_id: str) -> None:
        self._callers.pop(run_id, None)

    async def left(self, run_id: str) -> None:
        """Its last viewer has left: cancel it, unless one comes back."""
        await asyncio.sleep(self._grace_s)
        if self._viewers_of(run_id) > 0 or (caller := self._callers.pop(run_id, None)) is None:
            return
        try:
            why = Stop.LEFT
            stopped = await self._store.stop(run_id, caller, why.wish, why.value, queued_only=True)
        except (NotFound, Unavailable):
            return  # it was deleted; or whoever executes it finds nobody watching
        if stopped.ended:
            await self._peers.tell("changed", run_id)
