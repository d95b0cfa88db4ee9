"""The events of a stream as `/openapi.json` describes them; `app.wire.native` writes them.

Their own types, as they are flatter on the wire than in `app.events`: tests/api/test_openapi.py holds them together.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from app import messages
from app.api.schemas import Problem

Message = TypeAliasType("Message", Annotated[messages.Message, Field(discriminator="type")])
"""By this name in the description, where `app.messages` has the plain union."""


@dataclass(frozen=True, kw_only=True)
class _Event:
    type: str
    run_id: str
    """The run that it happened in."""
    seq: int
    """Its place in the run: from 1, without gaps, since the run last began."""


@dataclass(frozen=True, kw_only=True)
class _Begun(_Event):
    agent: str
    """The agent's name."""
    session_id: str
    """The conversation that the run belongs to."""
    trace_id: str
    """32 hex digits."""
    attempt: int
    """How many times the run has begun."""


@dataclass(frozen=True, kw_only=True)
class RunStarted(_Begun):
    """The run has begun."""

    type: Literal["run.started"]


@dataclass(frozen=True, kw_only=True)
class RunRestarted(_Begun):
    """A background run's process died, and it begins anew: what was shown of it is void, and `seq` counts from 1."""

    type: Literal["run.restarted"]


@dataclass(frozen=True, kw_only=True)
class _Delta(_Event):
    source: str
    """The agent that says it."""
    message_id: str
    """The `id` of the message that the pieces add up to."""
    delta: str
    """The piece."""


@dataclass(frozen=True, kw_only=True)
class TextDelta(_Delta):
    """A piece of a text that is being written."""

    type: Literal["text.delta"]


@dataclass(frozen=True, kw_only=True)
class ThoughtDelta(_Delta):
    """A piece of a thought."""

    type: Literal["thought.delta"]


@dataclass(frozen=True, kw_only=True)
class MessageAdded(_Event):
    """A message, complete."""

    type: Literal["message"]
    message: Message
    """What was said."""


@dataclass(frozen=True, kw_only=True)
class InputRequired(_Event):
    """The run waits for a person: it goes on once `POST /runs/{run_id}/input` has the answer."""

    type: Literal["input.required"]
    input_id: str
    """Which question it is: the answer may name it."""
    prompt: str
    """What is asked."""
    source: str
    """The agent or tool that asks."""
    schema: dict[str, Any] | None
    """The JSON schema of an answer; null: text."""
    expires_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When the run fails for want of an answer."""


@dataclass(frozen=True, kw_only=True)
class Outcome:  # its fields are those of `Run`: app/api/openapi.py has them
    """How a run ended: the `Run` without its messages, which were told before."""


@dataclass(frozen=True, kw_only=True)
class _Ended(_Event):
    run: Outcome
    """How it ended."""


@dataclass(frozen=True, kw_only=True)
class RunCompleted(_Ended):
    """The run is done: the last event."""

    type: Literal["run.completed"]


@dataclass(frozen=True, kw_only=True)
class RunFailed(_Ended):
    """The run failed: the last event."""

    type: Literal["run.failed"]
    error: Problem
    """Why; the same as `run.error`."""


@dataclass(frozen=True, kw_only=True)
class RunCancelled(_Ended):
    """The run was stopped: the last event."""

    type: Literal["run.cancelled"]


Events = (
    RunStarted
    | RunRestarted
    | TextDelta
    | ThoughtDelta
    | MessageAdded
    | InputRequired
    | RunCompleted
    | RunFailed
    | RunCancelled
)
RunEvent = TypeAliasType("RunEvent", Annotated[Events, Field(discriminator="type")])
"""Told apart by `type`; others may come to be, and are to be passed over."""
