"""An agent or a team behind the same verbs: open, load, run, save. Built for one run, then dropped."""

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from autogen_agentchat.base import ChatAgent, TaskResult, Team
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage

from app.agents.adoption import clients_of, participants_of, parts_of
from app.agents.bounds import MAX_CHARS
from app.agents.cancellation import RunToken
from app.agents.checkpoint import Checkpoint
from app.agents.desk import DESK, Desk, Question, changed
from app.agents.halves import whole
from app.agents.journal import JOURNAL, Journal
from app.agents.ledger import LEDGER, Ledger
from app.agents.provider_errors import classify
from app.agents.recollection import has_memory, message_of, recall
from app.agents.resumption import Retold, answered, handed_over, shape_of
from app.agents.translation import Told, Translator
from app.errors import AppError, InvalidInput, RunFailed, StateConflict
from app.events import MessageAdded, Usage
from app.messages import Handoff, Message, Structured, Text
from app.task import ImagePart, Task, Turn
from app.telemetry.steps import step

logger = logging.getLogger(__name__)


class Conversation:
    """One run's agent. The task that opens it also runs and closes it."""

    def __init__(self, name: str, agent: ChatAgent | Team, max_chars: int) -> None:
        self._name = name
        self._max_chars = max_chars
        self._agent = agent
        self._ledger = Ledger()
        self._token = RunToken()
        self._journal = Journal()
        self._desk = Desk(name, self._journal, self.cancel)
        self._task: BaseChatMessage | None = None
        self._before: list[BaseChatMessage] = []
        """What was said before the task, where it can only be told with it."""
        self._state: bytes | None = None
        """What the leg began with, where that is not the session's state."""
        self._retold: Retold | None = None
        self._earlier = 0
        """How many messages are of earlier legs."""
        self._handoff: HandoffMessage | None = None
        """To a person, with which a team has ended."""
        self.messages: list[Message] = []
        """The whole run's, those of before it waited too."""
        self.stop_reason: str | None = None
        self.question: Question | None = None
        """What a person is asked, where `run` ended with that: then there is a `checkpoint`, and nothing to `save`."""

    async def prepare(self, task: Task) -> None:
        """Take the task, whose images were looked at; raises InvalidInput for what this agent's models cannot take."""
        has_images = not isinstance(task, str) and any(isinstance(part, ImagePart) for part in task)
        if has_images and not all(client.model_info["vision"] for client in clients_of(self._agent)):
            raise InvalidInput(
                f"The model of agent {self._name!r} takes no images.",
                errors=[{"loc": ["body", "task"], "msg": "The agent's model takes text only."}],
            )
        self._task = message_of(task)

    async def load(self, state: bytes | None) -> None:
        """Take up the conversation where a completed run left it; raises StateConflict."""
        if state is None:
            return
        try:
            with step(f"load_state {self._name}", {"waggle.state.bytes": len(state)}):
                await self._load(orjson.loads(state))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
            logger.warning("The saved state does not fit agent %r", self._name, exc_info=True)
            raise StateConflict(
                f"The session's saved state no longer fits agent {self._name!r}, which has changed: "
                "start a new session."
            ) from error

    async def _load(self, state: Any) -> None:
        if _kinds(state) != _kinds(await self._agent.save_state()):
            raise ValueError("another kind of agent saved it, or a team of others")
        await self._agent.load_state(state)

    async def recall(self, history: Sequence[Turn], *, resumed: bool) -> None:
        """Know what the client says was said before, in a session that is new; one that is `resumed` may know it."""
        if not history:
            return
        if not has_memory(self._agent):
            self._before = [message_of(turn.content, turn.role) for turn in history]
        elif not resumed:
            with step(f"load_state {self._name}", {"waggle.history.turns": len(history)}):
                await recall(self._agent, history)
                self._state = _written(await self._agent.save_state())

    async def resume(self, content: bytes, answer: Any, state: bytes | None) -> None:
        """Take up a run that waited, with a person's answer: in place of `prepare` and `load`, whose `state` it is.

        Raises StateConflict for a checkpoint that is none, or an agent that has changed.
        """
        found = Checkpoint.loads(self._name, content)
        if found.shape != shape_of(self._agent):
            raise changed(self._name)
        self._ledger = Ledger(found.input_tokens, found.output_tokens, found.cost_usd, found.calls)
        self.messages, self._earlier = list(found.messages), found.earlier
        self._state = None if found.state is None else found.state.encode()
        self._task = answered(found, answer, self._agent)
        if found.handoff_target is None:
            self._retold = Retold(found.messages[found.earlier :])
            self._journal.replay(found.replayed(answer))
        else:
            self._earlier = len(found.messages)
        await self.load(state if self._state is None else self._state)

    def checkpoint(self) -> bytes:
        """All that `resume` needs, once `run` has ended with a question."""
        assert self.question is not None, "nobody is asked"  # noqa: S101
        assert self._task is not None, "not prepared"  # noqa: S101
        return Checkpoint(
            agent=self._name,
            shape=shape_of(self._agent),
            question=self.question,
            handoff_target=self._handoff.target if self._handoff else None,
            task=dict(self._task.dump()),
            state=None if self._state is None else self._state.decode(),
            journal=self._journal.entries,
            messages=self.messages,
            earlier=self._earlier,
            calls=self._ledger.calls,
            input_tokens=self._ledger.input_tokens,
            output_tokens=self._ledger.output_tokens,
            cost_usd=self._ledger.cost_usd,
        ).dumps()

    async def run(self) -> AsyncGenerator[Told, None]:
        """Let it answer the task. Raises an AppError for a failure, CancelledError after `cancel`.

        It ends too where a person is asked: see `question`.
        """
        LEDGER.set(self._ledger)
        MAX_CHARS.set(self._max_chars)
        JOURNAL.set(self._journal)
        DESK.set(self._desk)
        self._desk.open()
        last: Any = None
        translator = Translator([member.name for member in participants_of(self._agent)])
        try:
            stream = self._agent.run_stream(task=self._asked(), cancellation_token=self._token)
            async with aclosing(stream):
                self._desk.listen()
                async for item in stream:
                    self._desk.hear()
                    if isinstance(item, TaskResult):
                        self.stop_reason, last = item.stop_reason, item.messages[-1] if item.messages else None
                    elif item in self._before:
                        pass  # AutoGen tells the whole task
                    elif not self._desk.stopped:  # what a stopped agent still says is nobody's
                        for told in translator.translate(item):
                            if self._retold is not None and self._retold.has(told):
                                continue
                            if isinstance(told, MessageAdded):
                                self.messages.append(told.message)
                            yield told
                    self._desk.listen()
                self._desk.hear()
            await self._ended(last)
        except asyncio.CancelledError:
            if not self._desk.absorb():
                raise
            self.question = self._desk.question
        except AppError:
            raise
        except (Exception, SystemExit) as error:  # a user's agent may raise anything; a team wraps it in a RuntimeError
            if not self._desk.absorb():
                logger.exception("Agent %r failed", self._name)
                why = f"Agent {self._name!r} failed with {type(error).__name__}; the service's log says why."
                raise (classify(error) or self._ledger.failure or RunFailed(why)) from error
            self.question = self._desk.question

    def _asked(self) -> BaseChatMessage | Sequence[BaseChatMessage] | None:
        return self._task if self._task is None or not self._before else [*self._before, self._task]

    async def _ended(self, last: Any) -> None:
        """A person may be asked by the very end: `last` is what was said last."""
        if self._desk.absorb():
            self.question = self._desk.question
            return
        self._desk.check()
        if handed_over(last, self._agent, self.termination):
            self._handoff, self.question = last, Question(last.content, last.source)
            self._state = await self.save()

    def cancel(self) -> None:
        """Stop at once, a team too; `run` raises CancelledError. What it leaves must not be saved.

        A member whose tool was cancelled would wait for its result for ever, and the team for the member. One that has
        not begun yet is left to begin, or AutoGen would wait for ever for the message that it was to deal with.
        """
        self._desk.cancelled()
        self._token.cancel()
        for part in parts_of(self._agent):
            if isinstance(part, Team):
                for task in tuple(getattr(part, "_runtime")._background_tasks):  # noqa: B009, SLF001 AutoGen is pinned
                    if inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_CREATED:
                        asyncio.get_running_loop().call_soon(task.cancel)
                    else:
                        task.cancel()

    async def save(self) -> bytes:
        """The conversation so far, for `load`."""
        with step(f"save_state {self._name}", {}) as span:
            state = _written(await self._agent.save_state())
            span.set_attribute("waggle.state.bytes", len(state))
            return state

    @property
    def output(self) -> Any:
        """The last answer: text, an object, or None."""
        for message in reversed(self.messages):
            if isinstance(message, Text | Structured | Handoff) and message.source != "user":
                return message.content
        return None

    @property
    def usage(self) -> Usage:
        return self._ledger.usage()

    @property
    def termination(self) -> str | None:
        """The termination condition that ended a team."""
        return self._ledger.termination

    @property
    def model_calls(self) -> int:
        """How many answers models gave."""
        return self._ledger.calls


def _kinds(state: Any) -> Any:
    """Which classes a state is of: an agent's, and those of a team's members by their names.

    AutoGen loads another class's state as an empty one, and a lost member's turn makes the next run fail.
    """
    if not isinstance(state, Mapping):
        return None
    members = {name: _kinds(member) for name, member in state.get("agent_states", {}).items()}
    return state.get("type"), members, _kinds(state.get("agent_state")), _kinds(state.get("inner_team_state"))


def _written(state: Any) -> bytes:
    try:
        return orjson.dumps(state, default=_plain)
    except orjson.JSONEncodeError:  # half a character somewhere in it
        return orjson.dumps(whole(json.loads(json.dumps(state, default=_plain))))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be saved")
