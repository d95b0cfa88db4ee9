"""A run's events, for any number of viewers: in memory, bounded, readable from any event that is still kept."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from itertools import islice

from app.errors import EventsGone
from app.events import RunEnded, RunEvent

Numbered = tuple[int, RunEvent]


class RunLog:
    """Appended to by the run's task, read by viewers at their own pace; sequence numbers count from 1.

    Beyond `limit` events the oldest are forgotten: a viewer that still wanted them is told so (`EventsGone`).
    """

    def __init__(self, limit: int) -> None:
        self._events: deque[RunEvent] = deque(maxlen=limit)
        self._last = 0
        self._changed = asyncio.Event()
        self.ended = False

    def __len__(self) -> int:
        """How many events are kept."""
        return len(self._events)

    def append(self, event: RunEvent) -> None:
        """Nothing may follow the end: what an abandoned task still says is dropped."""
        if self.ended:
            return
        self._events.append(event)
        self._last += 1
        self.ended = isinstance(event, RunEnded)
        self._changed.set()

    def ended_with(self, number: int) -> bool:
        """Whether that event was the end."""
        return self.ended and number == self._last

    def check(self, after: int) -> None:
        """Raise EventsGone when the events after that number are forgotten, or the number was never given."""
        if not self._last - len(self._events) <= after <= self._last:
            raise EventsGone("The events after that one are no longer kept: GET /runs/{run_id} has the outcome.")

    async def read(self, after: int = 0) -> AsyncIterator[list[Numbered]]:
        """The events after number `after`, in lists of all that are there at once, until the end.

        A reader that has fallen behind what is kept is let go: its stream ends without an end.
        """
        while after >= self._last - len(self._events):
            if after < self._last:
                fresh = list(islice(self._events, after - self._last + len(self._events), None))
                yield list(enumerate(fresh, after + 1))
                after += len(fresh)
            elif self.ended:
                return
            else:
                self._changed.clear()
                await self._changed.wait()
