"""Whether this process is to begin runs: as many as it may are going on, or its event loop is late.

A late loop stops every stream, so that what would begin is refused before those that go on are slow. One stop tells
nothing: a collection of garbage, a large body, a tool that blocks once. It is a queue that does not go away that tells
(as in CoDel, RFC 8289): so the median of the last samples counts, of which most must be late, however late one is.
"""

import asyncio
from collections import deque
from statistics import median

from app.errors import Unavailable
from app.telemetry.metrics import Metrics

SAMPLE_S = 0.1
SAMPLES = 5
"""The median of so many counts: three late ones in a row, some 0.3 s and what they were late."""
RETRY_S = 2


class Load:
    """How late the event loop is: too late from the limit on, until it is back under half of it."""

    def __init__(self, most_runs: int, limit_s: float, metrics: Metrics) -> None:
        self.late = False
        self._most_runs = most_runs
        self._limit_s = limit_s
        self._metrics = metrics
        self._last = deque([0.0] * SAMPLES, SAMPLES)

    def allows(self, runs: int) -> bool:
        """Whether one more may begin beside so many."""
        return runs < self._most_runs and not self.late

    def admit(self, runs: int) -> None:
        """Raises Unavailable, and counts that, where `allows` says no."""
        if runs >= self._most_runs:
            self._metrics.rejected("capacity")
            raise Unavailable("As many runs as this process takes are going on.", retry_after_s=RETRY_S)
        if self.late:
            self._metrics.rejected("lag")
            raise Unavailable("This process has more to do than it can do in time.", retry_after_s=RETRY_S)

    async def watch(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            await asyncio.sleep(SAMPLE_S)
            self.sample(max(0.0, loop.time() - asked - SAMPLE_S))

    def sample(self, lag_s: float) -> None:
        """The loop was so late."""
        self._metrics.loop_lagged(lag_s)
        self._last.append(lag_s)
        if self._limit_s > 0:
            self.late = median(self._last) > (self._limit_s / 2 if self.late else self._limit_s)
