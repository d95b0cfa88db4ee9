"""What is said in a run, as a closed union of pure values: the `messages` of the HTTP contract.

Their JSON is the contract's; no framework and no AutoGen is known here. `docs/api.md` lists the fields.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    type: str
    id: str
    """Unique within the run; the `message_id` of the deltas that announced it."""
    source: str
    """The agent that said it; `user` for the task."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(_Said):
    """Text for a person."""

    type: Literal["text"] = "text"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought(_Said):
    """What a model thought before, or said beside, an answer or a tool call."""

    type: Literal["thought"] = "thought"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(_Said):
    """A model's wish to call a tool."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    name: str
    arguments: Any
    """The arguments as an object; as the model's own text where that is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult(_Said):
    """What a tool call came to; a failed one is told to the model too, and the run goes on."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    name: str
    content: str
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff(_Said):
    """An agent passes the conversation on."""

    type: Literal["handoff"] = "handoff"
    target: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured(_Said):
    """An answer in the agent's output schema."""

    type: Literal["structured"] = "structured"
    content: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(_Said):
    """Text and images, as the parts of a task: `{"type": "text"|"image_url", …}`; images are data URIs."""

    type: Literal["image"] = "image"
    content: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(_Said):
    """What an agent's memory added to its context."""

    type: Literal["memory"] = "memory"
    content: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker(_Said):
    """A team's choice of who speaks next."""

    type: Literal["speaker"] = "speaker"
    candidates: list[str]
    selected: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(_Said):
    """A message of a type that the contract does not name: its content as text."""

    type: Literal["other"] = "other"
    name: str
    """The agent framework's name of the type."""
    content: str


Message = Text | Thought | ToolCall | ToolResult | Handoff | Structured | Image | Memory | Speaker | Other
