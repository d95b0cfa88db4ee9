"""What keeps runs going: claims what is queued, vouches for this process's runs, takes over those of dead processes.

Notices from other processes only say that it is time to look: what is missed is found by the next look.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from app.errors import Unavailable
from app.runs.bells import Bells
from app.runs.pages import Writer
from app.runs.runner import Runner
from app.settings import Settings
from app.store.overdue import Overdue
from app.store.peers import Peers
from app.store.queue import Queue
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the queue and the dead are looked for."""


class Keeper:
    """Serves for as long as the process does."""

    def __init__(
        self,
        settings: Settings,
        runner: Runner,
        queue: Queue,
        overdue: Overdue,
        peers: Peers,
        bells: Bells,
        writer: Writer | None,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._queue = queue
        self._overdue = overdue
        self._peers = peers
        self._bells = bells
        self._writer = writer
        self._metrics = metrics
        self._queued = asyncio.Event()
        self._to_heed: set[str] = set()
        self._heed = asyncio.Event()
        self._reached = True
        self._in_touch_since = 0.0
        """By the loop's clock; see `_could_vouch`."""

    def hear(self, topic: str, ids: Sequence[str]) -> None:
        """A notice of this process or of another."""
        match topic:
            case "queued":
                self._queued.set()
            case "cancel":
                self._to_heed.update(ids)
                self._heed.set()
            case "watching":
                self._runner.watched_elsewhere(ids)
            case "resync":
                self._queued.set()
                self._to_heed.update(self._runner.attempts())
                self._heed.set()
                self._bells.ring_all()
                if self._writer is not None:
                    self._writer.resync()
            case _:
                self._bells.ring(ids)

    async def claim(self) -> None:
        """Execute what is queued, as long as there is room; until cancelled."""
        if self._settings.role == "api":
            return
        while True:
            self._queued.clear()
            try:
                while self._runner.has_room and (claim := await self._queue.claim(self._peers.process_id)) is not None:
                    self._runner.execute(claim)
                self._reach()
            except Unavailable:
                self._miss()
            await _within(self._queued, LOOK_S)

    async def heed(self) -> None:
        """Stop what somebody wants stopped; until cancelled."""
        while True:
            await self._heed.wait()
            self._heed.clear()
            run_ids, self._to_heed = sorted(self._to_heed), set()
            asked = self._runner.attempts(run_ids)
            try:
                self._runner.heed(asked, await self._queue.wishes(asked))
            except Unavailable:
                self._to_heed.update(run_ids)
                await asyncio.sleep(LOOK_S)
                self._heed.set()

    async def watch(self) -> None:
        """Vouch for this process's runs, and see to those of processes that died; until cancelled."""
        loop = asyncio.get_running_loop()
        renewed = looked = self._in_touch_since = loop.time()
        ahead = _ahead(looked)
        while True:
            began = loop.time()
            jumped = abs(_ahead(began) - ahead) > LOOK_S
            if jumped or began - looked > LOOK_S + self._settings.lease_s / 3:
                self._in_touch_since = began  # this process hung, or leases seem to have ended that have not
            if jumped:
                logger.warning("The clock was set: by %.0f s", _ahead(began) - ahead)
            looked, ahead = began, _ahead(began)
            try:
                if jumped or began - renewed >= self._settings.lease_s / 3:
                    asked = self._runner.attempts()
                    self._runner.heed(asked, await self._queue.renew(asked))
                    renewed = began
                await self._take_over()
                if expired := await self._overdue.expire_inputs():
                    await self._peers.tell("changed", *expired)
                self._metrics.queued(await self._overdue.length())
                self._reach()
            except Unavailable:
                self._miss()
            await asyncio.sleep(LOOK_S)

    async def _take_over(self) -> None:
        others = await self._overdue.owners() - {self._peers.process_id}
        dead = await self._peers.dead(others) if others else set()
        lost = await self._overdue.take_over(dead, unvouched=self._could_vouch())
        if lost:
            logger.warning("Runs of a process that is gone were taken over: %d", len(lost))
            await self._peers.tell("changed", *lost)
            await self._peers.tell("queued", *lost)

    def _could_vouch(self) -> bool:
        """Whether the database has been there long enough for every process that lives to vouch for its runs."""
        return asyncio.get_running_loop().time() - self._in_touch_since >= self._settings.lease_s / 2

    def _reach(self) -> None:
        self._reached = True

    def _miss(self) -> None:
        if self._reached:
            logger.warning("The queue cannot be reached: trying again")
        self._reached = False
        self._in_touch_since = asyncio.get_running_loop().time()


def _ahead(now: float) -> float:
    """How far the clock on the wall, by which SQLite's leases go, is ahead of the loop's, which nobody sets."""
    return datetime.now(UTC).timestamp() - now


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
