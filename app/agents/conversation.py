"""An agent or a team behind the same verbs: open, load, run, save. Built for one run, then dropped."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from autogen_agentchat.base import ChatAgent, TaskResult, Team
from autogen_agentchat.messages import BaseChatMessage, MultiModalMessage, TextMessage
from autogen_core import Image

from app.agents.adoption import clients_of, participants_of, parts_of
from app.agents.cancellation import RunToken
from app.agents.ledger import LEDGER, Ledger
from app.agents.provider_errors import classify
from app.agents.translation import Told, Translator
from app.errors import AppError, InvalidInput, RunFailed, StateConflict
from app.events import MessageAdded, Usage
from app.messages import Handoff, Message, Structured, Text
from app.task import ImagePart, Task
from app.telemetry.steps import step

logger = logging.getLogger(__name__)


class Conversation:
    """One run's agent. The task that opens it also runs and closes it."""

    def __init__(self, name: str, agent: ChatAgent | Team) -> None:
        self._name = name
        self._agent = agent
        self._ledger = Ledger()
        self._token = RunToken()
        self._task: BaseChatMessage | None = None
        self.messages: list[Message] = []
        self.stop_reason: str | None = None

    async def prepare(self, task: Task) -> None:
        """Take the task; raises InvalidInput for what this agent's models cannot take, or nobody could read."""
        if isinstance(task, str):
            self._task = TextMessage(content=task, source="user")
            return
        has_images = any(isinstance(part, ImagePart) for part in task)
        if has_images and not all(client.model_info["vision"] for client in clients_of(self._agent)):
            raise InvalidInput(
                f"The model of agent {self._name!r} takes no images.",
                errors=[{"loc": ["body", "task"], "msg": "The agent's model takes text only."}],
            )
        content = [
            await _image(index, part) if isinstance(part, ImagePart) else part.text for index, part in enumerate(task)
        ]
        self._task = MultiModalMessage(content=content, source="user")

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

    async def run(self) -> AsyncGenerator[Told, None]:
        """Let it answer the task. Raises an AppError for a failure, CancelledError after `cancel`."""
        LEDGER.set(self._ledger)
        translator = Translator([member.name for member in participants_of(self._agent)])
        try:
            stream = self._agent.run_stream(task=self._task, cancellation_token=self._token)
            async with aclosing(stream):
                async for item in stream:
                    if isinstance(item, TaskResult):
                        self.stop_reason = item.stop_reason
                        continue
                    for told in translator.translate(item):
                        if isinstance(told, MessageAdded):
                            self.messages.append(told.message)
                        yield told
        except AppError:
            raise
        except (Exception, SystemExit) as error:  # a user's agent may raise anything; a team wraps it in a RuntimeError
            logger.exception("Agent %r failed", self._name)
            raise (
                classify(error)
                or self._ledger.failure
                or RunFailed(f"Agent {self._name!r} failed with {type(error).__name__}; the service's log says why.")
            ) from error

    def cancel(self) -> None:
        """Stop at once, a team too; `run` raises CancelledError. What it leaves must not be saved.

        A member whose tool was cancelled would wait for its result for ever, and the team for the member.
        """
        self._token.cancel()
        for part in parts_of(self._agent):
            if isinstance(part, Team):
                for task in tuple(getattr(part, "_runtime")._background_tasks):  # noqa: B009, SLF001 AutoGen is pinned
                    task.cancel()

    async def save(self) -> bytes:
        """The conversation so far, for `load`."""
        with step(f"save_state {self._name}", {}) as span:
            state = orjson.dumps(await self._agent.save_state(), default=_plain)
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


async def _image(index: int, part: ImagePart) -> Image:
    try:
        return await asyncio.to_thread(Image.from_uri, part.url)
    except (ValueError, OSError):
        raise InvalidInput(
            "An image of the task cannot be read.",
            errors=[{"loc": ["body", "task", index], "msg": "Not a PNG or JPEG data URI."}],
        ) from None


def _kinds(state: Any) -> Any:
    """Which classes a state is of: an agent's, and those of a team's members by their names.

    AutoGen loads another class's state as an empty one, and a lost member's turn makes the next run fail.
    """
    if not isinstance(state, Mapping):
        return None
    members = {name: _kinds(member) for name, member in state.get("agent_states", {}).items()}
    return state.get("type"), members, _kinds(state.get("agent_state")), _kinds(state.get("inner_team_state"))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be saved")
