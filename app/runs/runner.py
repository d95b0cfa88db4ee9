"""Runs agents. One task owns each run, and no connection owns that task.

here:        build → admit and claim (one transaction) → load → answer → save and record (one transaction)
from queue:  claim (one transaction) → build → load → answer → save and record (one transaction)
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from anyio.abc import TaskGroup

from app.agents.registry import Registry
from app.caller import Caller
from app.errors import AgentInvalid, AppError, SessionBusy, SessionConflict, Unavailable
from app.events import Run, RunStatus
from app.runs.bells import Bells
from app.runs.execution import Execution
from app.runs.images import Images
from app.runs.load import Load
from app.runs.log import RunLogs
from app.runs.pages import Writer
from app.runs.run import Audience, LiveRun, RunRequest, Started, Stop, identity_of, new_record, restored
from app.runs.waiting import Waiting
from app.runs.work import Work
from app.settings import Settings
from app.store.peers import Peers
from app.store.queue import Claim
from app.store.runs import Admission, NewRun, RunStore
from app.task import as_text
from app.telemetry.identity import carrying
from app.telemetry.metrics import Metrics
from app.telemetry.root import RunSpan, from_queue

logger = logging.getLogger(__name__)


class Runner:
    """Owns every run that this process executes, from `start` or `execute` to `close`."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: RunStore,
        images: Images,
        execution: Execution,
        peers: Peers,
        logs: RunLogs,
        bells: Bells,
        writer: Writer | None,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._store = store
        self._images = images
        self._execution = execution
        self._peers = peers
        self._logs = logs
        self._bells = bells
        self._writer = writer
        self._metrics = metrics
        self.load = Load(settings.max_concurrent_runs, settings.max_loop_lag_ms / 1000, metrics)
        self.audience = Audience(metrics, self._watched)
        self._live: dict[str, LiveRun] = {}
        self._claims = 0
        """Runs whose tasks are about to begin."""
        self._given_up: set[asyncio.Task[Any]] = set()
        self._waiting = Waiting(store, peers, self.audience.of, settings.disconnect_grace_s)
        self._closing = False
        self._group: TaskGroup | None = None

    @property
    def accepting(self) -> bool:
        return not self._closing

    @property
    def has_room(self) -> bool:
        """Whether one more run may be executed."""
        return not self._closing and self.load.allows(len(self._live) + self._claims)

    def attach(self, group: TaskGroup) -> None:
        """Runs are tasks of that group."""
        self._group = group

    async def drain(self, hurried: asyncio.Event) -> None:
        """Take no more runs, and let those that go on end, for DRAIN_S seconds or until somebody is in a hurry."""
        self._closing = True
        runs = [run.finished for run in self._live.values()]
        if not runs:
            return
        logger.info("Stopping: %d runs have %g s to end", len(runs), self._settings.drain_s)
        hurry, ended = asyncio.ensure_future(hurried.wait()), asyncio.ensure_future(asyncio.wait(runs))
        await asyncio.wait((hurry, ended), timeout=self._settings.drain_s, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (hurry, ended):
            waiting.cancel()

    async def close(self, timeout_s: float | None = None) -> None:
        """Stop every run, or hand it over, and wait until that is recorded; a second call finds nothing left to do."""
        self._closing = True
        runs = list(self._live.values())
        for run in runs:
            run.stop(Stop.HANDOVER if run.request.background else Stop.SHUTDOWN)
        if runs:
            patience_s = self._settings.cancel_timeout_s + self._settings.shutdown_timeout_s
            await asyncio.wait([run.finished for run in runs], timeout=timeout_s or patience_s)
        for task in self._given_up:
            task.cancel()
        self._bells.ring_all()

    def live(self, run_id: str, caller: Caller) -> LiveRun | None:
        """The caller's run, while this process executes it."""
        run = self._live.get(run_id)
        return run if run is not None and run.request.caller == caller else None

    async def start(self, request: RunRequest) -> Started:
        """Start the run here, queue it, or join the one that its Idempotency-Key stands for. The caller must watch it.

        Returns once a run of this process has built its agent and loaded its session. Raises what kept it from
        starting: NotFound, SessionBusy, ModelUnavailable, Unavailable, …
        """
        card = self._registry.card(request.agent)
        if self._closing:
            self._metrics.rejected("shutdown")
            raise Unavailable("The service is shutting down.", retry_after_s=5)
        if request.key is not None and (known := await self._store.joined(request.key, request.caller)) is not None:
            return Started(await self._store.get(known, request.caller), request.caller)
        request = replace(
            request,
            task=await self._images.taken_in(request.task),
            history=tuple(
                [replace(turn, content=await self._images.taken_in(turn.content)) for turn in request.history]
            ),
        )
        record = new_record(request)
        identity = identity_of(record, request.caller)
        span = RunSpan.of_request(identity, as_text(request.task))
        if request.background:
            if card.status == "invalid":
                raise AgentInvalid(f"Agent {request.agent!r} cannot be served: {card.reason}.")
            return await self._queued(record, request, span, await self._admit(record, request, span, owner=None))
        self.load.admit(len(self._live) + self._claims)
        run = self._new(record, request, span)
        self._live[record.run_id] = run
        started = asyncio.get_running_loop().create_future()
        assert self._group is not None, "the runner is not serving"  # noqa: S101
        with self.audience.watch(record.run_id):
            self._group.start_soon(self._here, run, started, name=f"run {record.run_id}")
            admission = await started
        if admission is not None:
            return await self._queued(record, request, span, admission)
        return Started(record, request.caller, run)

    def execute(self, claim: Claim) -> None:
        """Execute a run that was claimed from the queue."""
        request = restored(claim.run, claim.caller, claim.request)
        assert self._group is not None, "the runner is not serving"  # noqa: S101
        self._claims += 1
        self._group.start_soon(self._claimed, claim, request, name=f"run {claim.run.run_id}")

    def attempts(self, run_ids: Sequence[str] | None = None) -> dict[str, int]:
        """The attempts of the runs that are executed here; of these, if any are named."""
        found = self._live if run_ids is None else {id_: self._live[id_] for id_ in run_ids if id_ in self._live}
        return {id_: run.attempt for id_, run in found.items() if run.attempt > 0}

    def heed(self, asked: dict[str, int], wishes: dict[str, str | None]) -> None:
        """Stop those of the runs asked about that are not this process's any more, or that somebody wants stopped."""
        for run_id, attempt in asked.items():
            if (run := self._live.get(run_id)) is not None and run.attempt == attempt:
                run.heed(wishes)

    def watched_elsewhere(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            if (run := self._live.get(run_id)) is not None:
                run.watched_elsewhere()

    def _watched(self, run_id: str, viewers: int) -> None:
        if (run := self._live.get(run_id)) is not None:
            run.watched(viewers)
        elif viewers == 0 and run_id in self._waiting:
            assert self._group is not None, "the runner is not serving"  # noqa: S101
            self._group.start_soon(self._waiting.left, run_id)

    def _new(self, record: Run, request: RunRequest, span: RunSpan) -> LiveRun:
        log = self._logs.open(record.run_id)
        appended = self._writer.appended if self._writer is not None else None
        return LiveRun(record, request, log, span, self._settings.disconnect_grace_s, appended)

    async def _admit(self, record: Run, request: RunRequest, span: RunSpan, owner: str | None) -> Admission:
        admission = await self._store.admit(
            NewRun(
                run=record,
                caller=request.caller,
                request=request.stored(),
                root_span_id=span.span_id,
                owner=owner,
                if_busy=request.if_busy,
                key=request.key,
                webhook_url=request.webhook_url,
            )
        )
        if ended := [stopped.run_id for stopped in admission.stopped if stopped.ended]:
            await self._peers.tell("changed", *ended)
        if going_on := [stopped.run_id for stopped in admission.stopped if not stopped.ended]:
            await self._peers.tell("cancel", *going_on)
        return admission

    async def _queued(self, record: Run, request: RunRequest, span: RunSpan, admission: Admission) -> Started:
        """A run that is not executed here at once."""
        if admission.joined is not None:
            return Started(await self._store.get(admission.joined, request.caller), request.caller)
        if request.on_disconnect == "cancel" and not request.background:
            self._waiting.add(record.run_id, request.caller)
        await self._peers.tell("queued", record.run_id)
        return Started(replace(record, status=RunStatus.QUEUED), request.caller, span=span)

    async def _here(self, run: LiveRun, started: "asyncio.Future[Admission | None]") -> None:
        """A run that is executed where it arrived. No exception leaves it: a run's failure is the run's."""
        record, request = run.record, run.request
        work = Work(run, self._registry, self._settings.input_timeout_s)
        began = asyncio.get_running_loop().create_future()
        began.add_done_callback(lambda done: _settle(started, done))
        self._metrics.run_began(record.agent)
        deadline = asyncio.get_running_loop().call_later(request.timeout_s, run.stop, Stop.TIMEOUT)
        try:
            with carrying(identity_of(record, request.caller)):
                await work.open()
                admission = await self._admit(record, request, run.span, owner=self._peers.process_id)
                if admission.saved is None:
                    started.set_result(admission)
                    return
                claim = Claim(run=record, caller=request.caller, request={}, attempt=1, saved=admission.saved)
                await self._execution.execute(run, work, claim, began)
        except AppError as error:  # it never started: the caller is told by the status
            if isinstance(error, SessionBusy | SessionConflict):
                self._metrics.session_conflict(error.kind)
            if not began.done():
                began.set_exception(error)
        except Exception as error:  # noqa: BLE001 a mistake of ours ends this run, not the service
            await self._execution.mistake(run, error, began)
        finally:
            deadline.cancel()
            self._leave(run, work)

    async def _claimed(self, claim: Claim, request: RunRequest) -> None:
        """A run that comes from the queue. No exception leaves it."""
        record, identity = claim.run, identity_of(claim.run, claim.caller)
        task = as_text(request.task)
        queued_at, attempt = claim.queued_at, claim.attempt
        with from_queue(identity, task, record.trace_id, claim.root_span_id, queued_at, attempt) as span:
            run = self._new(record, request, span)
            self._live[record.run_id] = run
            self._claims -= 1
            self._waiting.discard(record.run_id)
            if (viewers := self.audience.of(record.run_id)) or claim.checkpoint is None:
                run.watched(viewers)  # whoever answered its question need not have been watching
            if self._closing:  # it was claimed at that moment
                run.stop(Stop.HANDOVER)
            work = Work(run, self._registry, self._settings.input_timeout_s)
            self._metrics.run_began(record.agent)
            deadline = asyncio.get_running_loop().call_later(request.timeout_s, run.stop, Stop.TIMEOUT)
            try:
                await self._execution.execute(run, work, claim)
            except Exception as error:  # noqa: BLE001 a mistake of ours ends this run, not the service
                await self._execution.mistake(run, error)
            finally:
                deadline.cancel()
                self._leave(run, work)

    def _leave(self, run: LiveRun, work: Work) -> None:
        run_id = run.record.run_id
        self._metrics.run_left(run.record.agent)
        run.rest()
        del self._live[run_id]
        self._logs.put_away(run_id)
        if self._writer is not None:
            self._writer.leave(run_id)
        if (task := work.give_up()) is not None:
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)
        if not run.finished.done():
            run.finished.set_result(None)
        self._bells.ring([run_id])


def _settle(started: "asyncio.Future[Admission | None]", began: "asyncio.Future[None]") -> None:
    """Answer whoever waits for the start, unless it was answered, or does not wait any more."""
    if started.done():
        began.exception()
    elif (error := began.exception()) is not None:
        started.set_exception(error)
    else:
        started.set_result(None)
