"""A conversation that the client keeps, as several protocols have it: what was said before the task, put into an agent.

It goes in by the state that AutoGen saves and loads: an assistant's context, a team's thread and what its members have
still to read. There it is the past. As messages of the task it would be said anew: a termination condition would end a
team for a word of its last answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, Team
from autogen_agentchat.messages import BaseChatMessage, MultiModalMessage, TextMessage
from autogen_core import Image
from autogen_core.models import AssistantMessage, LLMMessage, SystemMessage, UserMessage

from app.agents.images import Kept
from app.task import ImagePart, Task, Turn, as_text


def content_of(task: Task) -> str | list[str | Image]:
    """As AutoGen has it."""
    if isinstance(task, str):
        return task
    return [Kept.of(part.url) if isinstance(part, ImagePart) else part.text for part in task]


def message_of(task: Task, source: str = "user") -> BaseChatMessage:
    content = content_of(task)
    if isinstance(content, str):
        return TextMessage(content=content, source=source)
    return MultiModalMessage(content=content, source=source)


def has_memory(agent: ChatAgent | Team) -> bool:
    """Whether `recall` can reach what it knows: another agent's state is its own."""
    return isinstance(agent, AssistantAgent | Team)


async def recall(agent: ChatAgent | Team, history: Sequence[Turn]) -> None:
    """Have an agent that has a memory know what was said."""
    state = dict(await agent.save_state())
    if isinstance(agent, Team):
        said = [message_of(turn.content, turn.role).dump() for turn in history]
        state["agent_states"] = {name: _told(member, said) for name, member in state["agent_states"].items()}
    else:
        said = [_model_message(turn, agent.name).model_dump(mode="json") for turn in history]
        state["llm_context"] = {**state["llm_context"], "messages": [*state["llm_context"]["messages"], *said]}
    await agent.load_state(state)


def _told(member: Mapping[str, Any], said: list[Mapping[str, Any]]) -> dict[str, Any]:
    """A member's state, or that of the team's manager, and what was said."""
    kept = "message_buffer" if "message_buffer" in member else "message_thread"
    return {**member, kept: [*member[kept], *said]}


def _model_message(turn: Turn, name: str) -> LLMMessage:
    match turn.role:
        case "system":
            return SystemMessage(content=as_text(turn.content))
        case "assistant":
            return AssistantMessage(content=as_text(turn.content), source=name)
        case "user":
            return UserMessage(content=content_of(turn.content), source="user")
