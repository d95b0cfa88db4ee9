"""Notices a blocked event loop while it is blocked, and says by whose code: every stream of the process stands still.

A thread of its own looks, since the loop cannot. It is told by places alone, as everything in the log. What holds
the interpreter as well (a regular expression of `re` that takes for ever) stops that thread too: it is told once it
lets go.
"""

import asyncio
import logging
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, get_ident
from types import FrameType

from app.telemetry.identity import identity_of
from app.telemetry.logs import fields
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

BLOCKED_S = 1.0
"""A loop that has not come round for so long is blocked."""
TICK_S = 0.25
PLACES = 3
"""How many of the innermost frames are told."""
_OWNER = "agent "
"""What the tasks that execute a run's own code are named, before its id."""
_LIBRARIES = (
    *{sysconfig.get_path(kind) + "/" for kind in ("stdlib", "platstdlib", "purelib", "platlib")},
    f"{Path(__file__).parents[1]}/",
    "<frozen ",
)
"""Where code is that is nobody's agent or tool."""


class Watchdog:
    """Watches the loop that it serves in."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._ticked = 0.0
        self._over = Event()

    async def serve(self) -> None:
        """Until cancelled."""
        self._ticked = time.monotonic()
        watched = asyncio.get_running_loop(), get_ident()
        Thread(target=self._watch, args=watched, name="watchdog", daemon=True).start()
        try:
            while True:
                await asyncio.sleep(TICK_S)
                self._ticked = time.monotonic()
        finally:
            self._over.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        while not self._over.wait(TICK_S):
            before = self._ticked
            if time.monotonic() - before < BLOCKED_S:
                continue
            told = fields(run_id=_run_of(loop))
            logger.warning("The event loop is blocked, in %s", ", ".join(_places(thread_id)), extra=told)
            while self._ticked == before and not self._over.wait(TICK_S / 5):
                pass
            lasted = time.monotonic() - before
            self._metrics.loop_blocked(lasted)
            logger.warning("The event loop was blocked for %.1f s", lasted, extra=told)


def name_task() -> None:
    """Have the current task be known as its run's: AutoGen makes a task of each call of a tool."""
    task, identity = asyncio.current_task(), identity_of(None)
    if task is not None and identity is not None:
        task.set_name(f"{_OWNER}{identity.run_id}")


def _run_of(loop: asyncio.AbstractEventLoop) -> str | None:
    """The run whose code the loop executes, if it is in a task that says so."""
    task = asyncio.current_task(loop)
    name = task.get_name() if task is not None else ""
    return name.removeprefix(_OWNER) if name.startswith(_OWNER) else None


def _places(thread_id: int) -> list[str]:
    """Where that thread is, the innermost first: in agents' and tools' own files, or anywhere, if it is in none."""
    frames = list(_frames(sys._current_frames().get(thread_id)))  # noqa: SLF001 its name since Python 2.5
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_LIBRARIES)]
    return [
        f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        for frame in (own or frames)[:PLACES]
    ]


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
