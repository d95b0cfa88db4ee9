"""What the service answers, as it comes: JSON objects, typed for editors and checkers.

They are typed dictionaries, so that nothing is lost or made up between the wire and the caller: a field that a later
service adds is simply there. `type` tells the members of `Event` and `Message` apart; pass over those you do not know.
Times are text, as RFC 3339 has it. docs/api.md has the meaning of all of it.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict


class TextPart(TypedDict):
    """A piece of text in a task."""

    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    """Where an image is: a data URI, or an address."""

    url: str


class ImagePart(TypedDict):
    """An image in a task."""

    type: Literal["image_url"]
    image_url: ImageUrl


Task = str | Sequence[TextPart | ImagePart]


def image(content: bytes) -> ImagePart:
    """A PNG, JPEG, GIF or WebP image as a part of a task. Which one it is, the service reads from its bytes."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(content).decode()}"}}


class RunOptions(TypedDict, total=False):
    """What may be said of a run besides its task."""

    session_id: str | None
    """The conversation to go on with."""
    metadata: Mapping[str, str]
    timeout_s: float | None
    if_busy: Literal["reject", "enqueue", "interrupt"]
    on_disconnect: Literal["cancel", "continue"]
    webhook_url: str | None
    idempotency_key: str | None
    """One is made for each call. Give your own where a call of another process may be the same run again."""


class _Said(TypedDict):
    id: str
    source: str
    created_at: str


class TextMessage(_Said):
    """Text for a person."""

    type: Literal["text"]
    content: str


class Thought(_Said):
    """What a model thought."""

    type: Literal["thought"]
    content: str


class ToolCall(_Said):
    """A model's wish to call a tool."""

    type: Literal["tool_call"]
    call_id: str
    name: str
    arguments: Any


class ToolResult(_Said):
    """What a tool call came to."""

    type: Literal["tool_result"]
    call_id: str
    name: str
    content: str
    is_error: bool


class Handoff(_Said):
    """An agent passes the conversation on."""

    type: Literal["handoff"]
    target: str
    content: str


class Structured(_Said):
    """An answer in the agent's output schema."""

    type: Literal["structured"]
    content: Any


class ImageMessage(_Said):
    """Text and images."""

    type: Literal["image"]
    content: list[TextPart | ImagePart]


class Memory(_Said):
    """What an agent's memory added."""

    type: Literal["memory"]
    content: list[str]


class Speaker(_Said):
    """A team's choice of who speaks next."""

    type: Literal["speaker"]
    candidates: list[str]
    selected: list[str]


class Other(_Said):
    """A message of another kind: its content as text."""

    type: Literal["other"]
    name: str
    content: str


Message = TextMessage | Thought | ToolCall | ToolResult | Handoff | Structured | ImageMessage | Memory | Speaker | Other


class Usage(TypedDict):
    """What a run's model calls took; no cost where a price is unknown."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None


class InputRequest(TypedDict):
    """A question that a run asks a person; the answer is text where there is no `schema`."""

    input_id: str
    prompt: str
    source: str
    schema: dict[str, Any] | None
    expires_at: str


class Run(TypedDict):
    """The record of a run."""

    run_id: str
    agent: str
    session_id: str
    user_id: str | None
    status: Literal["queued", "running", "input_required", "completed", "failed", "cancelled"]
    output: Any
    messages: NotRequired[list[Message]]
    """Not in events."""
    stop_reason: str | None
    usage: Usage
    error: dict[str, Any] | None
    """The problem of a failed run."""
    input_request: InputRequest | None
    trace_id: str
    metadata: dict[str, str]
    created_at: str
    finished_at: str | None


class _Happened(TypedDict):
    run_id: str
    seq: int


class RunBegun(_Happened):
    """The run goes on; `run.restarted`: it begins anew, and what was shown of it is void."""

    type: Literal["run.started", "run.restarted"]
    agent: str
    session_id: str
    trace_id: str
    attempt: int


class Delta(_Happened):
    """A piece of a message: those of one `message_id` add up to it."""

    type: Literal["text.delta", "thought.delta"]
    source: str
    message_id: str
    delta: str


class MessageAdded(_Happened):
    """A message, complete."""

    type: Literal["message"]
    message: Message


class InputRequired(_Happened, InputRequest):
    """The run waits for a person: answer with `runs.input`."""

    type: Literal["input.required"]


class RunEnded(_Happened):
    """The last event."""

    type: Literal["run.completed", "run.failed", "run.cancelled"]
    run: Run
    error: NotRequired[dict[str, Any]]


Event = RunBegun | Delta | MessageAdded | InputRequired | RunEnded


class Session(TypedDict):
    """One agent's conversation."""

    session_id: str
    agent: str
    user_id: str | None
    version: int
    turns: int
    active_run_id: str | None
    created_at: str
    updated_at: str


class Version(TypedDict):
    """A saved state of a session."""

    version: int
    run_id: str | None
    turn: int
    created_at: str
    bytes: int


class Feedback(TypedDict):
    """What a person said of a run."""

    feedback_id: str
    score: float
    label: str | None
    comment: str | None
    created_at: str


class Tool(TypedDict):
    """What an agent may call."""

    name: str
    description: str
    parameters: dict[str, Any]
    needs_approval: bool


class Participant(TypedDict):
    """A member of a team."""

    name: str
    description: str


class Agent(TypedDict):
    """An agent, as it is described."""

    name: str
    description: str
    status: Literal["ready", "invalid"]
    reason: str | None
    kind: Literal["agent", "team"] | None
    model: str | None
    tools: list[Tool]
    participants: list[Participant]
    output_schema: dict[str, Any] | None


class Trace(TypedDict):
    """A run's spans, as a tree."""

    run_id: str
    trace_id: str
    spans: list[dict[str, Any]]
