"""How whoever waits for a run is told that something has changed: to look again."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Bell:
    """Rung for one run, or for all."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        """Until it has been rung since the last time, or for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()


class Bells:
    """One bell for each that waits."""

    def __init__(self) -> None:
        self._bells: defaultdict[str, set[Bell]] = defaultdict(set)

    @contextmanager
    def hearing(self, run_id: str) -> Iterator[Bell]:
        bell = Bell()
        self._bells[run_id].add(bell)
        try:
            yield bell
        finally:
            self._bells[run_id].discard(bell)
            if not self._bells[run_id]:
                del self._bells[run_id]

    def ring(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            for bell in self._bells.get(run_id, ()):
                bell.ring()

    def ring_all(self) -> None:
        self.ring(list(self._bells))
