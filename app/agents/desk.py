"""Where a run's questions to a person are put, and where it stops for them.

A question is not asked while something else of the run goes on: a tool's side effect would be lost, and done again
when the run goes on. So it waits until no call is in flight and nothing more is said, and then the whole agent is
stopped. It never waits inside of a process: whoever answers may need days.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from app.agents.asked import PersonAsked
from app.agents.journal import Journal
from app.errors import StateConflict
from app.telemetry.pause import Pause

QUIET_S, QUIET_ROUNDS = 0.01, 3
"""How long nothing may happen; three times, since one look may come when the loop was blocked."""
QUIET_TURNS = 32
"""Turns of the event loop in each: a message passes some five for each team that it comes out of."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked."""

    prompt: str
    source: str
    """The agent or tool that asks."""
    schema: dict[str, Any] | None = None
    """The JSON schema of an answer; None: text."""
    expires_in_s: float | None = None
    """None: as long as the service lets a run wait."""


class Desk:
    """One run's. `agent` is its name, `stop` stops it at once."""

    def __init__(self, agent: str, journal: Journal, stop: Callable[[], None]) -> None:
        self.agent = agent
        self.question: Question | None = None
        """What the run was stopped for."""
        self._journal = journal
        self._stop_agent = stop
        self._conflict: StateConflict | None = None
        self._stopped = False
        self._pending: list[Question] = []
        self._listening = False
        self._heard = 0
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0
        self._pause = Pause(lambda: not journal.caught_up)
        journal.stalled = self._diverge

    def open(self) -> None:
        """The current task drives the agent."""
        self._task = asyncio.current_task()
        self._pause.current()

    def listen(self) -> None:
        """The agent is waited for, and may be stopped."""
        self._listening = True

    def hear(self) -> None:
        """It said something, or ended: what listened has other things to do, and must not be stopped."""
        self._listening = False
        self._heard += 1

    async def ask(self, question: Question) -> Any:
        """The answer, if it was given before; else the run is stopped here."""
        journal = self._journal
        if journal.replaying:
            asked = PersonAsked(question.source, question.prompt, question.schema)
            if (found := await journal.recall(asked)) is not None:
                return found["answer"]
        self._pending.append(question)
        try:
            with journal.waiting():
                while not await self._is_quiet(question):
                    pass
                self.question = question
                self._stop()
                await asyncio.sleep(QUIET_S)  # in the task that drives the agent this raises already
                raise asyncio.CancelledError
        finally:
            self._pending = [other for other in self._pending if other is not question]

    async def _is_quiet(self, question: Question) -> bool:
        journal = self._journal
        before = self._heard, journal.moves
        for _ in range(QUIET_ROUNDS):
            await asyncio.sleep(QUIET_S)
            if self._stopped:
                raise asyncio.CancelledError
            if journal.busy or not self._listening or self._pending[0] is not question:
                return False
            for _ in range(QUIET_TURNS):
                await asyncio.sleep(0)
        return self._listening and not self._stopped and before == (self._heard, journal.moves)

    def _stop(self) -> None:
        if self._stopped or self._task is None:
            return
        self._stopped = self._pause.happened = True
        self._journal.close()
        self._cancels = self._task.cancelling()
        self._stop_agent()
        self._task.cancel()

    def _diverge(self) -> None:
        if self._listening:  # else its consumer would be stopped
            self._conflict = changed(self.agent)
            self._stop()

    def cancelled(self) -> None:
        """Somebody else stops the run: nothing is asked any more."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether the agent was stopped for a question, or because it went another way."""
        return self._pause.happened

    def absorb(self) -> bool:
        """Whether the agent ended because it was stopped here. Raises StateConflict if it went another way."""
        if not self._pause.happened or self._task is None:
            return False
        cancels = self._task.uncancel() if self._task.cancelling() > self._cancels else self._cancels
        if cancels > self._cancels:  # somebody else's, too
            return False
        if self._conflict is not None:
            raise self._conflict
        return True

    def check(self) -> None:
        """At its end: raises StateConflict if the agent never asked again what a person answered."""
        if not self._journal.caught_up:
            raise changed(self.agent)


def changed(agent: str) -> StateConflict:
    """The error of an agent that no longer does what it did before it waited."""
    return StateConflict(
        f"Agent {agent!r} has changed since its run began to wait, so that the answer no longer fits: run it again."
    )


DESK: ContextVar[Desk | None] = ContextVar("waggle_desk", default=None)


async def put(prompt: str, source: str | None, schema: dict[str, Any] | None, expires_in_s: float | None) -> Any:
    """Ask the current run's person. Raises RuntimeError outside of a run."""
    desk = DESK.get()
    if desk is None:
        raise RuntimeError("A person can be asked in a run only: not while an agent is built, and not in a thread.")
    return await desk.ask(Question(prompt, source or desk.agent, schema, expires_in_s))
