"""What viewers of a run see: its events from any place on, wherever the run is executed, each once and in order.

A viewer reads from this process's log of the run where that has what it wants, else from the pages that other
processes write, and waits to be told of more. How the run stands is in the database: that tells the end, also of a run
that nobody executed. A run whose events are gone, but whose outcome is recorded, is told again from its record.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.caller import Caller
from app.errors import EventsGone, NotFound, Unavailable
from app.events import (
    InputRequired,
    MessageAdded,
    Placed,
    Position,
    Run,
    RunEnded,
    RunEvent,
    RunStarted,
    RunStatus,
)
from app.runs.bells import Bell, Bells
from app.runs.log import RunLogs
from app.runs.pages import events_of
from app.runs.run import Started
from app.store.page import Page, Pages
from app.store.peers import Peers
from app.store.runs import RunStore, Standing

POLL_S = 2.0
"""How often a viewer looks by itself, should a notice have been missed."""
PATIENCE_S = 30.0
"""How long a viewer stays while the database does not answer; then it may come back with what it saw last."""
CATCH_UP_S = 10.0
"""How long a viewer of a run that has ended waits for what its process has still to write."""
RETOLD = 0
"""The attempt of events that are told again from the record."""
_GONE = "The events after that one are no longer kept: GET /runs/{run_id} has the outcome."


@dataclass(frozen=True, slots=True)
class View:
    """A run, and its events; None where the viewer has seen them all."""

    run: Run
    events: AsyncIterator[list[Placed]] | None


class Viewing:
    """Opens views of runs."""

    def __init__(
        self, store: RunStore, peers: Peers, logs: RunLogs, bells: Bells, pages: Pages | None, grace_s: float
    ) -> None:
        self._store = store
        self._peers = peers
        self._logs = logs
        self._bells = bells
        self._pages = pages
        self._tell_s = max(0.2, grace_s / 3)
        self._closing = False

    def close(self) -> None:
        """Let every viewer go; those of runs that go on elsewhere come back there."""
        self._closing = True
        self._bells.ring_all()

    async def follow(self, started: Started) -> AsyncIterator[list[Placed]]:
        """The events of a run that was just started or joined, from its first; a joined one's may be retold."""
        if started.live is None and started.span is None:
            events = (await self.open(started.run.run_id, started.caller)).events
            assert events is not None, "it is open from the start"  # noqa: S101
        else:
            events = self._follow(started.run.run_id, started.caller, None)
        async for batch in events:
            if started.span is not None and isinstance(end := batch[-1][1], RunEnded):
                started.span.end(end.run, model_calls=None, first_token_s=None, termination=None)
            yield batch

    async def outcome(self, started: Started) -> Run:
        """The run, once it has ended or waits for a person. Raises Unavailable where this process stops before that."""
        if started.live is not None:
            await asyncio.wait([started.live.finished])
            if (run := started.live.finished.result()) is not None:
                return run
        run_id, caller = started.run.run_id, started.caller
        async for batch in self.follow(started):
            if isinstance(batch[-1][1], RunEnded):
                break
            if isinstance(batch[-1][1], InputRequired):  # which may be answered since
                run = await self._store.get(run_id, caller)
                if run.input_request is not None:
                    return run
        run = await self._store.get(run_id, caller)
        if run.status in (RunStatus.QUEUED, RunStatus.RUNNING):
            raise Unavailable(
                f"Run {run_id!r} has not ended yet: GET /runs/{run_id} will have its outcome.", retry_after_s=5
            )
        return run

    async def open(self, run_id: str, caller: Caller, after: Position | None = None) -> View:
        """The run's events after that one, or from the start. Raises NotFound, and EventsGone."""
        standing = await self._store.standing(run_id, caller)
        if self._about_to_begin(standing):
            with self._bells.hearing(run_id) as bell:
                await bell.wait(POLL_S)
        if after is not None:
            if standing.is_end(after):
                return View(standing.run, None)
            if after.attempt != RETOLD and not await self._has(standing, after):
                raise EventsGone(_GONE)
        elif not await self._has(standing, None):
            after = Position(RETOLD, 0)
        if after is None or after.attempt != RETOLD:
            return View(standing.run, self._follow(run_id, caller, after))
        if standing.run.status is RunStatus.RUNNING:
            raise EventsGone(_GONE)
        told = _retold(await self._store.get(run_id, caller))
        rest = [(place, event) for place, event in told if place > after]
        if standing.ended and not rest:
            return View(standing.run, None)
        return View(standing.run, self._retell(rest, standing, caller))

    def _about_to_begin(self, standing: Standing) -> bool:
        """Whether this process has claimed the run, but has not opened its log for that yet."""
        if standing.run.status is not RunStatus.RUNNING or standing.owner != self._peers.process_id:
            return False
        log = self._logs.get(standing.run.run_id)
        return log is None or log.last.attempt < standing.attempt

    async def _has(self, standing: Standing, after: Position | None) -> bool:
        """Whether everything after that event is somewhere to be read, or to come."""
        log = self._logs.get(standing.run.run_id)
        if log is not None and log.covers(after):
            return True
        if after is not None and standing.attempt == 0:  # nobody has begun it: that is no event of it
            return False
        if _nothing_yet(standing) or (after is not None and _waits_at(standing, after)):
            return True
        if self._pages is None:
            return standing.owner != self._peers.process_id and _went_with_its_process(standing, after)
        floor = Position(standing.first_attempt, 0)
        place = floor if after is None or after < floor else after
        pages = await self._pages.read(standing.run.run_id, place)
        if pages:
            return _joins(pages[0].attempt, pages[0].first_seq, place)
        if not standing.ended:
            return True  # what it has seen in the run's own process may not be written yet
        tail = await self._pages.tail(standing.run.run_id)
        return tail is not None and floor < place and tail <= place

    async def _retell(self, rest: list[Placed], standing: Standing, caller: Caller) -> AsyncIterator[list[Placed]]:
        if rest:
            yield rest
        if not standing.ended:
            place = Position(standing.attempt, standing.last_seq or 0)
            async for events in self._follow(standing.run.run_id, caller, place):
                yield events

    async def _follow(self, run_id: str, caller: Caller, place: Position | None) -> AsyncIterator[list[Placed]]:
        with self._bells.hearing(run_id) as bell:
            waited_s = away_s = 0.0
            while not self._closing and max(waited_s, away_s) < PATIENCE_S:
                log = self._logs.get(run_id)
                if log is not None and log.covers(place):
                    async for events in log.read(place):
                        place = events[-1][0]
                        yield events
                    if log.ended or (self._pages is None and not log.covers(place)):
                        return
                try:
                    standing = await self._store.standing(run_id, caller)
                except NotFound:
                    return  # it was deleted with its session
                except Unavailable:
                    away_s += POLL_S
                    await bell.wait(POLL_S)
                    continue
                away_s = 0.0
                if events := await self._elsewhere(standing, place):
                    waited_s = 0.0
                    place = events[-1][0]
                    yield events
                    continue
                if (event := _told_by(standing, place, patient=waited_s < CATCH_UP_S)) is not None:
                    place = event[0]
                    yield [event]
                    if standing.ended:
                        return
                waited_s = waited_s + self._tell_s if standing.ended else 0.0
                await self._wait(run_id, bell, standing)

    async def _elsewhere(self, standing: Standing, place: Position | None) -> list[Placed]:
        """What the pages have after that event; those before the run began anew are passed over."""
        if self._pages is None:
            return []
        floor = Position(standing.first_attempt, 0)
        place = floor if place is None or place < floor else place
        try:
            pages = await self._pages.read(standing.run.run_id, place)
        except Unavailable:
            return []
        return await asyncio.to_thread(_events_of, pages, place) if len(pages) > 8 else _events_of(pages, place)

    async def _wait(self, run_id: str, bell: Bell, standing: Standing) -> None:
        """For more; whoever executes the run is told meanwhile that it is watched."""
        if not standing.ended and standing.owner != self._peers.process_id:
            await self._peers.tell("watching", run_id)
        await bell.wait(min(POLL_S, self._tell_s))


def _events_of(pages: list[Page], place: Position) -> list[Placed]:
    return [event for page in pages for event in events_of(page, place)]


def _joins(attempt: int, first_seq: int, after: Position) -> bool:
    """Whether a page follows that event without a gap."""
    return first_seq <= after.seq + 1 if attempt == after.attempt else first_seq in (1, after.seq + 1)


def _nothing_yet(standing: Standing) -> bool:
    """Whether nobody has executed it so far."""
    return standing.attempt == 0 or (standing.ended and standing.attempt == 1 and standing.last_seq is None)


def _went_with_its_process(standing: Standing, after: Position | None) -> bool:
    """Whether what there was after that event is void: the run begins anew, or all that follows is that it was lost."""
    if standing.last_seq is not None:
        return False
    return not standing.ended if after is None else after.attempt <= standing.attempt


def _waits_at(standing: Standing, after: Position) -> bool:
    """Whether that event is the question that the run waits with, or goes on after."""
    return after == (standing.attempt, standing.last_seq) and not standing.ended


def _told_by(standing: Standing, place: Position | None, *, patient: bool) -> Placed | None:
    """What the record tells: the end, and the question that a run waits with."""
    seq = (place.seq if place is not None else 0) + 1
    if standing.ended:
        if standing.last_seq is not None and seq < standing.last_seq and patient:
            return None
        return Position(standing.attempt, standing.last_seq or seq), RunEnded(standing.run)
    question = standing.run.input_request
    if question is not None and standing.last_seq == seq:
        return Position(standing.attempt, seq), InputRequired(question)
    return None


def _retold(run: Run) -> list[Placed]:
    """A run's record as events: its messages, and its end or its question."""
    events: list[RunEvent] = [RunStarted(run.agent, run.session_id, run.trace_id, 1)]
    events += [MessageAdded(message) for message in run.messages]
    if run.input_request is not None:
        events.append(InputRequired(run.input_request))
    elif run.finished_at is not None:
        events.append(RunEnded(run))
    return [(Position(RETOLD, seq), event) for seq, event in enumerate(events, 1)]
