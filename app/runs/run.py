"""A run that is going on in this process: its log, its viewers, and the wish to stop it."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from app.caller import Caller
from app.events import Run
from app.runs.log import RunLog
from app.task import Task
from app.telemetry.metrics import Metrics
from app.telemetry.root import RootSpan


class Stop(Enum):
    """Why a run is to stop before its end."""

    CANCELLED = "Cancelled by the caller."
    LEFT = "Nobody was watching any more."
    TIMEOUT = "The deadline passed."
    SHUTDOWN = "The service is shutting down."
    LOST = "Another process declared the run dead."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a caller asks for."""

    agent: str
    task: Task
    caller: Caller
    session_id: str
    metadata: dict[str, str] = field(default_factory=dict)
    timeout_s: float
    on_disconnect: Literal["cancel", "continue"] = "cancel"


class LiveRun:
    """Watched through `watch`; nobody watching for `grace_s` stops it, unless it was asked to go on."""

    def __init__(
        self, record: Run, request: RunRequest, log: RunLog, root: RootSpan, grace_s: float, metrics: Metrics
    ) -> None:
        self.record = record
        self.request = request
        self.log = log
        self.root = root
        self.metrics = metrics
        loop = asyncio.get_running_loop()
        self.stop_wish: asyncio.Future[Stop] = loop.create_future()
        self.finished: asyncio.Future[Run] = loop.create_future()
        """Done once the run is recorded: with its record, or with the AppError that kept it from starting."""
        self.admitted = False
        """Whether it is in the database, and its lease to be renewed."""
        self._grace_s = grace_s
        self._viewers = 0
        self._leaving: asyncio.TimerHandle | None = None

    def stop(self, why: Stop) -> None:
        """Ask it to stop; the first wish counts."""
        if not self.stop_wish.done():
            self.stop_wish.set_result(why)

    def watch(self) -> "Watch":
        return Watch(self)

    def _came(self) -> None:
        self.metrics.viewer_came()
        self._viewers += 1
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _left(self) -> None:
        self.metrics.viewer_left()
        self._viewers -= 1
        if self._viewers == 0 and self.request.on_disconnect == "cancel" and not self.finished.done():
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(self._grace_s, self.stop, Stop.LEFT)


class Watch:
    """One viewer, from its creation until `close`; a context manager."""

    def __init__(self, run: LiveRun) -> None:
        self._run: LiveRun | None = run
        run._came()  # noqa: SLF001 the two are one thing

    def close(self) -> None:
        if self._run is not None:
            self._run._left()  # noqa: SLF001
            self._run = None

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
