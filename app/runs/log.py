"""A run's events, for any number of viewers: in memory, bounded, readable from any event that is still kept.

Deltas that come in one turn of the event loop are one event. Nobody could have read the first before the last had come,
so none waits for another; and nothing is changed that was read, so that a place means the same to every viewer and in
every process.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from itertools import islice

from app.events import Placed, Position, RunEnded, RunEvent, TextDelta, ThoughtDelta

KEPT_RUNS, KEPT_EVENTS = 256, 100_000
"""What stays readable of runs that are not going on here: so many of them, and so many events of all."""
JOINED_CHARS = 4096
"""From here on a joined delta takes no more: it is copied for each piece."""


class RunLog:
    """Appended to by whoever executes the run, in one attempt after the other; read by viewers at their own pace.

    Beyond `limit` events the oldest are forgotten: a viewer that still wanted them is let go.
    """

    def __init__(self, limit: int) -> None:
        self._events: deque[Placed] = deque(maxlen=limit)
        self._count = 0
        """Of all events so far, the forgotten ones too: an event's index."""
        self._open = False
        """Whether the last event is a delta of this turn, which nobody has read."""
        self._offsets: dict[int, int] = {}
        """By attempt: the index that an event of number 0 would have."""
        self._from: int | None = None
        """The index that a viewer from the start begins at; None where the start was in another process."""
        self._attempt = 0
        self._anew = 0
        """The attempt that a viewer from the start begins at: the run began anew with it."""
        self._changed = asyncio.Event()
        self.over = True
        """Whether nobody appends at the moment: the run has ended, waits, or went to another process."""
        self.ended = False
        """Whether the run has."""

    def __len__(self) -> int:
        """How many events are kept."""
        return len(self._events)

    @property
    def last(self) -> Position:
        """The place of the last event."""
        return Position(self._attempt, self._count - self._offsets.get(self._attempt, 0) - 1)

    def begin(self, attempt: int, last_seq: int = 0) -> None:
        """From here on, events are of that attempt; they go on after number `last_seq`, or anew from 1."""
        self._attempt, self._open = attempt, False
        self._offsets[attempt] = offset = self._count - last_seq - 1
        if last_seq == 0:
            self._from, self._anew = self._count, attempt
        else:
            self._offsets.setdefault(attempt - 1, offset)  # a viewer of another process may have seen it to its pause
        self.over = False

    def append(self, event: RunEvent) -> Position:
        """Nothing may follow the end: what an abandoned task still says is dropped."""
        self._open = False
        if not self.ended:
            place = Position(self._attempt, self._count - self._offsets[self._attempt])
            self._events.append((place, event))
            self._count += 1
            self.ended = self.over = isinstance(event, RunEnded)
            self._changed.set()
        return self.last

    def tell(self, event: RunEvent) -> None:
        """Append it, or add it to a delta of the same message that came in the same turn."""
        if self._open and self._joined(event):
            return
        self.append(event)
        if isinstance(event, TextDelta | ThoughtDelta):
            self._open = True
            asyncio.get_running_loop().call_soon(self._close)

    def _joined(self, event: RunEvent) -> bool:
        place, before = self._events[-1]
        if not isinstance(event, TextDelta | ThoughtDelta) or type(before) is not type(event):
            return False
        if before.message_id != event.message_id or len(before.delta) >= JOINED_CHARS:
            return False
        self._events[-1] = place, type(event)(event.source, event.message_id, before.delta + event.delta)
        return True

    def _close(self) -> None:
        self._open = False

    def rest(self) -> None:
        """Nothing more is appended until the next attempt, here or elsewhere."""
        self.over = True
        self._changed.set()

    def covers(self, after: Position | None) -> bool:
        """Whether everything after that event, or from the start on, is or will be here."""
        index = self._index(after)
        return index is not None and self._count - len(self._events) <= index <= self._count

    def since(self, after: Position | None) -> list[Placed]:
        """The events after that one; only where they are covered."""
        index = self._index(after)
        assert index is not None, "not covered"  # noqa: S101
        return self._from_index(index)

    async def read(self, after: Position | None = None) -> AsyncIterator[list[Placed]]:
        """The events after that one, in lists of all that are there at once, until the run's attempt is over.

        A reader that has fallen behind what is kept is let go.
        """
        index = self._index(after)
        while index is not None and index >= self._count - len(self._events):
            if index < self._count:
                fresh = self._from_index(index)
                index = self._count
                yield fresh
            elif self.over:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def _from_index(self, index: int) -> list[Placed]:
        self._open = False
        return list(islice(self._events, index - self._count + len(self._events), None))

    def _index(self, after: Position | None) -> int | None:
        if after is None:
            return self._from
        if after.attempt in self._offsets:
            return self._offsets[after.attempt] + after.seq + 1
        return self._from if after.attempt < self._anew else None  # what it has seen is void


class RunLogs:
    """The logs of this process: of runs that go on, and of the last that did."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._live: dict[str, RunLog] = {}
        self._idle: OrderedDict[str, RunLog] = OrderedDict()
        self._idle_events = 0

    def open(self, run_id: str) -> RunLog:
        """The log that the run is to be told in, by this process, until it is put away."""
        log = self._idle.pop(run_id, None)
        if log is None:
            log = RunLog(self._limit)
        else:
            self._idle_events -= len(log)
        self._live[run_id] = log
        return log

    def get(self, run_id: str) -> RunLog | None:
        return self._live[run_id] if run_id in self._live else self._idle.get(run_id)

    def put_away(self, run_id: str) -> None:
        """Nobody appends any more: it stays readable as long as there is room."""
        log = self._live.pop(run_id, None)
        if log is None:
            return
        log.rest()
        self._idle[run_id] = log
        self._idle_events += len(log)
        while len(self._idle) > KEPT_RUNS or self._idle_events > KEPT_EVENTS:
            _, forgotten = self._idle.popitem(last=False)
            self._idle_events -= len(forgotten)

    def drop(self, run_ids: list[str]) -> None:
        """Forget what was deleted."""
        for run_id in run_ids:
            if (log := self._idle.pop(run_id, None)) is not None:
                self._idle_events -= len(log)
