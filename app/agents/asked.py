"""What is asked of models, tools and people, and by what it is known again: no times, no ids that are made anew.

A paused run may go on days later, with another date in its instructions, or after they were edited. So a model's call
is known by its agent and conversation too, where it is not found with instructions, tools and model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from autogen_core.models import LLMMessage, SystemMessage
from autogen_core.tools import Tool, ToolSchema

from app.agents.journal import Digests


@dataclass(slots=True, eq=False)
class ModelAsked:
    """A call of a model."""

    owner: str
    """The agent or team that calls."""
    ref: str
    messages: Sequence[LLMMessage]
    tools: Sequence[Tool | ToolSchema]
    parameters: tuple[Any, ...]

    def keys(self, digests: Digests) -> tuple[str, ...]:
        told = [(message, _digest_of(message, digests)) for message in self.messages]
        names = [tool["name"] if isinstance(tool, dict) else tool.name for tool in self.tools]
        parameters = [str(getattr(each, "__name__", getattr(each, "name", each))) for each in self.parameters]
        spoken = [digest for message, digest in told if not isinstance(message, SystemMessage)]
        return (
            _digest("model", self.owner, self.ref, [digest for _, digest in told], names, parameters),
            _digest("model", self.owner, spoken),
        )


@dataclass(slots=True, eq=False)
class ToolAsked:
    """A call of a tool, or of what acts like one."""

    agent: str
    name: str
    arguments: Any
    """JSON, or what can be written as such."""

    def keys(self, digests: Digests) -> tuple[str, ...]:  # noqa: ARG002 a Call's
        return (_digest("tool", self.agent, self.name, self.arguments),)


@dataclass(slots=True, eq=False)
class PersonAsked:
    """A question to a person. Its words must be the same each time: no other answer may be taken for it."""

    source: str
    prompt: str
    schema: dict[str, Any] | None

    def keys(self, digests: Digests) -> tuple[str, ...]:  # noqa: ARG002 a Call's
        return (_digest("answer", self.source, self.prompt, self.schema),)


def _digest(*parts: Any) -> str:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return blake2b(orjson.dumps(parts, default=str, option=options), digest_size=16).hexdigest()


def _digest_of(message: LLMMessage, digests: Digests) -> str:
    found = digests.get(id(message))
    if found is None:
        found = digests[id(message)] = blake2b(message.model_dump_json().encode(), digest_size=16).hexdigest()
    return found
