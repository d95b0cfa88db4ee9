"""A run's events as pages of bytes: how one process tells them to the others.

One writer a process gathers what was appended to its logs within a few milliseconds and writes it behind the runs:
no run waits for it but at its end, and a viewer in the same process reads from memory. What is to be written is what
the log has and the pages do not, so that an outage of theirs costs nothing but time.
"""

import asyncio
import logging

import orjson
from pydantic import TypeAdapter

from app.errors import Unavailable
from app.events import Placed, Position, RunEnded, RunEvent
from app.runs.log import RunLog
from app.store.page import Page, Pages

logger = logging.getLogger(__name__)

GATHER_S = 0.005
"""How long events are gathered into one page."""
PAGE_EVENTS = 500
KEPT_LOGS = 1000
"""Logs of ended runs that wait for pages that cannot be reached."""
FLUSH_S = 2.0
"""How long the end of a run waits for its events to be written."""
_EVENTS: TypeAdapter[RunEvent] = TypeAdapter(RunEvent)


def events_of(page: Page, after: Position) -> list[Placed]:
    """The page's events that come after that one."""
    lines = page.body.split(b"\n")
    places = [Position(page.attempt, seq) for seq in range(page.first_seq, page.last_seq + 1)]
    return [(place, _EVENTS.validate_json(line)) for place, line in zip(places, lines, strict=True) if place > after]


def pages_of(run_id: str, events: list[Placed]) -> list[Page]:
    """Pages of one attempt each. The end is left out: the run's record tells it."""
    pages: list[Page] = []
    told = [(place, event) for place, event in events if not isinstance(event, RunEnded)]
    while told:
        (attempt, first), _ = told[0]
        some = [(place, event) for place, event in told[:PAGE_EVENTS] if place.attempt == attempt]
        body = b"\n".join([orjson.dumps(event) for _, event in some])
        pages.append(Page(run_id, attempt, first, some[-1][0].seq, body))
        told = told[len(some) :]
    return pages


class Writer:
    """Writes the logs of this process's runs behind them."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._logs: dict[str, RunLog] = {}
        self._written: dict[str, Position | None] = {}
        """Up to where; None where the pages are to be asked."""
        self._first: list[Page] = []
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()
        self._flushed = asyncio.Event()

    def follow(self, run_id: str, log: RunLog) -> None:
        """Write what is appended to it from here on."""
        self._logs[run_id] = log
        self._written.setdefault(run_id, log.last)

    def asked(self, run_id: str, attempt: int, seq: int, event: RunEvent) -> None:
        """The question that a run goes on after: whoever asked it may have died before it was written."""
        self._first += pages_of(run_id, [(Position(attempt, seq), event)])
        self.appended(run_id)

    def leave(self, run_id: str) -> None:
        """Nothing more will be appended. What the pages lack is written still, once they can be reached."""
        if run_id in self._dirty and len(self._logs) <= KEPT_LOGS:
            return
        self._dirty.discard(run_id)
        self._logs.pop(run_id, None)
        self._written.pop(run_id, None)

    def appended(self, run_id: str) -> None:
        self._dirty.add(run_id)
        self._changed.set()

    def resync(self) -> None:
        """What was written may be gone: ask, and write what lacks."""
        self._written = dict.fromkeys(self._written)
        self._dirty.update(self._logs)
        self._changed.set()

    async def flush(self, run_id: str) -> None:
        """Wait until its events are written; not for long: a run must end where the pages cannot be reached."""
        try:
            async with asyncio.timeout(FLUSH_S):
                while run_id in self._dirty:
                    self._flushed.clear()
                    self._changed.set()
                    await self._flushed.wait()
        except TimeoutError:
            logger.warning("The events of run %s could not be written before its end", run_id)

    async def serve(self) -> None:
        """Until cancelled."""
        wait_s = GATHER_S
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(wait_s)
            try:
                await self._write(sorted(self._dirty))
            except Unavailable:
                self._written = dict.fromkeys(self._written)  # some of it may be there, or what was there may be gone
                self._changed.set()
                wait_s = min(1.0, wait_s * 4)
            else:
                wait_s = GATHER_S
                self._flushed.set()

    async def _write(self, run_ids: list[str]) -> None:
        pages = list(self._first)
        reached: dict[str, Position] = {}
        for run_id in run_ids:
            log = self._logs[run_id]
            place = self._written[run_id] or await self._pages.tail(run_id)
            events = log.since(place) if log.covers(place) else log.since(None) if log.covers(None) else []
            pages += pages_of(run_id, events)
            reached[run_id] = log.last
        if pages:
            await self._pages.append(pages)
        self._first = []
        for run_id, place in reached.items():
            self._written[run_id] = place
            if self._logs[run_id].last == place:
                self._dirty.discard(run_id)
                if self._logs[run_id].over:
                    self.leave(run_id)
