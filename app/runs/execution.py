"""What happens to a run from its claim to its record, whichever way it came to this process."""

import asyncio
import logging
from contextlib import suppress

from app.errors import AppError, NotFound, RunFailed, Unavailable
from app.events import ENDED, InputRequired, Run, RunEnded, RunStatus
from app.runs.bells import Bells
from app.runs.pages import Writer
from app.runs.run import LiveRun, Stop
from app.runs.webhooks import Webhooks
from app.runs.work import Work, failed
from app.settings import Settings
from app.store.peers import Peers
from app.store.queue import Claim, Queue
from app.store.rows import LeaseLost, Saved
from app.store.runs import RunStore
from app.telemetry.logs import fields
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 2.0
"""Between two attempts to record a run's outcome, while the database is away; doubled each time."""


class Execution:
    """Of claimed runs: answer → save and record (one transaction), or give back."""

    def __init__(
        self,
        settings: Settings,
        store: RunStore,
        queue: Queue,
        peers: Peers,
        bells: Bells,
        writer: Writer | None,
        webhooks: Webhooks,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._store = store
        self._queue = queue
        self._peers = peers
        self._bells = bells
        self._writer = writer
        self._webhooks = webhooks
        self._metrics = metrics

    async def execute(
        self, run: LiveRun, work: Work, claim: Claim, began: "asyncio.Future[None] | None" = None
    ) -> None:
        """From the claim to the record."""
        run.attempt = claim.attempt
        run.log.begin(claim.attempt, claim.last_seq)
        self._bells.ring([run.record.run_id])
        if self._writer is not None:
            self._writer.follow(run.record.run_id, run.log)
            if claim.last_seq and claim.question is not None:
                self._writer.asked(run.record.run_id, claim.attempt - 1, claim.last_seq, InputRequired(claim.question))
        try:
            if began is None:
                await work.open(claim)
            outcome = await work.answer(claim, self._settings.cancel_timeout_s, began)
        except AppError as error:  # it cannot be built
            outcome = work.stopped(run.stop_wish.result()) if run.stop_wish.done() else failed(run.record, error)
        recorded = await self._record(run, work, claim, outcome)
        if recorded is None:
            run.span.left("handed over")
        else:
            run.span.end(
                recorded,
                model_calls=work.model_calls,
                first_token_s=work.first_token_s,
                termination=work.termination,
            )
            run.record = recorded
            if recorded.status in ENDED:
                run.log.append(RunEnded(recorded))
                self._metrics.run_ended(recorded)
                _log(recorded)
        run.rest()
        run.finished.set_result(recorded)
        if began is not None and not began.done():
            began.set_result(None)

    async def mistake(self, run: LiveRun, error: Exception, began: "asyncio.Future[None] | None" = None) -> None:
        """End a run that failed by a mistake of ours, for whoever watches it."""
        logger.error("Run %s failed", run.record.run_id, exc_info=error)
        mistake = RunFailed("The service failed in the middle of the run; its log says why.")
        record = failed(run.record, mistake)
        run.log.append(RunEnded(record))
        if run.attempt > 0:
            with suppress(Unavailable, LeaseLost):  # else its lease ends by itself
                await self._queue.finish(record, run.attempt, Saved(None, 0, 0), None, run.log.last.seq)
            await self._peers.tell("changed", record.run_id)
        if began is not None and not began.done():
            began.set_exception(mistake)

    async def _record(self, run: LiveRun, work: Work, claim: Claim, outcome: Run) -> Run | None:
        """Put it away; the run as it is then known, or None where it is another process's.

        While the database is away, a run that a request waits for is tried as long as its lease lasts, and has then
        failed; one in the background until somebody else has it: what it did is not to be done again.
        """
        if run.stop_wish.done() and run.stop_wish.result() is Stop.HANDOVER and outcome.status is RunStatus.FAILED:
            return await self._hand_over(run, claim)
        if self._writer is not None:
            await self._writer.flush(run.record.run_id)
        last_seq = run.log.last.seq + 1
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._settings.lease_s, FIRST_PAUSE_S
        while run.request.background or loop.time() < until:
            try:
                return await self._put_away(run, work, claim, outcome, last_seq)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        logger.error("Run %s could not be recorded", outcome.run_id)
        return failed(outcome, Unavailable("The run's outcome could not be recorded: run it again.", retry_after_s=5))

    async def _put_away(self, run: LiveRun, work: Work, claim: Claim, outcome: Run, last_seq: int) -> Run | None:
        """Try to. Raises Unavailable, also where it was recorded and only the answer was lost: to be tried again."""
        run_id, waiting = run.record.run_id, False
        try:
            if outcome.input_request is not None and work.checkpoint is not None:
                await self._queue.pause(outcome, claim.attempt, work.checkpoint, last_seq)
                run.tell(InputRequired(outcome.input_request))
            else:
                waiting = await self._queue.finish(
                    outcome, claim.attempt, claim.saved, work.state, last_seq, run.request.webhook_url
                )
        except LeaseLost:
            run.heed(await self._queue.wishes({run_id: claim.attempt}))
            if outcome.input_request is not None and run.stop_wish.result() is not Stop.LOST:
                stopped = work.stopped(run.stop_wish.result())  # while it paused
                return await self._put_away(run, work, claim, stopped, last_seq)
            return await self._lost(run)
        await self._peers.tell("changed", run_id)
        if waiting:
            await self._peers.tell("queued", run_id)
        if run.request.webhook_url is not None:
            self._webhooks.ring()
        return outcome

    async def _hand_over(self, run: LiveRun, claim: Claim) -> Run | None:
        try:
            released = await self._queue.release(run.record.run_id, claim.attempt)
        except Unavailable:
            return None  # its lease ends by itself
        if released:
            await self._peers.tell("queued", run.record.run_id)
        return None

    async def _lost(self, run: LiveRun) -> Run | None:
        """What became of a run that others have ended, deleted, or taken over; or that this process has recorded."""
        run_id = run.record.run_id
        try:
            standing = await self._store.standing(run_id, run.request.caller)
        except NotFound:
            return None
        if not standing.ended or standing.first_attempt > run.attempt:
            return None  # it was begun anew, and what viewers saw here is void
        if standing.attempt != run.attempt:
            run.log.begin(standing.attempt, run.log.last.seq)
        return await self._queue.record(run_id)


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
