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
from datetime import UTC, datetime
from typing import Any

from app.agents.conversation import Conversation
from app.agents.registry import Registry
from app.errors import AppError, RunFailed, RunTimeout, Unavailable
from app.events import Run, RunStarted, RunStatus, TextDelta
from app.runs.run import LiveRun, Stop
from app.store.runs import LOST, Admission

logger = logging.getLogger(__name__)

TOKEN_S = 0.5
"""What a cancelled token gets, before the task is cancelled too."""


class Work:
    """Opened, then answered, then given up if it has not ended. `state` is what a completed run saves."""

    def __init__(self, run: LiveRun, registry: Registry, started: "asyncio.Future[None]") -> None:
        self.state: bytes | None = None
        self.first_token_s: float | None = None
        """Seconds until the first piece of text, of a run that streams any."""
        self._run = run
        self._registry = registry
        self._started = started
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._admission: asyncio.Future[Admission] = loop.create_future()
        self._conversation: Conversation | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Build the agent; raises the AppError that says why it cannot be, or why it is not to be any more."""
        self._task = asyncio.create_task(self._go(), name=f"agent {self._run.record.run_id}")
        self._task.add_done_callback(_looked_at)
        await _first(self._task, self._opened, self._run.stop_wish)
        if self._opened.done():
            return
        if self._task.done():
            raise _error_of(self._task)
        raise _error_for(self._run.stop_wish.result())

    async def answer(self, admission: Admission, cancel_timeout_s: float) -> Run:
        """Let the agent answer, until it ends or is stopped; the run's record as it ended."""
        assert self._task is not None, "not opened"  # noqa: S101
        self._admission.set_result(admission)
        await _first(self._task, self._run.stop_wish)
        if self._task.done():
            return self._ended(self._task)
        await self._stop(self._task, cancel_timeout_s)
        self.state = None  # what a cancelled agent leaves may be inconsistent
        why = self._run.stop_wish.result()
        if why in (Stop.CANCELLED, Stop.LEFT):
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

    async def _go(self) -> None:
        run = self._run
        async with self._registry.open(
            run.request.agent,
            user_id=run.request.caller.user,
            session_id=run.request.session_id,
            metadata=run.request.metadata,
        ) as conversation:
            await conversation.prepare(run.request.task)
            self._conversation = conversation
            self._opened.set_result(None)
            await conversation.load((await self._admission).state)
            run.log.append(RunStarted(run.record.agent, run.record.session_id, run.record.trace_id, attempt=1))
            if not self._started.done():
                self._started.set_result(None)
            asked = time.perf_counter()
            async with aclosing(conversation.run()) as stream:
                async for told in stream:
                    if self.first_token_s is None and isinstance(told, TextDelta):
                        self.first_token_s = time.perf_counter() - asked
                    run.log.append(told)
            self.state = await conversation.save()

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
        if self.state is not None:
            if not task.cancelled() and task.exception() is not None:
                logger.error("Agent %r failed while it was closed", self._run.record.agent, exc_info=task.exception())
            return self._record(RunStatus.COMPLETED)
        error = _error_of(task)
        if not self._started.done():
            self._started.set_exception(error)
        return failed(self._record(RunStatus.FAILED), error)

    def _record(self, status: RunStatus, stop_reason: str | None = None) -> Run:
        conversation = self._conversation
        assert conversation is not None, "not opened"  # noqa: S101
        return replace(
            self._run.record,
            status=status,
            output=conversation.output if status is RunStatus.COMPLETED else None,
            messages=list(conversation.messages),
            stop_reason=stop_reason or conversation.stop_reason,
            usage=conversation.usage,
            finished_at=datetime.now(UTC),
        )


def failed(run: Run, error: AppError) -> Run:
    """The run's record, failed with that error."""
    problem = error.problem(instance=f"/runs/{run.run_id}", run_id=run.run_id, trace_id=run.trace_id)
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
        case Stop.SHUTDOWN:
            return Unavailable("The service is shutting down: run it again.", retry_after_s=5)
        case Stop.LOST:
            return LOST
        case Stop.CANCELLED | Stop.LEFT:
            return Unavailable("The run was cancelled before it began.")
