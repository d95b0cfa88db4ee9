"""Peers where no server is between them: together on one SQLite file, or alone."""

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from uuid_utils import uuid7

from app.store.notices import Topic

if sys.platform != "win32":
    import fcntl

Listener = Callable[[Topic, Sequence[str]], None]
"""Called in the event loop with a topic and its ids; must not block, and must bear to be called for nothing."""


class Peers:
    """A process that knows of no other: nobody is ever dead, and what it tells, it hears itself.

    Windows, which has no `flock`, gets no more: there the runs of a process that died wait for their lease's end.
    """

    def __init__(self) -> None:
        self.process_id = str(uuid7())
        self._listeners: list[Listener] = []

    @property
    def in_touch(self) -> bool:
        """Whether the others can see that this process lives."""
        return True

    async def start(self) -> None:
        """Be seen by the others. Raises Unavailable when that is impossible within 10 s."""

    async def close(self) -> None:
        """Be gone for the others, after what was told before."""

    async def dead(self, owners: Collection[str]) -> set[str]:  # noqa: ARG002 the others look at them
        """Those whose process is gone for certain. Never raises: out of touch, nobody is."""
        return set()

    def listen(self, listener: Listener) -> None:
        """Call it with whatever any process tells, and with `resync` when something may have been missed."""
        self._listeners.append(listener)

    async def tell(self, topic: Topic, *ids: str) -> None:
        """Wake every process, this one too. Never raises and never waits for the others."""
        self.hear(topic, ids)

    def hear(self, topic: Topic, ids: Sequence[str] = ()) -> None:
        """Wake this process alone."""
        for listener in self._listeners:
            asyncio.get_running_loop().call_soon(listener, topic, ids)


class FilePeers(Peers):
    """The processes on one SQLite file: each holds the lock of a file of its own in a folder beside it.

    They wake only themselves: others find what is new when they next look. File calls run in threads.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._held: int | None = None

    async def start(self) -> None:
        self._held = await asyncio.to_thread(self._hold)

    async def close(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            await asyncio.to_thread(self._let_go, held)

    async def dead(self, owners: Collection[str]) -> set[str]:
        return await asyncio.to_thread(self._free, [owner for owner in owners if owner != self.process_id])

    def _hold(self) -> int:
        """It gets its name once it is locked, so that nobody finds it free in between."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._free([path.name for path in self._folder.glob("[!.]*")])
        unnamed = self._folder / f".{self.process_id}"
        held = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        unnamed.rename(self._folder / self.process_id)
        return held

    def _let_go(self, held: int) -> None:
        (self._folder / self.process_id).unlink(missing_ok=True)
        os.close(held)

    def _free(self, owners: Sequence[str]) -> set[str]:
        """Those without a file, or with one that can be locked; that one is removed."""
        return set(self._each_free(owners))

    def _each_free(self, owners: Sequence[str]) -> Iterator[str]:
        for owner in owners:
            path = self._folder / Path(owner).name
            try:
                found = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                yield owner
                continue
            try:
                fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two may look at once
                path.unlink(missing_ok=True)
                yield owner
            except BlockingIOError:
                pass  # it lives
            finally:
                os.close(found)
