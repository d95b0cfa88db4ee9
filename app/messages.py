"""What is said in a run, as a closed union of pure values: the `messages` of the HTTP contract.

Their JSON is the contract's; no framework and no AutoGen is known here. `docs/api.md` lists the fields.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What every message has."""

    type: str
    id: str
    """Unique within the run; the `message_id` of the deltas that announced it."""
    source: str
    """The agent that said it; `user` for the task."""
    created_at: datetime
    """When it was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Said):
    """Text for a person."""

    type: Literal["text"] = "text"
    content: str
    """The text, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought(Said):
    """What a model thought before, or said beside, an answer or a tool call."""

    type: Literal["thought"] = "thought"
    content: str
    """The text, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Said):
    """A model's wish to call a tool."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    """What its result has too."""
    name: str
    """The tool's."""
    arguments: Any
    """The arguments as an object; as the model's own text where that is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult(Said):
    """What a tool call came to; a failed one is told to the model too, and the run goes on."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    """The call's."""
    name: str
    """The tool's."""
    content: str
    """What the model is told."""
    is_error: bool
    """Whether the call failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff(Said):
    """An agent passes the conversation on."""

    type: Literal["handoff"] = "handoff"
    target: str
    """The agent that it is passed to."""
    content: str
    """What that agent is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured(Said):
    """An answer in the agent's output schema."""

    type: Literal["structured"] = "structured"
    content: Any
    """As the agent's `output_schema` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Said):
    """Text and images, as the parts of a task: `{"type": "text"|"image_url", …}`; images are data URIs."""

    type: Literal["image"] = "image"
    content: list[dict[str, Any]]
    """The parts, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(Said):
    """What an agent's memory added to its context."""

    type: Literal["memory"] = "memory"
    content: list[str]
    """The memories, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker(Said):
    """A team's choice of who speaks next."""

    type: Literal["speaker"] = "speaker"
    candidates: list[str]
    """Who could have been chosen."""
    selected: list[str]
    """Who speaks next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Said):
    """A message of a type that the contract does not name: its content as text."""

    type: Literal["other"] = "other"
    name: str
    """The agent framework's name of the type."""
    content: str
    """Its text."""


Message = Text | Thought | ToolCall | ToolResult | Handoff | Structured | Image | Memory | Speaker | Other
