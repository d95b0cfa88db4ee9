"""How a run goes on after an answer: with which task, and what of it was told before.

A team that ended with a hand-off to a person begins another leg, with the answer as its task. Any other agent begins
its leg again, and the messages that it says again are not told again.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeGuard

import orjson
from autogen_agentchat.base import ChatAgent, Team
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage, MessageFactory, TextMessage
from autogen_agentchat.teams import Swarm

from app.agents.adoption import participants_of
from app.agents.checkpoint import Checkpoint
from app.agents.desk import changed
from app.agents.translation import Told
from app.events import MessageAdded
from app.messages import Message

_STREAMED = ("text", "thought", "tool_call", "structured", "handoff")
"""Messages that deltas announce, or that end a stream."""


class Retold:
    """The messages of a leg that is begun again. Agents that work side by side may say them in another order."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._left = Counter((message.source, message.type) for message in messages)

    def has(self, told: Told) -> bool:
        """Whether that was told before."""
        if not self._left:
            return False
        if not isinstance(told, MessageAdded):
            return any((told.source, kind) in self._left for kind in _STREAMED)
        key = told.message.source, told.message.type
        if key not in self._left:
            return False
        self._left[key] -= 1
        if not self._left[key]:
            del self._left[key]
        return True


def handed_over(last: Any, agent: ChatAgent | Team, termination: str | None) -> TypeGuard[HandoffMessage]:
    """Whether a team has ended with a hand-off to somebody who is no member, because that ends it.

    A combination of conditions names each of those that have ended it.
    """
    return (
        isinstance(last, HandoffMessage)
        and "HandoffTermination" in (termination or "").split(", ")
        and last.target not in [member.name for member in participants_of(agent)]
    )


def answered(checkpoint: Checkpoint, answer: Any, agent: ChatAgent | Team) -> BaseChatMessage:
    """The task to go on with. A Swarm must be told which member is to go on; raises StateConflict."""
    target = checkpoint.handoff_target
    if target is not None:
        content = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        if isinstance(agent, Swarm):
            return HandoffMessage(content=content, source=target, target=checkpoint.question.source)
        return TextMessage(content=content, source="user")
    try:
        task = MessageFactory().create(checkpoint.task)
    except (ValueError, TypeError) as error:
        raise changed(checkpoint.agent) from error
    if not isinstance(task, BaseChatMessage):
        raise changed(checkpoint.agent)
    return task


def shape_of(agent: ChatAgent | Team) -> str:
    """What it is made of: another agent would do other things."""
    members = ", ".join(map(shape_of, participants_of(agent)))
    return f"{type(agent).__name__} {agent.name}" + (f" ({members})" if members else "")
