"""One embedded model for all workers of a service: whichever needs it first runs it, the others are told where it is.

Its process is handed a file's lock, which the kernel frees when that process ends, in whatever way: whoever then needs
the model next finds the lock free, and starts another.
"""

import asyncio
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOOK_S = 0.1
"""How often it is looked whether a process that another worker starts listens."""


class Shared:
    """The file, in the workers' folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "local-model"

    async def found(self) -> int | str:
        """Where the process listens; or the lock, open, for one that is to be started by who asks."""
        while True:
            taking = asyncio.get_running_loop().run_in_executor(None, self._take)
            try:
                found = await asyncio.shield(taking)
            except asyncio.CancelledError:
                taking.add_done_callback(_let_go)
                raise
            if found is not None:
                return found
            await asyncio.sleep(LOOK_S)

    def _take(self) -> int | str | None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            url = os.pread(file, 1024, 0).decode()
            os.close(file)
            return url or None
        os.ftruncate(file, 0)
        return file


def _let_go(taking: "asyncio.Future[int | str | None]") -> None:
    """Of a lock that nobody waits for any more: it would keep everybody from the model."""
    if isinstance(lock := taking.result(), int):
        os.close(lock)


def listens(lock: int, url: str) -> None:
    """Tell the others that it does, and where."""
    os.pwrite(lock, url.encode(), 0)
