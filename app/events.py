"""What can happen in a run, as a closed union of pure values; every protocol in `app.wire` is written from these.

A stream is one `RunStarted`, any number of deltas and messages, and exactly one of the three ends.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from app.messages import Message


class RunStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money that a run's model calls took; `cost_usd` is None where a price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The record of a run, as the contract shows it."""

    run_id: str
    agent: str
    session_id: str
    user_id: str | None
    status: RunStatus
    output: Any = None
    """The last answer: text, or an object for structured output."""
    messages: list[Message] = field(default_factory=list)
    stop_reason: str | None = None
    usage: Usage = Usage()
    error: dict[str, Any] | None = None
    """The RFC 9457 problem of a failed run."""
    trace_id: str
    """32 hex digits."""
    metadata: dict[str, str] = field(default_factory=dict)
    created_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The agent is built, the session's state is loaded, and the run goes on in its own task."""

    agent: str
    session_id: str
    trace_id: str
    attempt: int
    type: Literal["run.started"] = "run.started"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text; those of one `message_id` concatenate to the message of that id."""

    source: str
    message_id: str
    delta: str
    type: Literal["text.delta"] = "text.delta"


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """A piece of a thought."""

    source: str
    message_id: str
    delta: str
    type: Literal["thought.delta"] = "thought.delta"


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A message, complete."""

    message: Message
    type: Literal["message"] = "message"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The end: completed, failed or cancelled, as `run.status` says."""

    run: Run

    @property
    def type(self) -> Literal["run.completed", "run.failed", "run.cancelled"]:
        match self.run.status:
            case RunStatus.COMPLETED:
                return "run.completed"
            case RunStatus.CANCELLED:
                return "run.cancelled"
            case _:
                return "run.failed"


Delta = TextDelta | ThoughtDelta
RunEvent = RunStarted | TextDelta | ThoughtDelta | MessageAdded | RunEnded
