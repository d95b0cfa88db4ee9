"""Runs agents. One task owns each run, and no connection owns that task.

build → admit (one transaction) → load → answer → save and record (one transaction)
"""

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from anyio.abc import TaskGroup
from uuid_utils import uuid7

from app.agents.registry import Registry
from app.caller import Caller
from app.errors import AppError, RunFailed, SessionBusy, SessionConflict, Unavailable
from app.events import Run, RunEnded, RunStatus
from app.runs.log import RunLog
from app.runs.run import LiveRun, RunRequest, Stop
from app.runs.work import Work, failed
from app.settings import Settings
from app.store.runs import LeaseLost, RunStore
from app.task import as_text
from app.telemetry.feedback import tell_feedback
from app.telemetry.identity import Identity, carrying
from app.telemetry.logs import fields
from app.telemetry.metrics import Metrics
from app.telemetry.provider import current_trace_id
from app.telemetry.root import RootSpan

logger = logging.getLogger(__name__)

RECORD_ATTEMPTS = 6
"""About sixteen seconds, for a database that restarts."""
KEPT_RUNS, KEPT_EVENTS = 256, 100_000
"""What stays readable of runs after their end: so many of them, and so many events of all."""


class Runner:
    """Owns every run of this process, from `start` to `close`."""

    def __init__(self, settings: Settings, registry: Registry, store: RunStore, metrics: Metrics) -> None:
        self._settings = settings
        self._registry = registry
        self._store = store
        self._metrics = metrics
        self._live: dict[str, LiveRun] = {}
        self._ended: OrderedDict[str, LiveRun] = OrderedDict()
        self._kept_events = 0
        self._given_up: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._group: TaskGroup | None = None

    async def serve(self) -> None:
        """Vouch for this process's runs until cancelled, and end those of processes that died."""
        while True:
            try:
                await self._store.end_lost()
                for run_id in await self._store.renew([id_ for id_, run in self._live.items() if run.admitted]):
                    if run_id in self._live:
                        self._live[run_id].stop(Stop.LOST)
            except Unavailable:
                logger.warning("The runs' leases could not be renewed: trying again")
            await asyncio.sleep(self._settings.lease_s / 3)

    @property
    def accepting(self) -> bool:
        return not self._closing

    def attach(self, group: TaskGroup) -> None:
        """Runs are tasks of that group."""
        self._group = group

    async def close(self) -> None:
        """Stop every run, and wait until each is recorded; a second call finds nothing left to do."""
        self._closing = True
        runs = list(self._live.values())
        for run in runs:
            run.stop(Stop.SHUTDOWN)
        if runs:
            timeout = self._settings.cancel_timeout_s + self._settings.shutdown_timeout_s
            await asyncio.wait([run.finished for run in runs], timeout=timeout)
        for task in self._given_up:
            task.cancel()

    async def start(self, request: RunRequest) -> LiveRun:
        """Start the run, and return once its agent is built and its session loaded. The caller must watch it.

        Raises what kept it from starting: NotFound, SessionBusy, ModelUnavailable, Unavailable, …
        """
        self._registry.card(request.agent)
        if self._closing:
            self._metrics.rejected("shutdown")
            raise Unavailable("The service is shutting down.", retry_after_s=5)
        if len(self._live) >= self._settings.max_concurrent_runs:
            self._metrics.rejected("capacity")
            raise Unavailable("As many runs as this process takes are going on.", retry_after_s=2)
        run = self._new(request)
        self._live[run.record.run_id] = run
        started = asyncio.get_running_loop().create_future()
        assert self._group is not None, "the runner is not serving"  # noqa: S101
        with run.watch():
            self._group.start_soon(self._own, run, started, name=f"run {run.record.run_id}")
            await started
        return run

    def find(self, run_id: str, caller: Caller) -> LiveRun | None:
        """The caller's run, if its events are in this process's memory."""
        run = self._live.get(run_id) or self._ended.get(run_id)
        return run if run is not None and run.request.caller == caller else None

    async def feedback(
        self, run_id: str, caller: Caller, *, score: float, label: str | None, comment: str | None
    ) -> None:
        """Keep what a person said of the run, and tell the trace backends. Raises NotFound."""
        run, root = await self._store.add_feedback(run_id, caller, score=score, label=label, comment=comment)
        if root is not None:
            tell_feedback(_identity(run, caller), run.trace_id, root, score, label, comment)

    async def cancel(self, run_id: str, caller: Caller) -> Run:
        """Stop it, and return its record once it has really stopped; one that has ended is left as it is."""
        run = self._live.get(run_id)
        if run is not None and run.request.caller == caller:
            run.stop(Stop.CANCELLED)
            await asyncio.wait([run.finished])
        return await self._store.get(run_id, caller)

    def _new(self, request: RunRequest) -> LiveRun:
        record = Run(
            run_id=str(uuid7()),
            agent=request.agent,
            session_id=request.session_id,
            user_id=request.caller.user,
            status=RunStatus.RUNNING,
            trace_id=current_trace_id(),
            metadata=request.metadata,
            created_at=datetime.now(UTC),
        )
        log = RunLog(self._settings.max_run_events)
        root = RootSpan(_identity(record, request.caller), as_text(request.task))
        return LiveRun(record, request, log, root, self._settings.disconnect_grace_s, self._metrics)

    async def _own(self, run: LiveRun, started: "asyncio.Future[None]") -> None:
        """From admission to the record. No exception leaves it: a run's failure is the run's."""
        work = Work(run, self._registry, started)
        deadline = asyncio.get_running_loop().call_later(run.request.timeout_s, run.stop, Stop.TIMEOUT)
        self._metrics.run_began(run.record.agent)
        try:
            with carrying(_identity(run.record, run.request.caller)):
                await work.open()
                admission = await self._store.admit(run.record, run.request.caller, run.root.span_id)
                run.admitted = True
                outcome = await work.answer(admission, self._settings.cancel_timeout_s)
                outcome = await self._record(outcome, admission.version, work.state, run.request.caller)
                run.root.end(
                    outcome,
                    model_calls=work.model_calls,
                    first_token_s=work.first_token_s,
                    termination=work.termination,
                )
                self._end(run, outcome)
                _settle(started)
        except AppError as error:  # it never started: the caller is told by the status
            if isinstance(error, SessionBusy | SessionConflict):
                self._metrics.session_conflict(error.kind)
            _settle(started, error)
        except Exception:  # a mistake of ours ends this run, not the service
            logger.exception("Run %s failed", run.record.run_id)
            mistake = RunFailed("The service failed in the middle of the run; its log says why.")
            self._end(run, failed(run.record, mistake))
            _settle(started, mistake)
        finally:
            deadline.cancel()
            self._metrics.run_left(run.record.agent)
            del self._live[run.record.run_id]
            if (task := work.give_up()) is not None:
                self._given_up.add(task)
                task.add_done_callback(self._given_up.discard)
            if not run.finished.done():
                run.finished.cancel()

    async def _record(self, outcome: Run, version: int, state: bytes | None, caller: Caller) -> Run:
        """Put it away; the run as it is then known: failed, if the database stays away or has gone on without it."""
        for attempt in range(RECORD_ATTEMPTS):
            try:
                await self._store.finish(outcome, version, state)
            except LeaseLost:
                return await self._store.get(outcome.run_id, caller)
            except Unavailable:
                await asyncio.sleep(2**attempt / 4)
            else:
                return outcome
        logger.error("Run %s could not be recorded", outcome.run_id)
        return failed(outcome, Unavailable("The run's outcome could not be recorded: run it again.", retry_after_s=5))

    def _end(self, run: LiveRun, outcome: Run) -> None:
        run.record = outcome
        run.log.append(RunEnded(outcome))
        run.finished.set_result(outcome)
        self._metrics.run_ended(outcome)
        _log(outcome)
        self._ended[outcome.run_id] = run
        self._kept_events += len(run.log)
        while len(self._ended) > KEPT_RUNS or self._kept_events > KEPT_EVENTS:
            _, forgotten = self._ended.popitem(last=False)
            self._kept_events -= len(forgotten.log)


def _identity(record: Run, caller: Caller) -> Identity:
    return Identity(
        run_id=record.run_id,
        session_id=record.session_id,
        agent=record.agent,
        tenant=caller.tenant,
        user_id=caller.user,
        metadata=record.metadata,
    )


def _log(run: Run) -> None:
    """One line a run; the context may be left already, so that it names the run itself."""
    told = fields(
        run_id=run.run_id,
        trace_id=run.trace_id,
        agent=run.agent,
        status=run.status.value,
        error=str(run.error["type"]).rpartition(":")[2] if run.error else None,
        duration_ms=round((run.finished_at - run.created_at).total_seconds() * 1000, 1) if run.finished_at else None,
        input_tokens=run.usage.input_tokens,
        output_tokens=run.usage.output_tokens,
    )
    logger.info("Run ended", extra=told)


def _settle(started: "asyncio.Future[None]", error: AppError | None = None) -> None:
    """Answer whoever waits for the start, unless it was answered, or does not wait any more."""
    if started.done():
        return
    if error is None:
        started.set_result(None)
    else:
        started.set_exception(error)
