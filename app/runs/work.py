"""The agent's part of a run, in a task of its own, which can be stopped and, at worst, given up.

The agent is built, run and closed by that one task, from first to last: AutoGen's generators and its spans'
contexts bear no other. What it owns may not stop when it is cancelled (a tool can wait for ever); its run is
recorded all the same.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from uuid_utils import uuid7

from app.agents.conversation import Conversation
from app.agents.registry import Registry
from app.errors import AppError, RunFailed, RunTimeout, Unavailable
from app.events import InputRequest, MessageAdded, Run, RunRestarted, RunStarted, RunStatus, TextDelta
from app.runs.run import LiveRun, Stop
from app.store.queue import Claim
from app.store.rows import LOST

logger = logging.getLogger(__name__)

TOKEN_S = 0.5
"""What a cancelled token gets, before the task is cancelled too."""


class Work:
    """Opened, then answered, then given up if it has not ended.

    `state` is what a completed run saves, `checkpoint` what one that waits for a person does.
    """

    def __init__(self, run: LiveRun, registry: Registry, input_timeout_s: float) -> None:
        self.state: bytes | None = None
        self.checkpoint: bytes | None = None
        self.first_token_s: float | None = None
        """Seconds until the first piece of text, of a run that streams any."""
        self._run = run
        self._registry = registry
        self._input_timeout_s = input_timeout_s
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._claim: asyncio.Future[Claim] = loop.create_future()
        self._started: asyncio.Future[None] | None = None
        self._conversation: Conversation | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, claim: Claim | None = None) -> None:
        """Build the agent; raises the AppError that says why it cannot be, or why it is not to be any more.

        One that goes on after a pause is taken up where its claim says.
        """
        self._task = asyncio.create_task(self._go(claim), name=f"agent {self._run.record.run_id}")
        self._task.add_done_callback(_looked_at)
        await _first(self._task, self._opened, self._run.stop_wish)
        if self._opened.done():
            return
        if self._task.done():
            raise _error_of(self._task)
        raise _error_for(self._run.stop_wish.result())

    async def answer(self, claim: Claim, cancel_timeout_s: float, started: "asyncio.Future[None] | None" = None) -> Run:
        """Let the agent answer, until it ends, asks a person or is stopped; the run's record as it then is.

        `started` is settled once its session's state is loaded, or with the error that keeps it from being.
        """
        assert self._task is not None, "not opened"  # noqa: S101
        self._started = started
        self._claim.set_result(claim)
        await _first(self._task, self._run.stop_wish)
        if self._task.done():
            return self._ended(self._task)
        await self._stop(self._task, cancel_timeout_s)
        return self.stopped(self._run.stop_wish.result())

    def stopped(self, why: Stop) -> Run:
        """The record of a run that was stopped for that."""
        self.state = self.checkpoint = None  # what a cancelled agent leaves may be inconsistent
        if why in (Stop.CANCELLED, Stop.INTERRUPTED, Stop.LEFT):
            return self._record(RunStatus.CANCELLED, stop_reason=why.value)
        return failed(self._record(RunStatus.FAILED, stop_reason=why.value), _error_for(why))

    @property
    def model_calls(self) -> int:
        """How many answers models gave."""
        return self._conversation.model_calls if self._conversation else 0

    @property
    def termination(self) -> str | None:
        """The termination condition that ended a team."""
        return self._conversation.termination if self._conversation else None

    def give_up(self) -> "asyncio.Task[None] | None":
        """Cancel what is still going on, and return it."""
        if self._task is None or self._task.done():
            return None
        self._task.cancel()
        return self._task

    async def _go(self, taken_up: Claim | None) -> None:
        run = self._run
        async with self._registry.open(
            run.request.agent,
            user_id=run.request.caller.user,
            session_id=run.request.session_id,
            metadata=run.request.metadata,
        ) as conversation:
            if taken_up is not None and taken_up.checkpoint is not None:
                await conversation.resume(taken_up.checkpoint, taken_up.answer, taken_up.saved.state)
            else:
                await conversation.prepare(run.request.task)
            self._conversation = conversation
            self._opened.set_result(None)
            claim = await self._claim
            if claim.checkpoint is None:
                await conversation.load(claim.saved.state)
            await conversation.recall(run.request.history, resumed=claim.checkpoint is not None)
            self._begin(claim, conversation)
            asked = time.perf_counter()
            async with aclosing(conversation.run()) as stream:
                async for told in stream:
                    if self.first_token_s is None and isinstance(told, TextDelta):
                        self.first_token_s = time.perf_counter() - asked
                    run.tell(told)
            if conversation.question is not None:
                self.checkpoint = conversation.checkpoint()
            else:
                self.state = await conversation.save()

    def _begin(self, claim: Claim, conversation: Conversation) -> None:
        run, record = self._run, self._run.record
        if claim.restarted:
            run.tell(RunRestarted(record.agent, record.session_id, record.trace_id, claim.attempt))
            for message in conversation.messages:
                run.tell(MessageAdded(message))
        elif claim.last_seq == 0:
            run.tell(RunStarted(record.agent, record.session_id, record.trace_id, claim.attempt))
        if self._started is not None and not self._started.done():
            self._started.set_result(None)

    async def _stop(self, task: "asyncio.Task[None]", timeout_s: float) -> None:
        """By the token, which alone stops a team; then by cancelling, for tools that the token does not reach."""
        if self._conversation is not None:
            self._conversation.cancel()
        await asyncio.wait({task}, timeout=TOKEN_S)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=timeout_s)
        if not task.done():
            logger.error("Agent %r of run %s does not stop", self._run.record.agent, self._run.record.run_id)

    def _ended(self, task: "asyncio.Task[None]") -> Run:
        if self.state is not None or self.checkpoint is not None:
            if not task.cancelled() and task.exception() is not None:
                logger.error("Agent %r failed while it was closed", self._run.record.agent, exc_info=task.exception())
            return self._record(RunStatus.INPUT_REQUIRED if self.state is None else RunStatus.COMPLETED)
        error = _error_of(task)
        if self._started is not None and not self._started.done():
            self._started.set_exception(error)
        return failed(self._record(RunStatus.FAILED), error)

    def _record(self, status: RunStatus, stop_reason: str | None = None) -> Run:
        conversation = self._conversation
        if conversation is None:
            return replace(self._run.record, status=status, stop_reason=stop_reason, finished_at=datetime.now(UTC))
        record = replace(
            self._run.record,
            status=status,
            output=conversation.output if status is RunStatus.COMPLETED else None,
            messages=list(conversation.messages),
            usage=conversation.usage,
        )
        now = datetime.now(UTC)
        question = conversation.question
        if status is not RunStatus.INPUT_REQUIRED or question is None:
            return replace(record, stop_reason=stop_reason or conversation.stop_reason, finished_at=now)
        request = InputRequest(
            input_id=str(uuid7()),
            prompt=question.prompt,
            source=question.source,
            schema=question.schema,
            expires_at=now + timedelta(seconds=question.expires_in_s or self._input_timeout_s),
        )
        return replace(record, input_request=request)


def failed(run: Run, error: AppError) -> Run:
    """The run's record, failed with that error."""
    problem = error.problem(
        instance=f"/runs/{run.run_id}", run_id=run.run_id, trace_id=run.trace_id, retry_after_s=error.retry_after_s
    )
    return replace(run, status=RunStatus.FAILED, error=problem, finished_at=run.finished_at or datetime.now(UTC))


def _looked_at(task: "asyncio.Task[None]") -> None:
    """What a stopped agent still raises is nobody's: asyncio would log it as forgotten."""
    if not task.cancelled():
        task.exception()


async def _first(*futures: "asyncio.Future[Any]") -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _error_of(task: "asyncio.Task[None]") -> AppError:
    if task.cancelled():
        return RunFailed("The agent cancelled itself.")
    error = task.exception()
    if isinstance(error, AppError):
        return error
    logger.error("A run failed outside of its agent", exc_info=error)
    return RunFailed("The service failed in the middle of the run; its log says why.")


def _error_for(why: Stop) -> AppError:
    match why:
        case Stop.TIMEOUT:
            return RunTimeout("The run did not end within its deadline; a longer timeout_s may help.")
        case Stop.SHUTDOWN | Stop.HANDOVER:
            return Unavailable("The service is shutting down: run it again.", retry_after_s=5)
        case Stop.LOST:
            return LOST
        case Stop.CANCELLED | Stop.INTERRUPTED | Stop.LEFT:
            return Unavailable("The run was cancelled before it began.")
