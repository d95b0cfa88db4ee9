"""What can happen in a run, as a closed union of pure values; every protocol in `app.wire` is written from these.

A stream is one `RunStarted`, any number of deltas, messages and questions, and exactly one of the three ends.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from app.messages import Message


class Position(NamedTuple):
    """An event's place in its run: totally ordered, also over processes that took the run up one after the other."""

    attempt: int
    seq: int
    """From 1, without gaps, since the run last began."""


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
"""The statuses of a run that nothing follows."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money that a run's model calls took."""

    input_tokens: int = 0
    """What models were sent."""
    output_tokens: int = 0
    """What they answered."""
    cost_usd: float | None = None
    """What that costs; null where a price is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequest:
    """A question that a run asks a person."""

    input_id: str
    """Which question it is: the answer may name it."""
    prompt: str
    """What is asked."""
    source: str
    """The agent or tool that asks."""
    schema: dict[str, Any] | None = None
    """The JSON schema of an answer; null: text."""
    expires_at: datetime
    """When the run fails for want of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The record of a run, as the contract shows it."""

    run_id: str
    """The run's id, a UUID."""
    agent: str
    """The agent's name."""
    session_id: str
    """The conversation that it belongs to."""
    user_id: str | None
    """The end user that the session belongs to."""
    status: RunStatus
    """Where it stands."""
    output: Any = None
    """The last answer: text, or an object for structured output."""
    messages: list[Message] = field(default_factory=list)
    """What was said, the task first, once it has ended; lists of runs leave it empty."""
    stop_reason: str | None = None
    """Why it ended, in the agent framework's words."""
    usage: Usage = Usage()
    """What its model calls took."""
    error: dict[str, Any] | None = None
    """The RFC 9457 problem of a failed run."""
    input_request: InputRequest | None = None
    """What a run that is `input_required` waits for."""
    trace_id: str
    """32 hex digits."""
    metadata: dict[str, str] = field(default_factory=dict)
    """As it was sent."""
    created_at: datetime
    """When it was asked for."""
    finished_at: datetime | None = None
    """When it ended; null until then."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The agent is built, the session's state is loaded, and the run goes on in its own task."""

    agent: str
    session_id: str
    trace_id: str
    attempt: int
    type: Literal["run.started"] = "run.started"


@dataclass(frozen=True, slots=True)
class RunRestarted:
    """The process that executed the run died, and it begins anew: what was shown of it is void."""

    agent: str
    session_id: str
    trace_id: str
    attempt: int
    type: Literal["run.restarted"] = "run.restarted"


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
class InputRequired:
    """The run waits for a person: it goes on once `POST /runs/{run_id}/input` has the answer."""

    request: InputRequest
    type: Literal["input.required"] = "input.required"


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
RunEvent = RunStarted | RunRestarted | TextDelta | ThoughtDelta | MessageAdded | InputRequired | RunEnded
Placed = tuple[Position, RunEvent]
