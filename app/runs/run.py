"""A run that is going on in this process: its log, its viewers, and the wish to stop it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal

from uuid_utils import uuid7

from app.caller import Caller
from app.events import Run, RunEvent, RunStatus
from app.runs.log import RunLog
from app.store.runs import IfBusy, Key
from app.task import Task, Turn, kept, taken_up
from app.telemetry.identity import Identity
from app.telemetry.metrics import Metrics
from app.telemetry.provider import current_trace_id
from app.telemetry.root import RunSpan


class Stop(Enum):
    """Why a run is to stop before its end."""

    CANCELLED = "Cancelled by the caller."
    INTERRUPTED = "Interrupted by a newer run of the session."
    LEFT = "Nobody was watching any more."
    TIMEOUT = "The deadline passed."
    SHUTDOWN = "The service is shutting down."
    HANDOVER = "Another process is to go on with it."
    LOST = "Another process has taken it over."

    @property
    def wish(self) -> str:
        """Its name in the database, for the process that has the run."""
        return self.name.lower()


WISHES = {why.wish: why for why in (Stop.CANCELLED, Stop.INTERRUPTED, Stop.LEFT)}


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
    if_busy: IfBusy = "reject"
    background: bool = False
    """Whether it goes through the queue, for any process to execute, and to begin anew where that one dies."""
    history: tuple[Turn, ...] = ()
    """What was said before, where the client keeps the conversation: of a session that is new with this run."""
    key: Key | None = None
    webhook_url: str | None = None

    def stored(self) -> dict[str, Any]:
        """What another process needs of it, as JSON."""
        return {
            "task": kept(self.task),
            "history": [[turn.role, kept(turn.content)] for turn in self.history],
            "timeout_s": self.timeout_s,
            "on_disconnect": self.on_disconnect,
            "webhook_url": self.webhook_url,
        }


def new_record(request: RunRequest) -> Run:
    """The record that a run begins with, in the current trace."""
    return Run(
        run_id=str(uuid7()),
        agent=request.agent,
        session_id=request.session_id,
        user_id=request.caller.user,
        status=RunStatus.QUEUED if request.background else RunStatus.RUNNING,
        trace_id=current_trace_id(),
        metadata=request.metadata,
        created_at=datetime.now(UTC),
    )


def restored(run: Run, caller: Caller, stored: dict[str, Any]) -> RunRequest:
    """The request of a run that was admitted by another process."""
    return RunRequest(
        agent=run.agent,
        task=taken_up(stored["task"]),
        history=tuple(Turn(role, taken_up(content)) for role, content in stored.get("history", ())),
        caller=caller,
        session_id=run.session_id,
        metadata=run.metadata,
        timeout_s=stored["timeout_s"],
        on_disconnect=stored["on_disconnect"],
        background=True,
        webhook_url=stored["webhook_url"],
    )


def identity_of(record: Run, caller: Caller) -> Identity:
    return Identity(
        run_id=record.run_id,
        session_id=record.session_id,
        agent=record.agent,
        tenant=caller.tenant,
        user_id=caller.user,
        metadata=record.metadata,
    )


class LiveRun:
    """Its last viewer having left for `grace_s` stops it, unless it was asked to go on."""

    def __init__(
        self,
        record: Run,
        request: RunRequest,
        log: RunLog,
        span: RunSpan,
        grace_s: float,
        appended: Callable[[str], None] | None = None,
    ) -> None:
        self.record = record
        self.request = request
        self.log = log
        self.span = span
        loop = asyncio.get_running_loop()
        self.stop_wish: asyncio.Future[Stop] = loop.create_future()
        self.finished: asyncio.Future[Run | None] = loop.create_future()
        """Done once the run has ended, or waits for a person, and that is recorded; None if it is not here any more."""
        self.attempt = 0
        """Its attempt, once it is admitted."""
        self._appended = appended
        self._grace_s = grace_s
        self._watched = False
        self._leaving: asyncio.TimerHandle | None = None

    def tell(self, event: RunEvent) -> None:
        """Have viewers see it, here and in other processes."""
        self.log.tell(event)
        if self._appended is not None:
            self._appended(self.record.run_id)

    def stop(self, why: Stop) -> None:
        """Ask it to stop; the first wish counts."""
        if not self.stop_wish.done():
            self.stop_wish.set_result(why)

    def heed(self, wishes: dict[str, str | None]) -> None:
        """Stop if it is not among the runs that are still this process's, or somebody wants it stopped."""
        run_id = self.record.run_id
        if run_id not in wishes:
            self.stop(Stop.LOST)
        elif (wish := wishes[run_id]) is not None:
            self.stop(WISHES[wish])

    def watched(self, viewers: int) -> None:
        """So many watch it in this process."""
        self._watched = viewers > 0
        self.rest()
        if not self._watched and self.request.on_disconnect == "cancel" and not self.finished.done():
            self._leaving = asyncio.get_running_loop().call_later(self._grace_s, self.stop, Stop.LEFT)

    def watched_elsewhere(self) -> None:
        """Somebody watches it in another process: the grace begins, or begins anew."""
        if not self._watched:
            self.watched(0)

    def rest(self) -> None:
        """Stop for nobody's absence."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None


@dataclass(frozen=True, slots=True)
class Started:
    """A run that a request started, or joined."""

    run: Run
    caller: Caller
    live: LiveRun | None = None
    """The run itself, where it is executed here."""
    span: RunSpan | None = None
    """The request's, to be told the outcome of a run that was queued."""


class Audience:
    """Who watches which run in this process."""

    def __init__(self, metrics: Metrics, changed: Callable[[str, int], None]) -> None:
        self.metrics = metrics
        self._changed = changed
        self._counts: Counter[str] = Counter()

    def of(self, run_id: str) -> int:
        return self._counts[run_id]

    def watch(self, run_id: str) -> "Watch":
        return Watch(self, run_id)

    def add(self, run_id: str, number: int) -> None:
        self._counts[run_id] += number
        count = self._counts[run_id]
        if count == 0:
            del self._counts[run_id]
        self._changed(run_id, count)


class Watch:
    """One viewer, from its creation until `close`; a context manager."""

    def __init__(self, audience: Audience, run_id: str) -> None:
        self._audience: Audience | None = audience
        self._run_id = run_id
        audience.metrics.viewer_came()
        audience.add(run_id, 1)

    def close(self) -> None:
        if self._audience is not None:
            self._audience.metrics.viewer_left()
            self._audience.add(self._run_id, -1)
            self._audience = None

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
